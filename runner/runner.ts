/**
 * The runner: hears of tickets (messages, the sweep, hints), claims as many as it has slots, works
 * on them, and finishes their tails.
 *
 * ```
 *  queue ─pull─┐
 *  sweep ──────┼─► pending ─► claimTicket ─► workItem ─► runTail ─► item-ended
 *  hint ───────┘   (slot taken ─────────────► released)
 * ```
 *
 * Event handlers only record; `pump` decides. A message is acknowledged after its claim is durable,
 * since from there the item's state is the truth.
 */
import { setMaxListeners } from "node:events";

import { asClipscribeError, toErrorRecord } from "../core/errors.ts";
import type { Lane } from "../core/ids.ts";
import { keysOf, parseTicketKey } from "../core/keys.ts";
import type { TicketAddress } from "../core/keys.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { ItemState, Ticket } from "../core/records.ts";
import { openArtifactShelf } from "./artifact-shelf.ts";
import { openBudgets } from "./budgets.ts";
import { claimTicket, putPoison } from "./claim.ts";
import type { ClaimContext } from "./claim.ts";
import { CancelledByPerson, ClaimLost, Drained } from "./interruptions.ts";
import { openJobMetadata } from "./job-metadata.ts";
import { openJobRows } from "./job-rows.ts";
import { openLiveness } from "./liveness.ts";
import { formatTicketEvent, parseObjectEvent } from "./object-event.ts";
import { createPendingTickets } from "./pending-tickets.ts";
import type { PendingTicket } from "./pending-tickets.ts";
import { createPools } from "./slots.ts";
import type { Pools } from "./slots.ts";
import { openStageCache } from "./stage-cache.ts";
import { sweepOnce } from "./sweep.ts";
import { runTail } from "./tail.ts";
import { ticketOfItem } from "./item-record.ts";
import { workItem } from "./work-item.ts";
import type { WorkControl, Workshop } from "./work-item.ts";
import type { RunnerWorld } from "./world.ts";

/** A pull that finds nothing waits so long for a first message. */
const PULL_WAIT_MS = 20_000;
/** Cloudflare's largest pull. */
const MAX_PULL = 100;
/** Messages of other people's work come back after this, doubled with each delivery. */
const FOREIGN_DELAY_MS = 250;
const MAX_FOREIGN_DELAY_MS = 60_000;
/** Trouble of the store or the queue is waited out so long at first, doubled each time. */
const TROUBLE_MS = 500;
const MAX_TROUBLE_MS = 30_000;
/** So many failures in a row to take on or finish one ticket end this runner's tries at it. */
const MAX_TROUBLES = 4;

/** What a runner looks after: everything, or some tickets under one prefix. */
export interface RunnerScope {
  /** Swept again and again; null: all of `inbox/`, by the cursor that all runners share. */
  sweepPrefix: string | null;
  accepts(address: TicketAddress): boolean;
}

export interface Runner extends AsyncDisposable {
  /** Aborts when others took this runner for dead: open a new one, under a new id. */
  readonly lost: AbortSignal;
  /** Has a ticket looked at without waiting for its message. */
  hint(ticketKey: string): void;
  /** Number of items under way. */
  readonly active: number;
  /** True while this runner works on the item, or means to. */
  concerns(address: TicketAddress): boolean;
  /** Takes nothing more on; resolves when what it has is done, or after so long. */
  retire(withinMs: number): Promise<void>;
  /** Takes nothing more on and gives back what it has; idempotent. */
  drain(): Promise<void>;
}

export async function openRunner(world: RunnerWorld, scope: RunnerScope): Promise<Runner> {
  const { clock, log, store } = world;
  const keys = keysOf(world.user);
  const shelf = openArtifactShelf(store, keys, world.defences);
  const cache = openStageCache(store, keys, shelf, log, world.defences);
  const jobs = openJobMetadata(store, keys);
  const rows = openJobRows(store, keys, jobs, clock);
  const active = new Map<string, { address: TicketAddress; control: WorkControl }>();
  const busy = new Set<string>();
  const pending = createPendingTickets();
  const troubles = new Map<string, number>();
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const working = new Set<Promise<void>>();
  const itemName = ({ user, job, item }: TicketAddress): string => `${user}/${job}/${item}`;
  const liveness = await openLiveness(
    world,
    () => [...active.values()].map(({ address }) => itemName(address)),
    (items) => void takeOver(items),
  );
  const poolsByPipeline = new WeakMap<CheckedPipeline, Pools>();
  const poolsOf = (pipeline: CheckedPipeline): Pools => {
    const pools = poolsByPipeline.get(pipeline) ?? createPools(pipeline.pools, world.cores);
    poolsByPipeline.set(pipeline, pools);
    return pools;
  };
  const budgets = openBudgets(world, keys);
  const shop: Workshop = { world, keys, shelf, cache, liveness, jobs, budgets, poolsOf };
  const claims: ClaimContext = {
    world,
    keys,
    liveness,
    isActive: (address) => active.has(itemName(address)),
  };
  let taken = 0;
  let isRetiring = false;
  let wakePullers: (() => void)[] = [];

  /** One slot of two or more is kept for urgent work. */
  const freeSlots = (lane: Lane): number => {
    const reserved = lane === "batch" && world.items > 1 ? 1 : 0;
    return world.items - reserved - taken;
  };
  const changed = (): void => {
    pump();
    for (const wake of wakePullers.splice(0)) wake();
  };

  function add(key: string, address: TicketAddress, leaseId?: string): void {
    if (busy.has(itemName(address))) {
      // The ticket under way, or one that comes after it: looked at when that has ended.
      if (leaseId !== undefined) void giveBack(address.lane, leaseId, world.clocks.leaseMs);
      else lookAgain({ key, address }, world.clocks.leaseMs);
      return;
    }
    pending.add(key, address, leaseId);
  }

  function pump(): void {
    while (!stopping.signal.aborted && !isRetiring) {
      const lanes = (["urgent", "batch"] as const).filter((lane) => freeSlots(lane) > 0);
      const ticket = pending.take(lanes);
      if (ticket === undefined) return;
      taken++;
      busy.add(itemName(ticket.address));
      const work = handle(ticket).finally(() => working.delete(work));
      working.add(work);
    }
  }

  /** Takes one ticket from its slot to its end. Never rejects. */
  async function handle(ticket: PendingTicket): Promise<void> {
    const name = itemName(ticket.address);
    let inSlot = true;
    const leaveSlot = (): void => {
      if (inSlot) taken--;
      inSlot = false;
      changed();
    };
    try {
      const againMs = await takeOn(ticket, leaveSlot);
      troubles.delete(ticket.key);
      if (againMs !== undefined) lookAgain(ticket, againMs);
    } catch (error) {
      trouble(ticket, error);
    } finally {
      active.delete(name);
      busy.delete(name);
      leaveSlot();
    }
  }

  /** Returns after how long to look at the ticket again, if at all. */
  async function takeOn(ticket: PendingTicket, leaveSlot: () => void): Promise<number | undefined> {
    const { address, leases } = ticket;
    if (!world.defences.ackAfterClaim) await acknowledge(address.lane, leases);
    const verdict = await claimTicket(claims, address);
    if (verdict.action === "later") {
      await Promise.all(leases.map((lease) => giveBack(address.lane, lease, verdict.ms)));
      return verdict.ms;
    }
    if (verdict.action === "claimed") {
      const abort = new AbortController();
      setMaxListeners(0, abort.signal);
      const control: WorkControl = { abort, paused: false };
      active.set(itemName(address), { address, control });
      if (stopping.signal.aborted) abort.abort(new Drained());
      void acknowledge(address.lane, leases);
      const ended = await workItem(shop, verdict, control);
      active.delete(itemName(address));
      if (active.size === 0) await returnGrants();
      leaveSlot();
      if (ended.end === "requeued") return requeue(ticket, ended.delayMs);
      if (ended.end === "ended") await finish(verdict.ticket, ended.state);
      return ended.end === "lost" ? world.clocks.leaseMs : undefined;
    }
    leaveSlot();
    if (verdict.action === "finish-tail") await finish(verdict.ticket, verdict.state);
    await acknowledge(address.lane, leases);
    return undefined;
  }

  /** What isn't given back counts as spent. */
  async function returnGrants(): Promise<void> {
    await budgets.giveBack().catch((error: unknown) => {
      log.warn("what is left of a budget could not be given back", { error });
    });
  }

  async function requeue(ticket: PendingTicket, delayMs: number): Promise<number | undefined> {
    const message = formatTicketEvent(ticket.key, clock.now());
    await world.queues[ticket.address.lane]?.send(message, { delayMs: Math.ceil(delayMs) });
    return delayMs;
  }

  async function finish(ticket: Ticket, ended: ItemState): Promise<void> {
    await runTail(world, keys, rows, ticket, ended);
    announceEnd(ticket, ended);
  }

  function announceEnd(ticket: Ticket, ended: ItemState): void {
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

  function lookAgain(ticket: Pick<PendingTicket, "key" | "address">, ms: number): void {
    clock.sleep(ms, stopping.signal).then(
      () => {
        add(ticket.key, ticket.address);
        changed();
      },
      () => undefined,
    );
  }

  /** The store or the queue did not do what it should: wait, then look at the ticket again. */
  function trouble(ticket: PendingTicket, thrown: unknown): void {
    const error = asClipscribeError(thrown);
    const count = (troubles.get(ticket.key) ?? 0) + 1;
    troubles.set(ticket.key, count);
    log.error("an item could not be taken on or finished", {
      ticket: ticket.key,
      error: toErrorRecord(error),
    });
    const { job, item, run } = ticket.address;
    if (count > MAX_TROUBLES || error.kind !== "transient") {
      world.listener({
        type: "item-troubled",
        job_id: job,
        item_id: item,
        run,
        error: toErrorRecord(error),
      });
      return;
    }
    lookAgain(ticket, Math.min(MAX_TROUBLE_MS, TROUBLE_MS * 2 ** count));
  }

  async function acknowledge(lane: Lane, leases: readonly string[]): Promise<void> {
    if (leases.length === 0) return;
    // A lost acknowledgement only means that the message comes again.
    await world.queues[lane]?.ack(leases).catch((error: unknown) => {
      log.warn("messages could not be acknowledged", { error });
    });
  }

  async function giveBack(lane: Lane, leaseId: string, delayMs: number): Promise<void> {
    const delay = Math.ceil(Math.min(delayMs, MAX_FOREIGN_DELAY_MS));
    await world.queues[lane]?.retry([{ leaseId, delayMs: delay }]).catch((error: unknown) => {
      log.warn("a message could not be given back", { error });
    });
  }

  async function pullLane(lane: Lane): Promise<void> {
    const queue = world.queues[lane];
    let failures = 0;
    while (queue !== undefined && !stopping.signal.aborted) {
      const room = Math.min(MAX_PULL, 2 * freeSlots(lane) - pending.count(lane));
      if (freeSlots(lane) <= 0 || room <= 0 || isRetiring) {
        await new Promise<void>((resolve) => wakePullers.push(resolve));
        continue;
      }
      try {
        const events = await queue.pull({
          max: room,
          visibilityMs: 3 * world.clocks.leaseMs,
          waitMs: PULL_WAIT_MS,
          signal: stopping.signal,
        });
        failures = 0;
        for (const event of events) await hear(lane, event);
        changed();
      } catch (error) {
        if (stopping.signal.aborted) return;
        failures++;
        log.warn("the queue does not answer", { error: asClipscribeError(error).message });
        const waitMs = Math.min(MAX_TROUBLE_MS, TROUBLE_MS * 2 ** failures);
        await clock.sleep(waitMs, stopping.signal).catch(() => undefined);
      }
    }
  }

  async function hear(
    lane: Lane,
    event: { leaseId: string; body: string; attempts: number },
  ): Promise<void> {
    const meaning = parseObjectEvent(event.body);
    if (meaning.kind === "ticket" && meaning.address.user === world.user) {
      if (scope.accepts(meaning.address)) return add(meaning.key, meaning.address, event.leaseId);
      const delayMs = FOREIGN_DELAY_MS * 2 ** Math.min(event.attempts, 10);
      return giveBack(lane, event.leaseId, delayMs);
    }
    if (meaning.kind === "unreadable") {
      await putPoison(world, Buffer.from(event.body), `message in ${lane}`);
    }
    await acknowledge(lane, [event.leaseId]);
  }

  async function sweep(prefix: string | null, minAgeMs?: number): Promise<void> {
    const look = (key: string, address: TicketAddress): boolean => {
      if (address.user !== world.user || !scope.accepts(address)) return true;
      add(key, address);
      return pending.count(address.lane) < Math.max(1, freeSlots(address.lane)) * 4;
    };
    const { signal } = stopping;
    const age = minAgeMs === undefined ? {} : { minAgeMs };
    await sweepOnce({ world, liveness, prefix, look, signal, ...age }).catch((error: unknown) => {
      if (!signal.aborted) log.warn("a sweep failed", { error: asClipscribeError(error).message });
    });
    changed();
  }

  async function keepSweeping(): Promise<void> {
    while (!stopping.signal.aborted) {
      await clock.sleep(world.clocks.sweepMs, stopping.signal);
      await sweep(scope.sweepPrefix);
    }
  }

  /** With each beat: what people want of the jobs under way. */
  async function watchControl(): Promise<void> {
    while (!stopping.signal.aborted) {
      await clock.sleep(world.clocks.leaseMs / 3, stopping.signal);
      for (const { address, control } of active.values()) {
        const metadata = await jobs.read(address.job).catch(() => undefined);
        if (metadata?.control.state === "paused") control.paused = true;
        if (metadata?.control.state === "cancelled") control.abort.abort(new CancelledByPerson());
      }
    }
  }

  function stop(reason: () => Error): void {
    stopping.abort();
    for (const { control } of active.values()) control.abort.abort(reason());
    for (const wake of wakePullers.splice(0)) wake();
  }

  liveness.lost.addEventListener("abort", () => stop(() => new ClaimLost(liveness.lost.reason)), {
    once: true,
  });
  const loops = [
    pullLane("urgent"),
    pullLane("batch"),
    keepSweeping().catch(() => undefined),
    watchControl().catch(() => undefined),
  ];

  async function retire(withinMs: number): Promise<void> {
    isRetiring = true;
    const left = new AbortController();
    const late = clock.sleep(withinMs, left.signal).catch(() => undefined);
    await Promise.race([Promise.all(working), late]);
    left.abort();
  }

  /** A runner has died: its items need not wait to be swept, nor to be older. */
  async function takeOver(items: readonly string[]): Promise<void> {
    for (const name of items) {
      const ticket = await ticketOfItem(store, keys, name).catch(() => undefined);
      if (ticket !== undefined && scope.accepts(ticket.address)) add(ticket.key, ticket.address);
    }
    changed();
    // What it took on after its last beat is in no list of its.
    await sweep(scope.sweepPrefix ?? "inbox/", 0);
  }

  async function drain(): Promise<void> {
    stop(() => new Drained());
    await Promise.all(loops);
    await Promise.all(working);
  }

  return {
    lost: liveness.lost,
    get active() {
      return active.size;
    },
    concerns: (address) => busy.has(itemName(address)),
    hint(ticketKey) {
      const address = parseTicketKey(ticketKey);
      if (address === undefined) return;
      add(ticketKey, address);
      pump();
    },
    retire,
    drain,
    async [Symbol.asyncDispose]() {
      await drain();
      await liveness[Symbol.asyncDispose]();
    },
  };
}
