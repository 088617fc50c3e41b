/**
 * Which ticket gets a slot, and when. Whoever hears of a ticket only adds it; `pump` decides. An item
 * is under way once, and a ticket that comes meanwhile is looked at when that has ended.
 */
import { asClipscribeError, isDiskFull, toErrorRecord } from "../core/errors.ts";
import type { Lane } from "../core/ids.ts";
import type { TicketAddress } from "../core/keys.ts";
import { nameOfItem } from "./item-name.ts";
import type { Messages } from "./messages.ts";
import { createPendingTickets } from "./pending-tickets.ts";
import type { PendingTicket } from "./pending-tickets.ts";
import type { RunnerWorld } from "./world.ts";

/** Cloudflare's largest pull. */
const MAX_PULL = 100;
/** Trouble of the store is waited out so long at first, doubled each time. */
const TROUBLE_MS = 500;
const MAX_TROUBLE_MS = 30_000;
/** So many failures in a row to take on or finish one ticket end this runner's tries at it. */
const MAX_TROUBLES = 4;
/** A ticket that only a person can help is looked at again after so many leases. */
const LEFT_ALONE_LEASES = 20;
/** So many tickets a free slot are remembered; the rest is found again. */
const PENDING_A_SLOT = 4;

export interface DispatchOptions {
  world: RunnerWorld;
  messages: Messages;
  /** Takes one ticket to its end; returns after how long to look at it again, if at all. */
  handle: (ticket: PendingTicket, leaveSlot: () => void) => Promise<number | undefined>;
  /** Hears that a ticket was heard of, and that one was handled. */
  note: (what: "heard" | "moved") => void;
  /** Once it aborts, nothing more is taken on. */
  stopping: AbortSignal;
}

export interface Dispatch {
  add(key: string, address: TicketAddress, leaseId?: string): void;
  /** Starts what has a slot, and wakes who waits for room. */
  pump(): void;
  /** How many messages of a lane are worth pulling now. */
  room(lane: Lane): number;
  /** False once a lane has tickets enough to wait for slots. */
  hasRoomToWait(lane: Lane): boolean;
  /** Resolves at the next change of slots. */
  waitForChange(): Promise<void>;
  isBusy(address: TicketAddress): boolean;
  /** True while any ticket is in hand, or has a slot to wait for. */
  hasWork(): boolean;
  /** Tickets that have a slot or wait for one: not those of whose run only the tail is left. */
  toCome(): number;
  /** True once it takes nothing more on. */
  readonly isRetiring: boolean;
  /** Takes nothing more on; resolves when the messages of what waits for a slot are others'. */
  retire(): Promise<void>;
  /** Resolves when all that is under way now has ended. */
  settle(): Promise<void>;
}

export function openDispatch(options: DispatchOptions): Dispatch {
  const { world, messages, handle, note, stopping } = options;
  const { clock, log } = world;
  const pending = createPendingTickets();
  const busy = new Set<string>();
  const troubles = new Map<string, number>();
  /** Tickets that no further try helps, and until when: the sweep finds each again and again. */
  const leftAlone = new Map<string, number>();
  const working = new Set<Promise<void>>();
  /** Tickets that a timer brings back; one each, however often a sweep finds them meanwhile. */
  const again = new Set<string>();
  /** Slots by the lane of their item. */
  const taken: Record<Lane, number> = { urgent: 0, batch: 0 };
  let isRetiring = false;
  const waiting: (() => void)[] = [];
  stopping.addEventListener("abort", wakeAll, { once: true });

  function wakeAll(): void {
    for (const wake of waiting.splice(0)) wake();
  }

  /** Of two slots or more, one is never taken by batch work. */
  function freeSlots(lane: Lane): number {
    const free = world.items - taken.urgent - taken.batch;
    if (lane === "urgent" || world.items < 2) return free;
    return Math.min(free, world.items - 1 - taken.batch);
  }

  function waitingForSlots(): number {
    return pending.count("urgent") + pending.count("batch");
  }

  function pump(): void {
    while (!stopping.aborted && !isRetiring) {
      const lanes = (["urgent", "batch"] as const).filter((lane) => freeSlots(lane) > 0);
      const ticket = pending.take(lanes);
      if (ticket === undefined) break;
      taken[ticket.address.lane]++;
      busy.add(nameOfItem(ticket.address));
      const work = take(ticket).finally(() => working.delete(work));
      working.add(work);
    }
    wakeAll();
  }

  /** Takes one ticket from its slot to its end. Never rejects. */
  async function take(ticket: PendingTicket): Promise<void> {
    let inSlot = true;
    const leaveSlot = (): void => {
      if (inSlot) taken[ticket.address.lane]--;
      inSlot = false;
      pump();
    };
    try {
      const againMs = await handle(ticket, leaveSlot);
      troubles.delete(ticket.key);
      if (againMs !== undefined) lookAgain(ticket, againMs);
    } catch (error) {
      trouble(ticket, error);
    } finally {
      busy.delete(nameOfItem(ticket.address));
      note("moved");
      leaveSlot();
    }
  }

  function add(key: string, address: TicketAddress, leaseId?: string): void {
    note("heard");
    if (isLeftAlone(key)) {
      if (leaseId !== undefined) void messages.acknowledge(address.lane, [leaseId]);
      return;
    }
    if (isRetiring) {
      if (leaseId !== undefined) void giveBack(address.lane, [leaseId]);
      return;
    }
    if (!busy.has(nameOfItem(address))) return pending.add(key, address, leaseId);
    const { leaseMs } = world.clocks;
    if (leaseId !== undefined) void messages.giveBack(address.lane, leaseId, leaseMs);
    else lookAgain({ key, address }, leaseMs);
  }

  /** For others to hear at once, not when the leases run out. */
  async function giveBack(lane: Lane, leases: readonly string[]): Promise<void> {
    await Promise.all(leases.map(async (lease) => messages.giveBack(lane, lease, 0)));
  }

  function isLeftAlone(key: string): boolean {
    const untilMs = leftAlone.get(key);
    if (untilMs === undefined || clock.monotonicMs() < untilMs) return untilMs !== undefined;
    leftAlone.delete(key);
    return false;
  }

  function leaveAlone(key: string): void {
    const nowMs = clock.monotonicMs();
    for (const [other, untilMs] of leftAlone) if (untilMs <= nowMs) leftAlone.delete(other);
    leftAlone.set(key, nowMs + LEFT_ALONE_LEASES * world.clocks.leaseMs);
  }

  function lookAgain(ticket: Pick<PendingTicket, "key" | "address">, ms: number): void {
    if (again.has(ticket.key)) return;
    again.add(ticket.key);
    clock.sleep(ms, stopping).then(
      () => {
        again.delete(ticket.key);
        add(ticket.key, ticket.address);
        pump();
      },
      () => undefined,
    );
  }

  /** The store or the queue did not do what it should: wait, then look at the ticket again. */
  function trouble(ticket: PendingTicket, thrown: unknown): void {
    const error = toErrorRecord(asClipscribeError(thrown));
    const count = (troubles.get(ticket.key) ?? 0) + 1;
    troubles.set(ticket.key, count);
    log.error("an item could not be taken on or finished", { ticket: ticket.key, error });
    const { job: job_id, item: item_id, run } = ticket.address;
    if (isDiskFull(error)) {
      // Whoever watches is told at once; whoever does not finds it going on once there is room.
      world.listener({ type: "item-troubled", job_id, item_id, run, error });
      return lookAgain(ticket, MAX_TROUBLE_MS);
    }
    if (count > MAX_TROUBLES || error.kind !== "transient") {
      if (error.kind !== "transient") leaveAlone(ticket.key);
      // The sweep finds it again, or somebody else ends it: nothing is remembered of it here.
      troubles.delete(ticket.key);
      world.listener({ type: "item-troubled", job_id, item_id, run, error });
      return;
    }
    lookAgain(ticket, Math.min(MAX_TROUBLE_MS, TROUBLE_MS * 2 ** count));
  }

  return {
    add,
    pump,
    room(lane) {
      const free = freeSlots(lane);
      if (isRetiring) return 0;
      if (free <= 0) {
        // Its turn comes among the urgent ones that wait: then one has to be there.
        const isNext = pending.count("urgent") > 0 && pending.count("batch") === 0;
        return lane === "batch" && isNext && world.items - 1 > taken.batch ? 1 : 0;
      }
      return Math.max(0, Math.min(MAX_PULL, 2 * free - pending.count(lane)));
    },
    hasRoomToWait: (lane) => pending.count(lane) < Math.max(1, freeSlots(lane)) * PENDING_A_SLOT,
    waitForChange: async () => new Promise<void>((resolve) => waiting.push(resolve)),
    isBusy: (address) => busy.has(nameOfItem(address)),
    hasWork: () => busy.size > 0 || waitingForSlots() > 0,
    toCome: () => taken.urgent + taken.batch + waitingForSlots(),
    get isRetiring() {
      return isRetiring;
    },
    async retire() {
      isRetiring = true;
      const waiting = pending.takeAll();
      await Promise.all(waiting.map(async ({ address, leases }) => giveBack(address.lane, leases)));
    },
    async settle() {
      await Promise.all(working);
    },
  };
}
