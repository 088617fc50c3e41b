/** A bandwidth limit shared by all uploads of a process: bytes leave when their time has come. */
import type { Clock } from "../ports/clock.ts";

/** What may leave at once after a pause: enough that pieces do not wait for each other. */
const BURST_MS = 250;

export interface UploadPace {
  /** Waits until these bytes may leave. */
  take(bytes: number, signal: AbortSignal): Promise<void> | void;
}

export const UNLIMITED: UploadPace = { take: () => undefined };

export function openUploadPace(bytesPerSecond: number, clock: Clock): UploadPace {
  let nextMs = -Infinity;
  return {
    take(bytes, signal) {
      const nowMs = clock.monotonicMs();
      // Each takes its time on the line, one after another; unused time is kept for a moment only.
      nextMs = Math.max(nextMs, nowMs - BURST_MS) + (bytes / bytesPerSecond) * 1_000;
      return nextMs > nowMs ? clock.sleep(nextMs - nowMs, signal) : undefined;
    },
  };
}
