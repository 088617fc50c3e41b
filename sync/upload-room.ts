/**
 * The room that all uploads of a process share: so many bytes in memory, so many requests at once.
 * Who waits for room is let in by size, small files first, so that many are done early; who has
 * waited for long goes first, so that a large one is done at all.
 */
import { asClipscribeError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";

/** Of 8 MiB: four parts on the way, eight that are hashed, and room for others beside a large file. */
export const ROOM_BYTES = 128 * 1024 * 1024;
/** Small files on the way at once; more than this only makes them wait elsewhere. */
const MAX_AT_ONCE = 16;
const MAX_WAIT_MS = 120_000;
/** Requests of one part each, for one file. */
const SHARED_BUFFER_BYTES = 1024 * 1024;
/** Thousands of small files take turns in buffers of this size. */
const SMALL_BUFFER_BYTES = 64 * 1024;

export interface Place extends Disposable {
  /** As large as was asked for; shared with other threads where that is worth it. */
  readonly buffer: Uint8Array;
}

export interface UploadRoom {
  /** Waits for room. @param sizeBytes of the whole file, which decides who is next. */
  enter(bytes: number, sizeBytes: number, signal: AbortSignal): Promise<Place>;
}

interface Waiting {
  bytes: number;
  sizeBytes: number;
  sinceMs: number;
  enter: (place: Place) => void;
}

export function openUploadRoom(clock: Clock): UploadRoom {
  let freeBytes = ROOM_BYTES;
  let inside = 0;
  const waiting = new Set<Waiting>();
  // Fresh memory is zeroed by the system: parts of one size use the same again.
  const spare: Uint8Array[] = [];
  const spareSmall: Uint8Array[] = [];

  function take(bytes: number): Uint8Array {
    if (bytes <= SMALL_BUFFER_BYTES) {
      return spareSmall.pop() ?? Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
    }
    if (bytes < SHARED_BUFFER_BYTES) return Buffer.allocUnsafeSlow(bytes);
    const at = spare.findIndex((buffer) => buffer.length === bytes);
    const [used] = at === -1 ? [] : spare.splice(at, 1);
    return used ?? new Uint8Array(new SharedArrayBuffer(bytes));
  }

  function letIn(bytes: number): Place {
    freeBytes -= bytes;
    inside++;
    return placeOf(bytes);
  }

  function letWaitingIn(): void {
    while (inside < MAX_AT_ONCE) {
      const next = nextOf(waiting, clock.monotonicMs());
      if (next === undefined || (next.bytes > freeBytes && inside > 0)) return;
      waiting.delete(next);
      next.enter(letIn(next.bytes));
    }
  }

  function placeOf(bytes: number): Place {
    const buffer = take(bytes);
    let isLeft = false;
    return {
      buffer: buffer.length === bytes ? buffer : buffer.subarray(0, bytes),
      [Symbol.dispose]() {
        if (isLeft) return;
        isLeft = true;
        freeBytes += bytes;
        inside--;
        if (bytes <= SMALL_BUFFER_BYTES) spareSmall.push(buffer);
        if (bytes >= SHARED_BUFFER_BYTES) spare.unshift(buffer);
        // Others may want another size: what is kept never exceeds the room.
        while (spare.reduce((sum, each) => sum + each.length, 0) > freeBytes) spare.pop();
        letWaitingIn();
      },
    };
  }

  return {
    async enter(bytes, sizeBytes, signal) {
      if (signal.aborted) throw asClipscribeError(signal.reason);
      if (waiting.size === 0 && inside < MAX_AT_ONCE && (bytes <= freeBytes || inside === 0)) {
        return letIn(bytes);
      }
      const { promise, resolve, reject } = Promise.withResolvers<Place>();
      const entry: Waiting = { bytes, sizeBytes, sinceMs: clock.monotonicMs(), enter: resolve };
      const onAbort = (): void => {
        if (waiting.delete(entry)) reject(asClipscribeError(signal.reason));
      };
      signal.addEventListener("abort", onAbort, { once: true });
      waiting.add(entry);
      letWaitingIn();
      try {
        return await promise;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
  };
}

/** The smallest file, or who has waited for too long. */
function nextOf(waiting: ReadonlySet<Waiting>, nowMs: number): Waiting | undefined {
  let best: Waiting | undefined;
  for (const each of waiting) {
    // Sets keep the order of arrival: the first that waited too long is the one that waits longest.
    if (nowMs - each.sinceMs > MAX_WAIT_MS) return each;
    if (best === undefined || each.sizeBytes < best.sizeBytes) best = each;
  }
  return best;
}
