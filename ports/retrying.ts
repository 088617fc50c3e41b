/**
 * Tries a store's operations again while its trouble looks transient: bounded, with jitter. A write
 * under a condition whose answer was lost is not blindly repeated: it is read back, and counts as
 * done if the bytes are ours.
 */
import { isKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Clock } from "./clock.ts";
import type { Etag, ListOptions, ObjectInfo, ObjectStore, PutOptions } from "./object-store.ts";

export interface RetryOptions {
  clock: Clock;
  random: () => number;
  /** The first try included. */
  attempts: number;
  baseMs: number;
  maxMs: number;
}

/** Safe to repeat: they change nothing, or the same thing. Of a stream, only its opening is tried again. */
const REPEATABLE = [
  "get",
  "getStream",
  "head",
  "delete",
  "listParts",
  "createUpload",
  "putPart",
  "abortUpload",
] as const;

export function retrying<Store extends ObjectStore>(store: Store, options: RetryOptions): Store {
  async function again<Value>(work: () => Promise<Value>, signal?: AbortSignal): Promise<Value> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        await waitOrThrow(error, attempt, signal);
      }
    }
  }

  async function waitOrThrow(error: unknown, attempt: number, signal?: AbortSignal): Promise<void> {
    if (!isKind(error, "transient") || attempt >= options.attempts) throw error;
    const waitMs = Math.min(options.maxMs, options.baseMs * 2 ** (attempt - 1));
    await options.clock.sleep(waitMs * (0.5 + options.random() / 2), signal);
  }

  async function readBack(key: ObjectKey, body: Uint8Array): Promise<Etag | undefined> {
    try {
      const found = await store.get(key);
      return Buffer.from(body).equals(found.body) ? found.etag : undefined;
    } catch (error) {
      if (isKind(error, "missing")) return undefined;
      throw error;
    }
  }

  const wrapped: Record<string, unknown> = {};
  for (const method of REPEATABLE) {
    const original = store[method] as (...args: unknown[]) => Promise<unknown>;
    wrapped[method] = async (...args: unknown[]): Promise<unknown> =>
      again(async () => original(...args));
  }
  const put = async (key: ObjectKey, body: Uint8Array, put: PutOptions = {}): Promise<Etag> => {
    let wasTried = false;
    return again(async () => {
      try {
        const etag = await store.put(key, body, put);
        return etag;
      } catch (error) {
        // A conflict after a lost answer may be our own write.
        const isAmbiguous = isKind(error, "transient") || (wasTried && isKind(error, "conflict"));
        wasTried = true;
        const mine =
          isAmbiguous && put.ifMatch !== undefined ? await readBack(key, body) : undefined;
        if (mine !== undefined) return mine;
        throw error;
      }
    }, put.signal);
  };
  const copy = async (from: ObjectKey, to: ObjectKey, copy: PutOptions = {}): Promise<void> =>
    // Under a condition, the second one finds what the first one made.
    copy.ifMatch === undefined
      ? again(async () => store.copy(from, to, copy), copy.signal)
      : store.copy(from, to, copy);
  /** Goes on after the last key that it gave. */
  async function* list(prefix: string, list: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    let last: ListOptions = {};
    for (let attempt = 1; ; attempt++) {
      try {
        for await (const info of store.list(prefix, { ...list, ...last })) {
          yield info;
          last = { startAfter: info.key };
          attempt = 1;
        }
        return;
      } catch (error) {
        await waitOrThrow(error, attempt, list.signal);
      }
    }
  }
  return { ...store, ...wrapped, put, copy, list };
}
