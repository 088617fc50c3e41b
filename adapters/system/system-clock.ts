/** The machine's own clocks. */
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";

import { ClipscribeError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, { signal });
    } catch (cause) {
      if (signal?.reason instanceof ClipscribeError) throw signal.reason;
      throw new ClipscribeError("cancelled", "the wait was interrupted", { cause });
    }
  },
};
