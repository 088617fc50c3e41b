/** What a runner says to its queues. A message is only a hint, so none of this may end anything. */
import type { Lane } from "../core/ids.ts";
import { formatTicketEvent } from "./object-event.ts";
import type { RunnerWorld } from "./world.ts";

/** A message that was given back comes again after this at most. */
const MAX_GIVE_BACK_MS = 60_000;

export interface Messages {
  /** A lost acknowledgement only means that the message comes again. */
  acknowledge(lane: Lane, leases: readonly string[]): Promise<void>;
  giveBack(lane: Lane, leaseId: string, delayMs: number): Promise<void>;
  /** Has a ticket heard of again. @throws what the queue does. */
  announce(lane: Lane, ticketKey: string, delayMs: number): Promise<void>;
}

export function openMessages({ queues, log, clock }: RunnerWorld): Messages {
  return {
    async acknowledge(lane, leases) {
      if (leases.length === 0) return;
      await queues[lane]?.ack(leases).catch((error: unknown) => {
        log.warn("messages could not be acknowledged", { error });
      });
    },
    async giveBack(lane, leaseId, delayMs) {
      const delay = Math.ceil(Math.min(delayMs, MAX_GIVE_BACK_MS));
      await queues[lane]?.retry([{ leaseId, delayMs: delay }]).catch((error: unknown) => {
        log.warn("a message could not be given back", { error });
      });
    },
    async announce(lane, ticketKey, delayMs) {
      const message = formatTicketEvent(ticketKey, clock.now());
      await queues[lane]?.send(message, { delayMs: Math.ceil(delayMs) });
    },
  };
}
