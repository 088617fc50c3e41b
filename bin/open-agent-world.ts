/** Wires the agent's world: the folders, the ledger, the store and the tools of this machine. */
import { mkdirSync, realpathSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

import { dropFiles } from "../adapters/drop-files/drop-files.ts";
import { openFolderWatch } from "../adapters/folder-watch/folder-watch.ts";
import { networkFileSystemOf, systemMountProbes } from "../adapters/folder-watch/mount-kind.ts";
import { identityOf } from "../adapters/ledger/ledger.ts";
import { openWriters } from "../adapters/system/open-writers.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { openDownloader } from "../adapters/yt-dlp/downloader.ts";
import { ClipscribeError, isKind } from "../core/errors.ts";
import { captionLanguages, needsPicture } from "../core/picture-needed.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { DropFiles } from "../ports/drop-files.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { Pipelines } from "../ports/pipelines.ts";
import { politeDownloader } from "../ports/polite-downloader.ts";
import type { AgentEvent, AgentPipeline, AgentWorld } from "../sync/agent-world.ts";
import { PATIENCE_MS } from "../sync/drop-state.ts";
import { submitJob } from "../sync/submit-job.ts";
import { openAgentHandOff, rememberPlace } from "./agent-hand-off.ts";
import type { Machine } from "./compose.ts";
import { hashAsUploaded } from "./hash-as-uploaded.ts";
import type { Io } from "./io.ts";
import type { Settings } from "./settings.ts";

/** Reading a header takes no longer. */
const PROBE_MS = 30_000;

export interface AgentParts {
  io: Io;
  settings: Settings;
  machine: Machine;
  ledger: DropLedger;
  pipelines: Pipelines;
  /** What a campaign changes. */
  files?: DropFiles;
  listener: (event: AgentEvent) => void;
}

export async function openAgentWorld(parts: AgentParts): Promise<AgentWorld> {
  const { io, settings, machine, ledger, pipelines, files = dropFiles, listener } = parts;
  const real = (path: string): string => realpathSync(path);
  const downloads = join(settings.home, "downloads");
  mkdirSync(downloads, { recursive: true });
  const folders = {
    inbox: real(settings.inbox),
    done: real(settings.done),
    rejected: real(settings.rejected),
    downloads,
  };
  const network = await networkFileSystemOf(folders.inbox, systemMountProbes(io.platform));
  const { store } = machine;
  const writers = openWriters(io.platform);
  return {
    user: settings.user,
    device: hostname(),
    folders,
    files,
    openWatch: (folder, listener) =>
      openFolderWatch(folder, listener, { network, platform: io.platform }),
    ledger,
    store,
    clock: systemClock,
    random: Math.random,
    downloader: politeDownloader(openDownloader({ io, settings }), systemClock),
    rhythm: { settleMs: settings.settleMs, patienceMs: PATIENCE_MS },
    sourcesStay: !machine.isShared,
    pipeline: () => describePipeline(pipelines.current()),
    remember: (path, sha256, at) =>
      machine.ledger.remember(path, identityOf(statSync(path, { bigint: true })), sha256, at),
    hashLarge: (options) => hashAsUploaded(machine, pipelines.current(), options),
    isMedium: async (path, signal) => isMedium(machine, path, signal),
    isBeingWritten: async (path, sinceMs) => writers.has(path, sinceMs),
    handOff: machine.isShared
      ? openAgentHandOff(machine, pipelines)
      : async ({ submission, item, drop }) => {
          // What was moved to done/ is noted there; what a person named lies where it lay.
          if (!drop.moved) rememberPlace(machine, item);
          // Its edge stages are the runner's, in this process.
          const [handoff] = await submitJob(store, systemClock, submission);
          if (handoff === undefined) throw new ClipscribeError("bug", "nothing was handed off");
          return handoff;
        },
    listener,
  };
}

/** Sound alone is downloaded where no stage looks at the picture. */
function describePipeline(pipeline: CheckedPipeline): AgentPipeline {
  const { name, digest, accept } = pipeline;
  const soundOnly = !needsPicture(pipeline);
  return { name, digest, accept, download: { soundOnly, languages: captionLanguages(pipeline) } };
}

/** ffprobe's word on what no container format explains; without ffprobe its stage finds out. */
async function isMedium(machine: Machine, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    const { stdout } = await machine.tools.run({
      tool: "ffprobe",
      args: ["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", "-i", path],
      readable: [path],
      writableDir: "/tmp",
      timeoutMs: PROBE_MS,
      maxStdoutBytes: 64 * 1024,
      signal,
    });
    return /^(?:audio|video)/m.test(stdout);
  } catch (error) {
    if (isKind(error, "contract")) return false;
    if (isKind(error, "config")) return true;
    throw error;
  }
}
