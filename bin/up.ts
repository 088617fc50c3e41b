/**
 * `clipscribe up`: watches the inbox, hands off what is dropped, brings results. Where the store is a
 * disk of this machine, a runner works in the same process; with a cloud, servers do.
 */
import { existsSync, realpathSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

import { dropFiles } from "../adapters/drop-files/drop-files.ts";
import { openDropLedger } from "../adapters/ledger/drop-ledger.ts";
import { acquireAgentLock } from "../adapters/system/agent-lock.ts";
import { showNotice } from "../adapters/system/desktop-notice.ts";
import { openKeepAwake } from "../adapters/system/keep-awake.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { ClipscribeError, asClipscribeError } from "../core/errors.ts";
import { EXIT } from "../core/exit-codes.ts";
import type { DropFiles } from "../ports/drop-files.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { Log } from "../ports/log.ts";
import { openRunner } from "../runner/runner.ts";
import type { AgentEvent } from "../sync/agent-world.ts";
import { openAgent } from "../sync/agent.ts";
import type { Agent } from "../sync/agent.ts";
import { formatLid, formatTimeOfDay } from "../sync/lid.ts";
import type { LidAdvice } from "../sync/lid.ts";
import { sweepIncoming } from "../sync/results-folder.ts";
import { closeOrExit } from "./close-or-exit.ts";
import { openMachine } from "./compose.ts";
import type { Machine } from "./compose.ts";
import { dropLeftoverUploads } from "./drop-leftover-uploads.ts";
import type { Io } from "./io.ts";
import { isGone } from "./is-gone.ts";
import { openLog } from "./log.ts";
import { makeFolder } from "./make-folder.ts";
import { openAgentWorld } from "./open-agent-world.ts";
import { openPipelinesInForce } from "./pipelines-in-force.ts";
import type { PipelinesInForce } from "./pipelines-in-force.ts";
import { readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { describeStart, openUpView } from "./ui/up-view.ts";
import type { UpView } from "./ui/up-view.ts";
import { openResends } from "./resends.ts";
import { openProgress } from "./up-progress.ts";
import type { Progress } from "./up-progress.ts";

export interface UpFlags {
  pipeline: string | undefined;
  json: boolean;
  plain: boolean;
  verbose: boolean;
}

const LOG_COLUMNS = 10_000;

/** What a campaign changes; a person can't. */
export interface UpOverrides {
  files?: DropFiles;
}

export async function up(
  flags: UpFlags,
  io: Io,
  { files = dropFiles }: UpOverrides = {},
): Promise<number> {
  const settings = await readSettings(io);
  for (const folder of [settings.home, settings.inbox, settings.done, settings.rejected]) {
    makeFolder(folder);
  }
  assertApart(settings);
  using _home = acquireAgentLock(realpathSync(settings.home), "up", new Date());
  using _inbox = acquireAgentLock(realpathSync(settings.inbox), "up", new Date());
  const view = await openView(flags, io);
  const format = flags.json ? "json" : "text";
  const log = openLog({ write: io.stderr, format, level: flags.verbose ? "info" : "warn" });
  await using machine = await openMachine(io, settings, log);
  using ledger = openDropLedger(join(settings.home, "ledger.db"));
  const { store, isShared } = machine;
  const source = { io, settings, store, isShared, named: flags.pipeline };
  using pipelines = await openPipelinesInForce(source, ledger.listPipelines(), {
    onChange: (_, changes) =>
      view.note(`another pipeline holds for what comes next: ${changes.join("; ")}`),
    onRefused: (error) => view.refused(error),
  });
  const stop = new AbortController();
  const forget = io.onInterrupt(() => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    view.note("stopping; press Ctrl-C again to stop at once");
    stop.abort(new ClipscribeError("cancelled", "interrupted"));
  });
  try {
    await sweepIncoming(settings.results, isGone);
    const work = {
      io,
      settings,
      machine,
      pipelines,
      ledger,
      view,
      files,
      log,
      signal: stop.signal,
    };
    await serve(work);
    view.stop();
    if (!flags.json) io.stdout("stopped; `clipscribe up` goes on from here\n");
    return EXIT.complete;
  } finally {
    view.stop();
    forget();
  }
}

/** An inbox around the other folders would take them for drops, and move them into themselves. */
function assertApart({ home, inbox, done, rejected, results, store }: Settings): void {
  const root = realpathSync(inbox);
  const others = [home, done, rejected, results, ...(store.kind === "disk" ? [store.path] : [])];
  for (const other of others) {
    const path = existsSync(other) ? realpathSync(other) : other;
    if (path !== root && !path.startsWith(`${root}/`)) continue;
    throw new ClipscribeError("config", "the inbox holds ClipScribe's own folders", {
      details: { inbox: root, folder: path },
      hint: "set CLIPSCRIBE_INBOX to a folder that holds nothing but what is dropped",
    });
  }
}

interface Work {
  io: Io;
  settings: Settings;
  machine: Machine;
  pipelines: PipelinesInForce;
  ledger: DropLedger;
  view: UpView;
  files: DropFiles;
  log: Log;
  signal: AbortSignal;
}

/** Agent, results and, embedded, the runner, until it is told to stop. */
async function serve(work: Work): Promise<void> {
  const { settings, machine, view, signal, ledger } = work;
  const isEmbedded = !machine.isShared;
  const { inbox, results } = settings;
  view.note(describeStart({ isEmbedded, inbox, results }));
  using awake = openKeepAwake(work.io.platform);
  const notify = noticesOf(work);
  let agent: Agent | undefined;
  const { io, pipelines, files } = work;
  const { user } = settings;
  const about = { machine, user, ledger, clock: systemClock, pipelines, signal };
  // On one machine nothing can be missed that is not missing here, too.
  const resends = isEmbedded ? null : openResends({ ...about, note: (text) => view.note(text) });
  const progress = openProgress({
    store: machine.store,
    user: settings.user,
    ledger,
    clock: systemClock,
    host: hostname(),
    isEmbedded,
    resultsDir: results,
    pollMs: settings.pollMs,
    onLid(advice) {
      view.lid(advice);
      awake.set(advice.lid === "keep-open");
      notify(advice);
    },
    onResult(event) {
      view.result(event);
      resends?.hear(event);
    },
    onTrouble: (error) => view.note(`results wait: ${error.message}`),
    counts: () => agent?.counts ?? { waiting: 0, toHandOff: 0 },
    signal,
  });
  const listener = (event: AgentEvent): void => {
    view.agent(event);
    progress.agent(event);
  };
  agent = openAgent(
    await openAgentWorld({
      io,
      settings,
      machine,
      ledger,
      pipelines,
      listener,
      files,
    }),
  );
  const runner = isEmbedded
    ? runEmbedded(work, progress)
    : dropLeftoverUploads(machine, ledger, work.log, signal);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await agent[Symbol.asyncDispose]();
  await runner;
  await progress[Symbol.asyncDispose]();
  await resends?.[Symbol.asyncDispose]();
}

/** What a person who has turned away must hear: once a change, and never what is so from the start. */
function noticesOf({ io, view }: Work): (advice: LidAdvice) => void {
  let before: LidAdvice["lid"] | null = null;
  return (advice) => {
    const isNews = before === "keep-open" && advice.lid !== "keep-open";
    before = advice.lid;
    if (!isNews) return;
    const now = new Date();
    const text = formatLid(advice, (at) => formatTimeOfDay(at, now));
    showNotice({ platform: io.platform, env: io.env }, "ClipScribe", text).catch((error: unknown) =>
      view.note(`no notice could be shown: ${String(error)}`),
    );
  };
}

/**
 * Taken for dead, or getting nothing done, a runner starts anew under a new id; where what hangs
 * can't be closed, the whole process ends for its service to start it anew.
 */
async function runEmbedded(work: Work, progress: Progress): Promise<void> {
  const { machine, pipelines, view, signal, io } = work;
  while (!signal.aborted) {
    const world = machine.openWorld(pipelines, (event) => {
      view.runner(event);
      progress.runner(event);
    });
    const runner = await openRunner(world, { sweepPrefix: null, accepts: () => true });
    await new Promise<void>((resolve) => {
      const either = AbortSignal.any([signal, runner.lost, runner.stalled]);
      if (either.aborted) resolve();
      either.addEventListener("abort", () => resolve(), { once: true });
    });
    const close = async (): Promise<void> => runner[Symbol.asyncDispose]();
    if (runner.stalled.aborted && !signal.aborted) {
      view.note(`${asClipscribeError(runner.stalled.reason).message}: it starts anew`);
      await closeOrExit(close, io.exit ?? (() => undefined));
    } else await close();
  }
}

async function openView(flags: UpFlags, io: Io): Promise<UpView> {
  const isTerminal =
    io.columns !== null && !flags.plain && !flags.json && io.env["TERM"] !== "dumb";
  const log = isTerminal ? (await import("log-update")).default : undefined;
  return openUpView({
    json: flags.json,
    write: io.stdout,
    // A log breaks its own lines.
    columns: io.columns ?? LOG_COLUMNS,
    now: () => new Date(),
    ...(log !== undefined && {
      draw: { show: (text: string) => log(text), done: () => log.clear() },
    }),
  });
}
