/**
 * How often a queue without long polling is asked: at once while there is work, then less and less,
 * and never so often that the day's operations run out. Empty pulls are billed.
 */

/** Asked again so soon after a pull that brought something. */
const BUSY_MS = 100;
const DAY_MS = 24 * 60 * 60 * 1000;
/** A message costs three operations (written, read, deleted), and the day has more of them yet. */
const SHARE_FOR_PULLS = 0.7;

export interface PollPace {
  /** Milliseconds to wait before the next pull. */
  next(): number;
  pulled(messages: number): void;
  /** Operations since midnight UTC, by this process's count. */
  readonly used: number;
}

export interface PollPaceOptions {
  /** The longest wait while the day's operations allow it. */
  maxMs: number;
  /** Queues, Workers Free: 10,000 a day. Null: no limit. */
  operationsPerDay: number | null;
  now: () => number;
}

export function createPollPace({ maxMs, operationsPerDay, now }: PollPaceOptions): PollPace {
  let day = dayOf(now());
  let used = 0;
  let waitMs = BUSY_MS;
  return {
    get used() {
      return used;
    },
    pulled(messages) {
      if (dayOf(now()) !== day) [day, used] = [dayOf(now()), 0];
      used += messages === 0 ? 1 : 3 * messages;
      waitMs = messages > 0 ? BUSY_MS : Math.min(maxMs, waitMs * 2);
    },
    next() {
      if (operationsPerDay === null) return waitMs;
      const restMs = DAY_MS - (now() % DAY_MS);
      const left = operationsPerDay * SHARE_FOR_PULLS - used;
      return left < 1 ? restMs : Math.max(waitMs, waitMs <= BUSY_MS ? 0 : restMs / left);
    },
  };
}

function dayOf(at: number): number {
  return Math.floor(at / DAY_MS);
}
