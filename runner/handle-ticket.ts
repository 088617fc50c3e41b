/**
 * One ticket from its slot to its end: claim, acknowledge, work, tail. A message is acknowledged
 * after the claim is durable, since from there the item's state is the truth.
 */
import { setMaxListeners } from "node:events";

import type { UserKeys } from "../core/keys.ts";
import type { TicketAddress } from "../core/keys.ts";
import type { Ticket } from "../core/records.ts";
import { claimTicket } from "./claim.ts";
import type { ClaimContext } from "./claim.ts";
import { Drained } from "./interruptions.ts";
import { nameOfItem } from "./item-name.ts";
import type { JobRows } from "./job-rows.ts";
import type { Messages } from "./messages.ts";
import type { PendingTicket } from "./pending-tickets.ts";
import { endSuperseded, runTail } from "./tail.ts";
import type { EndedItem } from "./tail.ts";
import { workItem } from "./work-item.ts";
import type { WorkControl, Workshop } from "./work-item.ts";

/** Items under a claim of this runner, by name. */
export type ActiveItems = Map<string, { address: TicketAddress; control: WorkControl }>;

export interface TicketHandlerOptions {
  shop: Workshop;
  claims: ClaimContext;
  rows: JobRows;
  keys: UserKeys;
  messages: Messages;
  active: ActiveItems;
  stopping: AbortSignal;
}

/** Returns after how long to look at the ticket again, if at all. */
export type TicketHandler = (
  ticket: PendingTicket,
  leaveSlot: () => void,
) => Promise<number | undefined>;

export function openTicketHandler(options: TicketHandlerOptions): TicketHandler {
  const { shop, claims, rows, keys, messages, active, stopping } = options;
  const { world } = shop;

  async function finish(ticket: Ticket, end: EndedItem): Promise<void> {
    await runTail(world, keys, rows, ticket, end);
    const { state: ended } = end;
    world.listener({
      type: "item-ended",
      job_id: ticket.job_id,
      item_id: ticket.item_id,
      run: ticket.run,
      status: ended.status,
      cost_usd: ended.cost,
      manifest: ended.manifest,
      error: ended.error,
    });
  }

  /** What isn't given back counts as spent. */
  async function returnGrants(): Promise<void> {
    await shop.budgets.giveBack().catch((error: unknown) => {
      world.log.warn("what is left of a budget could not be given back", { error });
    });
  }

  function activate(address: TicketAddress): WorkControl {
    const abort = new AbortController();
    setMaxListeners(0, abort.signal);
    const control: WorkControl = { abort, paused: false };
    active.set(nameOfItem(address), { address, control });
    if (stopping.aborted) abort.abort(new Drained());
    return control;
  }

  return async ({ key, address, leases }, leaveSlot) => {
    const { lane } = address;
    if (!world.defences.ackAfterClaim) await messages.acknowledge(lane, leases);
    const verdict = await claimTicket(claims, address);
    if (verdict.action === "later") {
      await Promise.all(leases.map((lease) => messages.giveBack(lane, lease, verdict.ms)));
      return verdict.ms;
    }
    if (verdict.action !== "claimed") {
      leaveSlot();
      if (verdict.action === "finish-tail") await finish(verdict.ticket, verdict);
      if (verdict.action === "end-superseded") {
        await endSuperseded(world, keys, verdict.ticket, verdict.version);
      }
      await messages.acknowledge(lane, leases);
      return undefined;
    }
    const control = activate(address);
    try {
      void messages.acknowledge(lane, leases);
      const ended = await workItem(shop, verdict, control);
      active.delete(nameOfItem(address));
      if (active.size === 0) await returnGrants();
      leaveSlot();
      if (ended.end === "ended") await finish(verdict.ticket, ended);
      if (ended.end !== "requeued") return ended.end === "lost" ? world.clocks.leaseMs : undefined;
      await messages.announce(lane, key, ended.delayMs);
      return ended.delayMs;
    } finally {
      active.delete(nameOfItem(address));
    }
  };
}
