/** All that a runner needs from outside, as ports. Only a composition root fills it in. */
import type { JobId, RunnerId, UserId } from "../core/ids.ts";
import type { Lane } from "../core/ids.ts";
import type { StoreReach } from "../core/sound-route.ts";
import type { Notify } from "../core/recipients.ts";
import type { PaidAnswer, PaidRequest } from "../core/stage.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventQueue } from "../ports/event-queue.ts";
import type { Log } from "../ports/log.ts";
import type { Notifiers } from "../ports/notifier.ts";
import type { MediaTools } from "../ports/media-tools.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { Pipelines } from "../ports/pipelines.ts";
import type { ChatModel, Transcriber } from "../ports/providers.ts";
import type { DropReader, Sources } from "../ports/sources.ts";
import type { StagePool } from "../ports/stage-pool.ts";
import type { TimestampAuthority } from "../ports/timestamp-authority.ts";
import type { Defences } from "./defences.ts";
import type { RunnerListener } from "./runner-events.ts";

/** Calls that cost money, by provider name. */
export interface PaidProvider {
  call(request: PaidRequest, signal: AbortSignal): Promise<PaidAnswer>;
}

export interface Providers {
  /** Configured ones, best first. */
  transcribers: readonly Transcriber[];
  chats: readonly ChatModel[];
  paid: ReadonlyMap<string, PaidProvider>;
}

/** Tells whether a process of this machine is gone, so that its runner need not be waited for. */
export interface ProcessWatch {
  readonly self: { pid: number; boot: string };
  readonly host: string;
  isGone(process: { pid: number; boot: string }): boolean;
}

/** How people are told of a job's end. */
export interface Mail {
  readonly notifiers: Notifiers;
  /** Whom to tell of a job that names nobody. */
  readonly defaults: Notify;
  /** Where a person looks at the results of a job; ends with a slash. */
  resultsUrl(job: JobId): string;
}

export interface RunnerClocks {
  /** Others take this runner for dead when its record stood still for so long. */
  leaseMs: number;
  sweepMs: number;
  /** Between two looks at the tickets of a lane that has no queue. */
  pollMs: number;
  /** A runner that gets nothing done for so long ends. */
  stallMs: number;
}

/** What it takes to finish jobs and to send messages: no stage runs there. */
export type OfficeWorld = Pick<
  RunnerWorld,
  | "runner"
  | "user"
  | "version"
  | "store"
  | "clock"
  | "log"
  | "random"
  | "mail"
  | "processes"
  | "clocks"
>;

export interface RunnerWorld {
  readonly runner: RunnerId;
  readonly user: UserId;
  readonly version: string;
  readonly store: ObjectStore;
  /** Whether a provider could fetch from the store. */
  readonly storeReach: () => Promise<StoreReach>;
  readonly queues: Readonly<Partial<Record<Lane, EventQueue>>>;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly tools: MediaTools;
  readonly sources: Sources;
  readonly drops: DropReader;
  readonly pool: StagePool;
  readonly pipelines: Pipelines;
  readonly providers: Providers;
  /** Null where none is configured. */
  readonly timestamps: TimestampAuthority | null;
  readonly mail: Mail;
  /** Null where processes of other machines share the store. */
  readonly processes: ProcessWatch | null;
  readonly cores: number;
  /** Items worked on at once. */
  readonly items: number;
  /** Absolute; scratch folders live here, one an item, removed when its run ends. */
  readonly workDir: string;
  readonly clocks: RunnerClocks;
  readonly defences: Readonly<Defences>;
  readonly listener: RunnerListener;
}
