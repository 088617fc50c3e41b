/** Wires the adapters of one machine: disk, SQLite, threads, sandboxed tools. */
import { randomBytes } from "node:crypto";
import { availableParallelism, hostname } from "node:os";
import { join } from "node:path";

import { firstOf, openBucketSources } from "../adapters/bucket-sources/bucket-sources.ts";
import { dropsFrom, openDropSources } from "../adapters/bucket-sources/drop-sources.ts";
import type { DiskStore } from "../adapters/disk/disk-store.ts";
import { openMediaTools } from "../adapters/ffmpeg/media-tools.ts";
import { openLedger } from "../adapters/ledger/ledger.ts";
import type { Ledger } from "../adapters/ledger/ledger.ts";
import { openThreadStagePool } from "../adapters/piscina/thread-stage-pool.ts";
import { detectSandbox } from "../adapters/sandbox/detect-sandbox.ts";
import { openSandbox } from "../adapters/sandbox/sandboxed.ts";
import type { Sandbox } from "../adapters/sandbox/sandboxed.ts";
import { openProcessWatch } from "../adapters/system/process-watch.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { RunnerId, hostSlug } from "../core/ids.ts";
import type { Log } from "../ports/log.ts";
import type { MediaTools } from "../ports/media-tools.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { Pipelines } from "../ports/pipelines.ts";
import type { StagePool } from "../ports/stage-pool.ts";
import type { TimestampAuthority } from "../ports/timestamp-authority.ts";
import { ALL_DEFENCES } from "../runner/defences.ts";
import type { Defences } from "../runner/defences.ts";
import type { RunnerListener } from "../runner/runner-events.ts";
import { serveStage } from "../runner/stage-port.ts";
import type { OfficeWorld, RunnerWorld } from "../runner/world.ts";
import type { Uploads } from "../sync/uploads.ts";
import { WORKER_PATH, readVersion } from "./install.ts";
import { openBackend } from "./backend.ts";
import type { Io } from "./io.ts";
import { makeFolder } from "./make-folder.ts";
import { lazyUploads } from "./open-uploads.ts";
import { openMail } from "./mail.ts";
import { openProviders } from "./providers.ts";
import type { Settings } from "./settings.ts";
import { isAlive, sweepWork } from "./sweep-work.ts";

/** Items at once: they wait for the disk and for providers; pools say how many compute. */
const ITEMS_PER_CORE = 8;
/** Where other machines are there to take them, none hoards what it can't compute yet. */
const SHARED_ITEMS_PER_CORE = 4;

/** What a campaign changes; a person can't. */
export interface ComposeOverrides {
  store?: (store: DiskStore) => DiskStore;
  defences?: Partial<Defences>;
}

export interface Machine extends AsyncDisposable {
  /** On one machine, tells the queue of new tickets; a bucket does that by itself. */
  store: ObjectStore;
  /** The folder of a disk store that is used as it is; null for any other. */
  storeFolder: string | null;
  /** Other machines work on the same store, and have no file of this one. */
  isShared: boolean;
  ledger: Ledger;
  /** What all uploads to a shared store have in common. */
  readonly uploads: Uploads;
  pool: StagePool;
  tools: MediaTools;
  /** Under a new id each time, as is a world. */
  openOffice(): OfficeWorld;
  openWorld(pipelines: Pipelines, listener: RunnerListener): RunnerWorld;
}

export async function openMachine(
  io: Io,
  settings: Settings,
  log: Log,
  overrides: ComposeOverrides = {},
): Promise<Machine> {
  makeFolder(settings.home);
  const workDir = join(settings.home, "work");
  sweepWork(workDir, hostSlug(hostname()));
  const backend = await openBackend(settings, log, overrides.store);
  const { store, isShared, reach } = backend;
  const ledger = openLedger(join(settings.home, "ledger.db"));
  const cores = availableParallelism();
  const pool = openThreadStagePool({
    workerPath: WORKER_PATH,
    maxThreads: Math.max(2, cores),
    serve: serveStage,
  });
  const tools = openTools(io);
  const processes = openProcessWatch();
  const providers = openProviders(settings);
  const tsaUrl = settings.all.get("CLIPSCRIBE_TSA_URL")?.value ?? null;
  const timestamps = tsaUrl === null ? null : lazyTimestamps(tsaUrl);
  const mail = openMail(settings);
  const { user } = settings;
  const dir = join(settings.home, "sources");
  const uploaded = openBucketSources({ store, user, dir });
  const drops = openDropSources({ store, user, dir });
  const uploads = lazyUploads(settings);
  const office = (): OfficeWorld => ({
    ...describeOffice(settings),
    store,
    log,
    mail,
    processes: isShared ? null : processes,
  });
  const { store: where } = settings;
  const isPlain = where.kind === "disk" && overrides.store === undefined;
  return {
    store,
    storeFolder: isPlain ? where.path : null,
    isShared,
    ledger,
    get uploads() {
      return uploads.get();
    },
    pool,
    tools,
    openOffice: office,
    openWorld: (pipelines, listener) => ({
      ...office(),
      storeReach: reach,
      // Opened by whoever is a runner: hand-offs and plans have a world as well.
      get queues() {
        return backend.openQueues();
      },
      tools,
      sources: dropsFrom(drops, isShared ? firstOf(ledger, uploaded) : ledger),
      drops,
      pool,
      pipelines,
      providers,
      timestamps,
      cores,
      items: cores * (isShared ? SHARED_ITEMS_PER_CORE : ITEMS_PER_CORE),
      workDir,
      defences: { ...ALL_DEFENCES, ...overrides.defences },
      listener,
    }),
    async [Symbol.asyncDispose]() {
      await pool.close();
      await uploads[Symbol.asyncDispose]();
      await mail[Symbol.asyncDispose]();
      ledger[Symbol.dispose]();
      await backend[Symbol.asyncDispose]();
      sweepWork(workDir, hostSlug(hostname()), (pid) => pid !== process.pid && isAlive(pid));
    },
  };
}

function openTools({ platform, env }: Io): MediaTools {
  return openMediaTools({ sandbox: lazySandbox(platform), path: env["PATH"] ?? "", platform });
}

function describeOffice({
  user,
  leaseMs,
  sweepMs,
  pollMs,
  stallMs,
}: Settings): Omit<OfficeWorld, "store" | "log" | "mail" | "processes"> {
  return {
    runner: newRunnerId(),
    user,
    version: readVersion(),
    clock: systemClock,
    random: Math.random,
    clocks: { leaseMs, sweepMs, pollMs, stallMs },
  };
}

/** New at each start; says where it ran. */
function newRunnerId(): RunnerId {
  return RunnerId.parse(`${hostSlug(hostname())}-${process.pid}-${randomBytes(4).toString("hex")}`);
}

/** Its ASN.1 is loaded by those who have set an authority. */
function lazyTimestamps(url: string): TimestampAuthority {
  return {
    async stamp(sha256, signal) {
      const { openTimestampAuthority } = await import("../adapters/rfc3161/timestamp-authority.ts");
      return openTimestampAuthority({ url }).stamp(sha256, signal);
    },
  };
}

/** Finding out what works starts a child; nobody pays for it before a tool is needed. */
function lazySandbox(platform: NodeJS.Platform): Sandbox {
  let opened: Sandbox | undefined;
  const open = (): Sandbox => (opened ??= openSandbox(detectSandbox({ platform })));
  return {
    get kind() {
      return open().kind;
    },
    run: (call) => open().run(call),
  };
}
