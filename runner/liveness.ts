/**
 * Who lives. A runner lives while its record under `sys/runners/` changes; whoever sees one stand
 * still for a lease of their own monotonic clock marks it dead by compare-and-swap. No two clocks
 * are compared. On one machine a record whose process is gone counts as dead at once.
 */
import { ClipscribeError, asClipscribeError, isKind } from "../core/errors.ts";
import { RunnerId } from "../core/ids.ts";
import { systemKeys } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { RunnerRecord } from "../core/records.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag } from "../ports/object-store.ts";
import type { OfficeWorld } from "./world.ts";

/** A record is written three times a lease, so that one lost write is no death. */
const BEATS_A_LEASE = 3;
/** Looks a lease: no multiple of it, so that a lease is over at the third look, not at the fourth. */
const WATCH_SHARE = 0.4;
/** So many leases after its death nobody needs a runner's record any more. */
const FORGET_LEASES = 20;

export interface Liveness extends AsyncDisposable {
  /** Aborts when this runner must stop: its record could not be written, or says dead. */
  readonly lost: AbortSignal;
  isAlive(runner: RunnerId): Promise<boolean>;
  /**
   * The store's time, by its stamp of this runner's own record and the monotonic time since: what the
   * store stamped, and what other runners wrote by it, is compared with nothing else.
   */
  storeNow(): Date;
}

interface Seen {
  etag: Etag;
  atMs: number;
}

/** Writes the first record before it returns: no claim comes before it. */
export async function openLiveness(
  world: OfficeWorld,
  items: () => string[],
  onDeath: (items: readonly string[]) => void = () => undefined,
): Promise<Liveness> {
  const { store, clock, runner, clocks } = world;
  const key = systemKeys.runner(runner);
  const lost = new AbortController();
  const closing = new AbortController();
  const seen = new Map<RunnerId, Seen>();
  let beat = 0;

  const body = (): Uint8Array => {
    const record: RunnerRecord = {
      schema: 1,
      runner,
      status: "alive",
      beat: beat++,
      items: items(),
      host: world.processes?.host ?? "remote",
      process: world.processes?.self ?? null,
      started_at: startedAt,
    };
    return Buffer.from(JSON.stringify(record));
  };
  const startedAt = clock.now().toISOString();
  let etag: Etag = await store.put(key, body(), { ifMatch: null, durability: "recomputable" });
  let writtenMs = clock.monotonicMs();
  /** Until the first listing tells, the own clock has to do. */
  let storeAheadMs = clock.now().getTime() - writtenMs;

  async function keepBeating(): Promise<void> {
    while (!closing.signal.aborted) {
      await clock.sleep(clocks.leaseMs / BEATS_A_LEASE, closing.signal);
      try {
        etag = await store.put(key, body(), { ifMatch: etag, durability: "recomputable" });
        writtenMs = clock.monotonicMs();
      } catch (error) {
        const silentMs = clock.monotonicMs() - writtenMs;
        if (isKind(error, "conflict") || silentMs > (clocks.leaseMs * 2) / 3) {
          lost.abort(
            new ClipscribeError("conflict", "this runner was taken for dead", { cause: error }),
          );
          return;
        }
        world.log.warn("a heartbeat could not be written", {
          error: asClipscribeError(error).message,
        });
      }
    }
  }
  const beating = keepBeating().catch(() => undefined);

  /** One listing shows who has written since: whoever stands still for a lease is dead. */
  async function keepWatching(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        for await (const { key: other, etag: now, modifiedAt } of store.list(systemKeys.runners)) {
          if (other === key && now === etag) storeAheadMs = modifiedAt.getTime() - writtenMs;
          const id = RunnerId.safeParse(
            other.slice(systemKeys.runners.length, -".json".length),
          ).data;
          if (id === undefined || id === runner) continue;
          const before = seen.get(id);
          if (before?.etag !== now) seen.set(id, { etag: now, atMs: clock.monotonicMs() });
          else if (clock.monotonicMs() - before.atMs >= clocks.leaseMs) {
            await bury(id, other, clock.monotonicMs() - before.atMs);
          }
        }
      } catch (error) {
        if (closing.signal.aborted) return;
        world.log.warn("the runners could not be listed", {
          error: asClipscribeError(error).message,
        });
      }
      await clock.sleep(clocks.leaseMs * WATCH_SHARE, closing.signal);
    }
  }

  async function bury(id: RunnerId, recordKey: ObjectKey, silentMs: number): Promise<void> {
    const found = await getIfPresent(store, recordKey);
    const record = found && RunnerRecord.safeParse(parseJson(found.body)).data;
    if (found === undefined || record === undefined) return;
    if (record.status === "alive") {
      if (await markDead(world, record, found.etag)) onDeath(record.items);
    } else if (silentMs > FORGET_LEASES * clocks.leaseMs) {
      // A missing record means a dead claim just as well.
      await store.delete(recordKey, { ifMatch: found.etag }).catch(() => undefined);
      seen.delete(id);
    }
  }
  const watching = keepWatching().catch(() => undefined);

  return {
    lost: lost.signal,
    storeNow: () => new Date(storeAheadMs + clock.monotonicMs()),
    async isAlive(other) {
      if (other === runner) return true;
      return readAlive(world, other, seen);
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await beating;
      await watching;
      if (!lost.signal.aborted) await store.delete(key).catch(() => undefined);
    },
  };
}

async function readAlive(
  world: OfficeWorld,
  other: RunnerId,
  seen: Map<RunnerId, Seen>,
): Promise<boolean> {
  const { store, clock, processes, clocks } = world;
  const key = systemKeys.runner(other);
  const found = await getIfPresent(store, key);
  const record = found && RunnerRecord.safeParse(parseJson(found.body)).data;
  if (found === undefined || record === undefined || record.status === "dead") return false;
  const process = record.process;
  if (process !== null && processes?.host === record.host && processes.isGone(process)) {
    await markDead(world, record, found.etag);
    return false;
  }
  const before = seen.get(other);
  if (before?.etag !== found.etag) {
    seen.set(other, { etag: found.etag, atMs: clock.monotonicMs() });
    return true;
  }
  if (clock.monotonicMs() - before.atMs < clocks.leaseMs) return true;
  return !(await markDead(world, record, found.etag));
}

/** Returns false where the record changed meanwhile: it lives after all. */
async function markDead(world: OfficeWorld, record: RunnerRecord, etag: Etag): Promise<boolean> {
  const dead = Buffer.from(JSON.stringify({ ...record, status: "dead" }));
  try {
    await world.store.put(systemKeys.runner(record.runner), dead, { ifMatch: etag });
    world.log.info("a runner is dead; its items are taken over", { runner: record.runner });
    return true;
  } catch (error) {
    if (isKind(error, "conflict")) return false;
    throw error;
  }
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString("utf8")) as unknown;
  } catch {
    return undefined;
  }
}
