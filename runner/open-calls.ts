/**
 * The paid calls of one claim that got no answer. Each is entered as `running` by a runner that goes
 * on living, so whoever else needs it would wait for an answer that nobody fetches any more: until
 * the claim ends they may be tried again by it, then they are given up.
 */
import { asClipscribeError, isKind } from "../core/errors.ts";
import { RunnerId } from "../core/ids.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { CallCacheEntry } from "../core/records.ts";
import type { Etag } from "../ports/object-store.ts";
import type { RunnerWorld } from "./world.ts";

/** Whose call it is once it is given up: no runner is called so, and a missing one is a dead one. */
const NOBODY = RunnerId.parse("nobody");

export interface OpenCalls {
  /** A call is entered under `key` from now on, whatever became of the one before. */
  begun(key: ObjectKey): void;
  /** It had no answer; its entry is the one with this etag. */
  failed(key: ObjectKey, entry: CallCacheEntry, etag: Etag): Promise<void>;
  /** The claim is over. What still fails later is given up at once. */
  close(): Promise<void>;
}

export function openCalls({
  store,
  log,
  defences,
}: Pick<RunnerWorld, "store" | "log" | "defences">): OpenCalls {
  const unanswered = new Map<ObjectKey, { entry: CallCacheEntry; etag: Etag }>();
  let isClosed = false;

  async function giveUp(key: ObjectKey, entry: CallCacheEntry, ifMatch: Etag): Promise<void> {
    if (!defences.callsGivenUp) return;
    const given = { ...entry, runner: NOBODY, estimate_usd: 0 };
    try {
      await store.put(key, Buffer.from(JSON.stringify(given)), { ifMatch });
    } catch (error) {
      // Somebody else has it by now.
      if (isKind(error, "conflict")) return;
      log.warn("a paid call that failed could not be given up: others wait for it", {
        error: asClipscribeError(error).message,
      });
    }
  }

  return {
    begun: (key) => void unanswered.delete(key),
    async failed(key, entry, etag) {
      if (isClosed) return giveUp(key, entry, etag);
      unanswered.set(key, { entry, etag });
    },
    async close() {
      isClosed = true;
      const all = [...unanswered];
      unanswered.clear();
      await Promise.all(all.map(async ([key, { entry, etag }]) => giveUp(key, entry, etag)));
    },
  };
}
