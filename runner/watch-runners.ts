/**
 * Who else lives: one listing of `sys/runners/` shows who has written since. Whoever stands still for
 * a lease of this runner's monotonic clock is marked dead by compare-and-swap, and so is, on one
 * machine and at once, a record whose process is gone.
 */
import { isKind } from "../core/errors.ts";
import { RunnerId } from "../core/ids.ts";
import { systemKeys } from "../core/keys.ts";
import { RunnerRecord } from "../core/records.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag, ObjectInfo } from "../ports/object-store.ts";
import type { FleetPlace } from "./pools.ts";
import type { OfficeWorld } from "./world.ts";

/** So many leases after its death nobody needs a runner's record any more. */
const FORGET_LEASES = 20;

interface Seen {
  etag: Etag;
  /** When this version was first seen, by the monotonic clock. */
  atMs: number;
  isDead: boolean;
  /** Of its process, where that says something here. */
  process: RunnerRecord["process"];
}

export interface RunnerWatchOptions {
  world: OfficeWorld;
  /** Hears of this runner's own record as the store has it. */
  onSelf: (info: ObjectInfo) => void;
  /** Hears once of each runner that this one has marked dead. */
  onDeath: (items: readonly string[]) => void;
  onFleetChange: () => void;
}

export interface RunnerWatch {
  /** Lists the runners once. */
  look(): Promise<void>;
  isAlive(other: RunnerId): Promise<boolean>;
  /** Undefined before the first look. */
  place(): FleetPlace | undefined;
}

export function openRunnerWatch(options: RunnerWatchOptions): RunnerWatch {
  const { world, onSelf, onDeath, onFleetChange } = options;
  const { store, clock, clocks, processes, runner } = world;
  const ownKey = systemKeys.runner(runner);
  const seen = new Map<RunnerId, Seen>();
  let fleet: FleetPlace | undefined;

  async function look(): Promise<void> {
    const listed = new Set<RunnerId>();
    for await (const info of store.list(systemKeys.runners)) {
      if (info.key === ownKey) onSelf(info);
      const id = parseRunnerKey(info.key);
      if (id === undefined || id === runner) continue;
      listed.add(id);
      await consider(id, info.etag);
    }
    for (const id of seen.keys()) if (!listed.has(id)) seen.delete(id);
    const living = [...seen].filter(([, { isDead }]) => !isDead).map(([id]) => id);
    const place = { size: living.length + 1, rank: living.filter((id) => id < runner).length };
    const isSame = fleet?.size === place.size && fleet.rank === place.rank;
    fleet = place;
    if (!isSame) onFleetChange();
  }

  async function consider(id: RunnerId, etag: Etag): Promise<void> {
    const before = seen.get(id);
    // Its process, and whether it was dead before this runner began, only the record tells.
    if (before === undefined) return void (await readAlive(id));
    if (before.etag !== etag) {
      seen.set(id, { ...before, etag, atMs: clock.monotonicMs(), isDead: false });
      return;
    }
    const silentMs = clock.monotonicMs() - before.atMs;
    if (before.isDead) {
      // A missing record means a dead claim just as well.
      if (silentMs > FORGET_LEASES * clocks.leaseMs) {
        await store.delete(systemKeys.runner(id), { ifMatch: etag }).catch(() => undefined);
      }
      return;
    }
    if (silentMs >= clocks.leaseMs || isGone(before.process)) await readAlive(id);
  }

  function isGone(process: RunnerRecord["process"]): boolean {
    return process !== null && processes?.isGone(process) === true;
  }

  /** Reads the record; marks it dead where it has to be. */
  async function readAlive(id: RunnerId): Promise<boolean> {
    const found = await getIfPresent(store, systemKeys.runner(id));
    const record = found && RunnerRecord.safeParse(parseJson(found.body)).data;
    if (found === undefined || record === undefined) return false;
    const { etag } = found;
    const before = seen.get(id);
    const atMs = before?.etag === etag ? before.atMs : clock.monotonicMs();
    const process = record.host === processes?.host ? record.process : null;
    const isDead = record.status === "dead";
    seen.set(id, { etag, atMs, isDead, process });
    if (isDead) return false;
    const isStill = clock.monotonicMs() - atMs >= clocks.leaseMs;
    if (!isStill && !isGone(process)) return true;
    const marked = await markDead(record, etag);
    // It changed meanwhile: it lives after all.
    if (marked === undefined) return true;
    seen.set(id, { etag: marked, atMs: clock.monotonicMs(), isDead: true, process });
    onDeath(record.items);
    return false;
  }

  async function markDead(record: RunnerRecord, etag: Etag): Promise<Etag | undefined> {
    const dead = Buffer.from(JSON.stringify({ ...record, status: "dead" }));
    try {
      const marked = await store.put(systemKeys.runner(record.runner), dead, { ifMatch: etag });
      world.log.info("a runner is dead; its items are taken over", { runner: record.runner });
      return marked;
    } catch (error) {
      if (isKind(error, "conflict")) return undefined;
      throw error;
    }
  }

  return {
    look,
    isAlive: async (other) => other === runner || readAlive(other),
    place: () => fleet,
  };
}

function parseRunnerKey(key: string): RunnerId | undefined {
  return RunnerId.safeParse(key.slice(systemKeys.runners.length, -".json".length)).data;
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString("utf8")) as unknown;
  } catch {
    return undefined;
  }
}
