/**
 * The queue that says "look here". Messages come at least once, in no order, and are only hints:
 * the bucket is the truth, so the runner acknowledges once its claim is durable.
 *
 * Every implementation passes `describeEventQueue` (event-queue.contract.ts). Methods reject with
 * `ClipscribeError` (`denied`, `transient`, `cancelled`) and never retry.
 */
import type { RequestOptions } from "./object-store.ts";

export interface LeasedEvent {
  /** The message, stable over deliveries. */
  id: string;
  /** This delivery: what `ack` and `retry` take. A lease that ran out is ignored by both. */
  leaseId: string;
  body: string;
  /** Deliveries so far, this one included. */
  attempts: number;
}

export interface PullOptions extends RequestOptions {
  /** At most this many; Cloudflare: 100. */
  max: number;
  /** Others don't see the messages for so long. */
  visibilityMs: number;
  /** Waits so long for a first message; 0 (default) answers at once, as Cloudflare does. */
  waitMs?: number | undefined;
}

/** Cloudflare: a message's largest size. */
export const MAX_EVENT_BYTES = 128_000;
/** Cloudflare: a message's longest delay (12 hours), in milliseconds. */
export const MAX_DELAY_MS = 12 * 60 * 60 * 1000;

export interface EventQueue {
  /** @throws `contract` for a body above MAX_EVENT_BYTES or a delay above MAX_DELAY_MS. */
  send(body: string, options?: RequestOptions & { delayMs?: number | undefined }): Promise<void>;
  pull(options: PullOptions): Promise<LeasedEvent[]>;
  ack(leaseIds: readonly string[], options?: RequestOptions): Promise<void>;
  /** Gives messages back, to be seen again after `delayMs`. */
  retry(
    leases: readonly { leaseId: string; delayMs: number }[],
    options?: RequestOptions,
  ): Promise<void>;
}
