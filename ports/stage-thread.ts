/**
 * What a pool and its threads say to each other. A thread has one task at a time, and all that is said
 * about it bears its number: what was said about an earlier one is not heard in a later one.
 */
import type { ErrorRecord } from "../core/errors.ts";
import type { MadeArtifact, StageTask } from "./stage-pool.ts";

export type ToThread =
  | { type: "run"; number: number; task: StageTask }
  | { type: "say"; number: number; message: unknown };

/** `end` is the last that is said about a task. */
export type FromThread =
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
