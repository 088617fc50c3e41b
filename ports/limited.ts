/**
 * Spaces a process's writes to one key by the store's smallest interval (R2: one second), and merges
 * unconditional writes that wait: only the last one is made, all get its answer.
 */
import type { ObjectKey } from "../core/keys.ts";
import type { Clock } from "./clock.ts";
import type { Etag, ObjectStore, PutOptions } from "./object-store.ts";

interface Waiting {
  body: Uint8Array;
  options: PutOptions;
  result: Promise<Etag>;
}

export function limited<Store extends ObjectStore>(store: Store, clock: Clock): Store {
  const intervalMs = store.minWriteIntervalMs;
  if (intervalMs === 0) return store;
  /** The oldest first, none older than the interval: a runner writes keys without end. */
  const lastMs = new Map<ObjectKey, number>();
  const tails = new Map<ObjectKey, Promise<unknown>>();
  const waiting = new Map<ObjectKey, Waiting>();

  function note(key: ObjectKey): void {
    const nowMs = clock.monotonicMs();
    lastMs.delete(key);
    lastMs.set(key, nowMs);
    for (const [oldest, atMs] of lastMs) {
      if (nowMs - atMs < intervalMs) return;
      lastMs.delete(oldest);
    }
  }

  /** Runs `work` after all earlier writes of the key, and no sooner than its interval allows. */
  async function inTurn<Value>(key: ObjectKey, work: () => Promise<Value>): Promise<Value> {
    const before = tails.get(key) ?? Promise.resolve();
    const turn = before
      .catch(() => undefined)
      .then(async () => {
        const waitMs = (lastMs.get(key) ?? -Infinity) + intervalMs - clock.monotonicMs();
        if (waitMs > 0) await clock.sleep(waitMs);
        note(key);
        return work();
      });
    tails.set(key, turn);
    const forget = (): void => {
      if (tails.get(key) === turn) tails.delete(key);
    };
    turn.then(forget, forget);
    return turn;
  }

  async function put(key: ObjectKey, body: Uint8Array, options: PutOptions = {}): Promise<Etag> {
    if (options.ifMatch !== undefined)
      return inTurn(key, async () => store.put(key, body, options));
    const queued = waiting.get(key);
    if (queued !== undefined) {
      Object.assign(queued, { body, options });
      return queued.result;
    }
    const entry: Waiting = { body, options, result: Promise.resolve("" as Etag) };
    waiting.set(key, entry);
    entry.result = inTurn(key, async () => {
      waiting.delete(key);
      return store.put(key, entry.body, entry.options);
    });
    return entry.result;
  }
  return { ...store, put };
}
