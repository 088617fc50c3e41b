/** What a runner says to its queues. A message is only a hint, so none of this may end anything. */
import type { Lane } from "../core/ids.ts";
import { formatTicketEvent } from "./object-event.ts";
import type { RunnerWorld } from "./world.ts";

/** A message that was given back comes again after this at most. */
const MAX_GIVE_BACK_MS = 60_000;
/** Acknowledgements wait so long for others: one request, or one transaction, for all of them. */
const GATHER_MS = 20;

export interface Messages {
  /**
   * Resolves when it was sent, which is a moment later, together with others. A lost acknowledgement
   * only means that the message comes again.
   */
  acknowledge(lane: Lane, leases: readonly string[]): Promise<void>;
  giveBack(lane: Lane, leaseId: string, delayMs: number): Promise<void>;
  /** Has a ticket heard of again. @throws what the queue does. */
  announce(lane: Lane, ticketKey: string, delayMs: number): Promise<void>;
  /** Sends now what still waits; resolves when all is sent. */
  settle(): Promise<void>;
}

interface Batch {
  leases: string[];
  hurry: AbortController;
  sent: Promise<void>;
}

export function openMessages({ queues, log, clock }: RunnerWorld): Messages {
  const gathering = new Map<Lane, Batch>();
  const underWay = new Set<Promise<void>>();

  function gather(lane: Lane): Batch {
    const hurry = new AbortController();
    const leases: string[] = [];
    const send = async (): Promise<void> => {
      await clock.sleep(GATHER_MS, hurry.signal).catch(() => undefined);
      gathering.delete(lane);
      await queues[lane]?.ack(leases).catch((error: unknown) => {
        log.warn("messages could not be acknowledged", { error });
      });
    };
    const sent = send().finally(() => underWay.delete(sent));
    underWay.add(sent);
    const batch = { leases, hurry, sent };
    gathering.set(lane, batch);
    return batch;
  }

  return {
    async acknowledge(lane, leases) {
      if (leases.length === 0) return;
      const batch = gathering.get(lane) ?? gather(lane);
      batch.leases.push(...leases);
      await batch.sent;
    },
    async settle() {
      for (const { hurry } of gathering.values()) hurry.abort();
      await Promise.all(underWay);
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
