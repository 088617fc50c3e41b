/**
 * Tickets to look at, once each, however often they are heard of: from a message, a listing, or
 * whoever wrote them. Messages are kept with their ticket until it is known what became of it.
 */
import type { TicketAddress } from "../core/keys.ts";
import type { Lane } from "../core/ids.ts";

/** A flood of urgent work slows batch work down to a fifth of the starts; it does not end it. */
const URGENT_IN_A_ROW = 4;

export interface PendingTicket {
  key: string;
  address: TicketAddress;
  leases: string[];
}

export interface PendingTickets {
  add(key: string, address: TicketAddress, leaseId?: string): void;
  /**
   * Takes the next ticket of one of these lanes: urgent ones first, but after URGENT_IN_A_ROW of them
   * a batch ticket that waits has its turn.
   */
  take(lanes: readonly Lane[]): PendingTicket | undefined;
  /** Takes all that is left. */
  takeAll(): PendingTicket[];
  count(lane: Lane): number;
}

export function createPendingTickets(): PendingTickets {
  const lanes: Record<Lane, Map<string, PendingTicket>> = { urgent: new Map(), batch: new Map() };
  let inARow = 0;
  return {
    add(key, address, leaseId) {
      const tickets = lanes[address.lane];
      const known = tickets.get(key);
      const leases = leaseId === undefined ? [] : [leaseId];
      if (known === undefined) tickets.set(key, { key, address, leases });
      else known.leases.push(...leases);
    },
    take(wanted) {
      const isBatchsTurn = inARow >= URGENT_IN_A_ROW && wanted.includes("batch");
      const order: Lane[] = isBatchsTurn ? ["batch", "urgent"] : ["urgent", "batch"];
      for (const lane of order) {
        const [first] = wanted.includes(lane) ? lanes[lane] : [];
        if (first === undefined) continue;
        lanes[lane].delete(first[0]);
        // Counted only while somebody waits for it.
        inARow = lane === "urgent" && lanes.batch.size > 0 ? inARow + 1 : 0;
        return first[1];
      }
      return undefined;
    },
    takeAll() {
      const all = Object.values(lanes).flatMap((tickets) => [...tickets.values()]);
      for (const tickets of Object.values(lanes)) tickets.clear();
      return all;
    },
    count: (lane) => lanes[lane].size,
  };
}
