/**
 * The runner: hears of tickets (messages, the sweep, hints), claims as many as it has slots, works
 * on them, and finishes their tails.
 *
 * ```
 *  pull-lane or ──┐
 *  list-lane      │
 *  keep-sweeping ─┼─► dispatch ─► handle-ticket: claimTicket ─► workItem ─► runTail
 *  hint, drops ───┘   (slot taken ──────────────────────────► released)
 * ```
 */
import { setMaxListeners } from "node:events";

import { Lane } from "../core/ids.ts";
import { keysOf, parseTicketKey } from "../core/keys.ts";
import type { TicketAddress } from "../core/keys.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Ticket } from "../core/records.ts";
import { openAdoptions } from "./adopt-drops.ts";
import { ageingOf, openArtifactShelf } from "./artifact-shelf.ts";
import { openBudgets } from "./budgets.ts";
import { openDispatch } from "./dispatch.ts";
import { openTicketHandler } from "./handle-ticket.ts";
import type { ActiveItems } from "./handle-ticket.ts";
import { ClaimLost, Drained } from "./interruptions.ts";
import { nameOfItem } from "./item-name.ts";
import { openJobMetadata } from "./job-metadata.ts";
import { openJobRows } from "./job-rows.ts";
import { openSweeping } from "./keep-sweeping.ts";
import { listLane } from "./list-lane.ts";
import { openLiveness } from "./liveness.ts";
import type { Liveness } from "./liveness.ts";
import { lookAhead } from "./look-ahead.ts";
import { openMailRoom } from "./mail-room.ts";
import { openMessages } from "./messages.ts";
import { pullLane } from "./pull-lane.ts";
import { createPools } from "./pools.ts";
import type { Pools } from "./pools.ts";
import { openStageCache } from "./stage-cache.ts";
import { openWatchdog } from "./watchdog.ts";
import { watchControl } from "./watch-control.ts";
import type { Workshop } from "./work-item.ts";
import type { RunnerWorld } from "./world.ts";

/** What a runner looks after: everything, or some tickets under one prefix. */
export interface RunnerScope {
  /** Swept again and again; null: all of `inbox/`, by the cursor that all runners share, and drops. */
  sweepPrefix: string | null;
  accepts(address: TicketAddress): boolean;
}

export interface Runner extends AsyncDisposable {
  /** Aborts when others took this runner for dead: open a new one, under a new id. */
  readonly lost: AbortSignal;
  /** Aborts, with the reason, when this process gets nothing done: its supervisor starts it anew. */
  readonly stalled: AbortSignal;
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

export async function openRunner(given: RunnerWorld, scope: RunnerScope): Promise<Runner> {
  const world: RunnerWorld = {
    ...given,
    listener(event) {
      parts.watchdog.note("moved");
      given.listener(event);
    },
  };
  const active: ActiveItems = new Map();
  const stop = new AbortController();
  const stopping = stop.signal;
  setMaxListeners(0, stopping);
  const liveness = await openLiveness(world, () => [...active.keys()]);
  const parts = openParts({ world, scope, active, liveness, stopping });
  const { dispatch, adoptions, mail, messages } = parts;

  function end(reason: () => Error): void {
    stop.abort();
    for (const { control } of active.values()) control.abort.abort(reason());
  }
  const onLost = (): void => end(() => new ClaimLost(liveness.lost.reason));
  liveness.lost.addEventListener("abort", onLost, { once: true });
  const loops = startLoops(parts, { world, scope, active, liveness, stopping });

  async function retire(withinMs: number): Promise<void> {
    adoptions?.retire();
    const left = new AbortController();
    const late = world.clock.sleep(withinMs, left.signal).catch(() => undefined);
    await Promise.race([Promise.all([dispatch.retire(), dispatch.settle()]), late]);
    left.abort();
  }

  async function drain(): Promise<void> {
    end(() => new Drained());
    await Promise.all([dispatch.retire(), ...loops]);
    await adoptions?.settle();
    await dispatch.settle();
    await messages.settle();
  }

  return {
    lost: liveness.lost,
    stalled: parts.watchdog.stalled,
    get active() {
      return active.size;
    },
    concerns: (address) => dispatch.isBusy(address),
    hint(ticketKey) {
      const address = parseTicketKey(ticketKey);
      if (address === undefined) return;
      dispatch.add(ticketKey, address);
      dispatch.pump();
    },
    retire,
    drain,
    async [Symbol.asyncDispose]() {
      await drain();
      await mail[Symbol.asyncDispose]();
      await liveness[Symbol.asyncDispose]();
    },
  };
}

interface RunnerBase {
  world: RunnerWorld;
  scope: RunnerScope;
  active: ActiveItems;
  liveness: Liveness;
  stopping: AbortSignal;
}

type Parts = ReturnType<typeof openParts>;

/** Whoever looks after everything also has drops and the backlog to look after. */
function looksAfterAll({ sweepPrefix }: RunnerScope): boolean {
  return sweepPrefix === null;
}

function openParts({ world, scope, active, liveness, stopping }: RunnerBase) {
  const keys = keysOf(world.user);
  const jobs = openJobMetadata(world.store, keys);
  const messages = openMessages(world);
  const shop = openWorkshop(world, keys, { jobs, liveness });
  const claims = {
    world,
    keys,
    liveness,
    isActive: (address: TicketAddress) => active.has(nameOfItem(address)),
    lookAhead: (ticket: Ticket, pipeline: CheckedPipeline) =>
      lookAhead({ world, jobs, cache: shop.cache, stopping }, ticket, pipeline),
  };
  const mail = openMailRoom({ world, keys, shelf: shop.shelf, jobs, liveness, scope, stopping });
  const { onFinished } = mail.finisher;
  const rows = openJobRows({
    store: world.store,
    keys,
    jobs,
    clock: world.clock,
    onFinished,
    stopping,
    toCome: () => dispatch.toCome(),
  });
  const handle = openTicketHandler({ shop, claims, rows, keys, messages, active, stopping });
  const watchdog = openWatchdog({
    world,
    keys,
    isBusy: () => dispatch.hasWork(),
    longestStageMs: () => shop.longestStageMs(),
    stopping,
  });
  const { note } = watchdog;
  const dispatch = openDispatch({ world, messages, handle, note, stopping });
  const adoptions = looksAfterAll(scope)
    ? openAdoptions({ world, keys, jobs, dispatch, messages, stopping })
    : null;
  return { keys, jobs, messages, shop, mail, watchdog, dispatch, adoptions };
}

function startLoops(parts: Parts, base: RunnerBase): Promise<void>[] {
  const { keys, jobs, messages, shop, watchdog, dispatch, adoptions } = parts;
  const { world, scope, active, liveness, stopping } = base;
  const accepts = (address: TicketAddress): boolean => scope.accepts(address);
  const prefix = scope.sweepPrefix;
  const sweeping = openSweeping({ world, keys, dispatch, adoptions, prefix, accepts, stopping });
  liveness.startWatching({
    onDeath: (items) => void sweeping.takeOver(liveness, items),
    onFleetChange: () => shop.adjustPools(),
  });
  const pulling = { world, dispatch, messages, accepts, adoptions, stopping };
  const listing = { world, keys, dispatch, liveness, accepts, stopping };
  return [
    ...Lane.options.map(async (lane) => {
      if (world.queues[lane] !== undefined) return pullLane(pulling, lane);
      // Who looks after one job of its own is told of its tickets.
      return looksAfterAll(scope) ? listLane(listing, lane) : undefined;
    }),
    sweeping.keepSweeping(liveness),
    watchControl(world, jobs, active, stopping),
    ...(looksAfterAll(scope) ? [watchdog.watch()] : []),
  ];
}

/** What the work on any item shares. */
function openWorkshop(
  world: RunnerWorld,
  keys: Workshop["keys"],
  { jobs, liveness }: Pick<Workshop, "jobs" | "liveness">,
): Workshop & { adjustPools: () => void; longestStageMs: () => number } {
  const { store, log, defences } = world;
  const shelf = openArtifactShelf(store, keys, defences, ageingOf(world));
  const cache = openStageCache(store, keys, shelf, log, defences);
  const budgets = openBudgets(world, keys);
  const pools = new Map<CheckedPipeline, Pools>();
  const poolsOf = (pipeline: CheckedPipeline): Pools => {
    const found =
      pools.get(pipeline) ?? createPools(pipeline.pools, world.cores, () => liveness.place());
    pools.set(pipeline, found);
    return found;
  };
  const adjustPools = (): void => {
    for (const each of pools.values()) each.adjust();
  };
  const longestStageMs = (): number =>
    Math.max(0, ...[...pools.keys()].flatMap(({ stages }) => stages.map((s) => s.timeoutMs)));
  const shared = { world, keys, shelf, cache, liveness, jobs, budgets, poolsOf };
  return { ...shared, adjustPools, longestStageMs };
}
