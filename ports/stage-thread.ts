/**
 * What a pool and its threads say to each other, over one port a thread. A thread has one task at a time,
 * and all that is said about it bears its number: what was said about an earlier one is not heard in a
 * later one.
 */
import type { MessagePort } from "node:worker_threads";

import type { ErrorRecord } from "../core/errors.ts";
import type { MadeArtifact, StageTask } from "./stage-pool.ts";

/** What the pool's library brings a thread. */
export interface ThreadTask {
  number: number;
  task: StageTask;
}

/** A thread's first word. */
export interface ThreadHello {
  port: MessagePort;
}

export interface ToThread {
  number: number;
  message: unknown;
}

/** `begin` is the first that is said about a task, `end` the last. */
export type FromThread =
  | { type: "begin"; number: number }
  | { type: "say"; number: number; message: unknown }
  | { type: "end"; number: number; answer: ThreadAnswer };

export type ThreadAnswer =
  | { ok: true; artifacts: Record<string, MadeArtifact> }
  | { ok: false; error: ErrorRecord };

/** One end of what is said about one task. Messages arrive in their order; at the end, no more do. */
export interface StageChannel {
  send(message: unknown): void;
  /** Once. */
  listen(hear: (message: unknown) => void): void;
}
