/**
 * This runner's own life, and through `watch-runners.ts` that of others. A runner lives while its
 * record under `sys/runners/` changes; no two clocks are compared.
 */
import { ClipscribeError, asClipscribeError, isKind } from "../core/errors.ts";
import type { RunnerId } from "../core/ids.ts";
import { systemKeys } from "../core/keys.ts";
import type { RunnerRecord } from "../core/records.ts";
import type { Etag } from "../ports/object-store.ts";
import type { FleetPlace } from "./pools.ts";
import { openRunnerWatch } from "./watch-runners.ts";
import type { OfficeWorld } from "./world.ts";

/** A record is written three times a lease, so that one lost write is no death. */
const BEATS_A_LEASE = 3;
/** Looks a lease: no multiple of it, so that a lease is over at the third look, not at the fourth. */
const WATCH_SHARE = 0.4;
/** Who could not write for so much of a lease stops: others take it for dead soon. */
const SILENT_SHARE = 2 / 3;

export interface Liveness extends AsyncDisposable {
  /** Aborts when this runner must stop: its record could not be written, or says dead. */
  readonly lost: AbortSignal;
  isAlive(runner: RunnerId): Promise<boolean>;
  /**
   * For what can't be fenced, as money: this process may have slept past its lease, and go on where
   * it was before a timer tells it so. @throws the reason of `lost`, which it then aborts.
   */
  assertAlive(): void;
  /** Looks at the others from now on; once. */
  startWatching(hooks: LivenessHooks): void;
  /** Undefined until this runner knows who else lives. */
  place(): FleetPlace | undefined;
  /**
   * The store's time, by its stamp of this runner's own record and the monotonic time since: what the
   * store stamped, and what other runners wrote by it, is compared with nothing else.
   */
  storeNow(): Date;
}

export interface LivenessHooks {
  /** Hears once of each runner that this one has marked dead: what that had under way. */
  onDeath: (items: readonly string[]) => void;
  onFleetChange: () => void;
}

/** Writes the first record before it returns: no claim comes before it. */
export async function openLiveness(world: OfficeWorld, items: () => string[]): Promise<Liveness> {
  const { store, clock, runner, clocks } = world;
  const key = systemKeys.runner(runner);
  const lost = new AbortController();
  const closing = new AbortController();
  const startedAt = clock.now().toISOString();
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
  const write = async (ifMatch: Etag | null): Promise<Etag> =>
    store.put(key, body(), { ifMatch, durability: "recomputable" });
  let etag = await write(null);
  let writtenMs = clock.monotonicMs();
  /** Until the first listing tells, the own clock has to do. */
  let storeAheadMs = clock.now().getTime() - writtenMs;

  function giveUp(cause: unknown): void {
    lost.abort(new ClipscribeError("conflict", "this runner was taken for dead", { cause }));
  }

  const msLeft = (): number => writtenMs + clocks.leaseMs * SILENT_SHARE - clock.monotonicMs();

  /** A store that does not answer is not waited for: who is silent too long must stop by itself. */
  async function stopWhenSilent(): Promise<void> {
    while (!closing.signal.aborted && !lost.signal.aborted) {
      const leftMs = msLeft();
      if (leftMs <= 0) return giveUp(new Error("its record could not be written"));
      await clock.sleep(leftMs, closing.signal);
    }
  }

  async function keepBeating(): Promise<void> {
    while (!closing.signal.aborted && !lost.signal.aborted) {
      await clock.sleep(clocks.leaseMs / BEATS_A_LEASE, closing.signal);
      try {
        etag = await write(etag);
        writtenMs = clock.monotonicMs();
      } catch (error) {
        if (isKind(error, "conflict")) return giveUp(error);
        world.log.warn("a heartbeat could not be written", {
          error: asClipscribeError(error).message,
        });
      }
    }
  }

  let hooks: LivenessHooks | undefined;
  const watch = openRunnerWatch({
    world,
    onSelf: (info) => {
      if (info.etag === etag) storeAheadMs = info.modifiedAt.getTime() - writtenMs;
    },
    onDeath: (names) => hooks?.onDeath(names),
    onFleetChange: () => hooks?.onFleetChange(),
  });

  async function keepWatching(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        await watch.look();
      } catch (error) {
        if (closing.signal.aborted) return;
        world.log.warn("the runners could not be listed", {
          error: asClipscribeError(error).message,
        });
      }
      await clock.sleep(clocks.leaseMs * WATCH_SHARE, closing.signal);
    }
  }

  const loops = new Set<Promise<void>>();
  const start = (loop: Promise<void>): void => void loops.add(loop.catch(() => undefined));
  start(keepBeating());
  start(stopWhenSilent());
  return {
    lost: lost.signal,
    storeNow: () => new Date(storeAheadMs + clock.monotonicMs()),
    isAlive: async (other) => watch.isAlive(other),
    assertAlive() {
      if (msLeft() <= 0) giveUp(new Error("it slept past its lease"));
      lost.signal.throwIfAborted();
    },
    startWatching(wanted) {
      hooks = wanted;
      start(keepWatching());
    },
    place: () => watch.place(),
    async [Symbol.asyncDispose]() {
      closing.abort();
      await Promise.all(loops);
      if (!lost.signal.aborted) await store.delete(key).catch(() => undefined);
    },
  };
}
