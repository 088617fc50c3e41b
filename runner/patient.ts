/**
 * A shelf and a cache that wait until the bucket is in reach again: for a laptop, which is offline
 * more often than its files are bad. Without it a stage would spend its tries on the network.
 */
import { asClipscribeError, isKind } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import type { StageCache } from "./stage-cache.ts";

const FIRST_WAIT_MS = 1_000;
/** A laptop that wakes is back in the network within seconds; nobody waits longer for the next try. */
const MAX_WAIT_MS = 30_000;

export type UntilReached = <Value>(
  work: () => Promise<Value>,
  signal: AbortSignal,
) => Promise<Value>;

/** Tries `work` again while its error is transient, without end: the signal ends it. */
export function untilReached(clock: Clock, log: Log): UntilReached {
  return async (work, signal) => {
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(MAX_WAIT_MS, waitMs * 2)) {
      try {
        return await work();
      } catch (thrown) {
        if (!isKind(thrown, "transient") || signal.aborted) throw thrown;
        const { message } = asClipscribeError(thrown);
        log.warn("the bucket is out of reach: waiting", { again_in_ms: waitMs, why: message });
        await clock.sleep(waitMs, signal);
      }
    }
  };
}

export function patientShelf(shelf: ArtifactShelf, until: UntilReached): ArtifactShelf {
  return {
    keep: (made, signal) => until(() => shelf.keep(made, signal), signal),
    has: (artifact, signal) => until(() => shelf.has(artifact, signal), signal),
    readText: (artifact, signal) => until(() => shelf.readText(artifact, signal), signal),
    copyTo: (artifact, path, signal) => until(() => shelf.copyTo(artifact, path, signal), signal),
    asBlob: (artifact, signal) => until(() => shelf.asBlob(artifact, signal), signal),
    keepBlob: (bytes, signal) => until(() => shelf.keepBlob(bytes, signal), signal),
    discard: (sha256, signal) => until(() => shelf.discard(sha256, signal), signal),
  };
}

export function patientCache(cache: StageCache, until: UntilReached): StageCache {
  return {
    find: (key, signal) => until(() => cache.find(key, signal), signal),
    peek: (key, signal) => until(() => cache.peek(key, signal), signal),
    add: (entry, signal) => until(() => cache.add(entry, signal), signal),
    forget: (key, signal) => until(() => cache.forget(key, signal), signal),
  };
}
