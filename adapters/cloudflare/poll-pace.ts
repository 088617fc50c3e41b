/**
 * How often a queue without long polling is asked: at once while there is work, then less and less,
 * and never so often that the day's operations run out. Empty pulls are billed.
 *
 * An idle queue is asked at the day's even pace, whatever the hour: what nobody has used so far this
 * day is not there to be spent in what is left of it. This process may be the second of the day, and
 * knows nothing of what the first has used.
 */

/** Asked again so soon after a pull that brought something. */
const BUSY_MS = 100;
const DAY_MS = 24 * 60 * 60 * 1000;
/** A message costs three operations (written, read, deleted): the rest of the day's are for those. */
const SHARE_FOR_PULLS = 0.7;
const OPERATIONS_A_MESSAGE = 3;
/** Operations that were used up may be there again: a plan was changed, or the day is over. */
const SPENT_MS = 60 * 60 * 1000;

export interface PollPace {
  /** Milliseconds to wait before the next pull. */
  next(): number;
  pulled(messages: number): void;
  /** The account has no operations left, whoever used them. */
  spent(): void;
}

export interface PollPaceOptions {
  /** The longest wait while the day's operations allow it. */
  maxMs: number;
  /** Queues, Workers Free: 10,000 a day. Null: no limit. */
  operationsPerDay: number | null;
  now: () => number;
}

export function createPollPace({ maxMs, operationsPerDay, now }: PollPaceOptions): PollPace {
  const budget = operationsPerDay ?? Infinity;
  const forPulls = budget * SHARE_FOR_PULLS;
  const evenMs = DAY_MS / forPulls;
  let day = dayOf(now());
  let messages = 0;
  // As if one like this had run since midnight.
  let pulls = forPulls === Infinity ? 0 : (forPulls * (now() % DAY_MS)) / DAY_MS;
  let waitMs = BUSY_MS;
  let isSpent = false;

  /** Pulls that the rest of the day has: messages take from their own share first. */
  function pullsLeft(): number {
    const overdrawn = OPERATIONS_A_MESSAGE * messages - (budget - forPulls);
    return forPulls - pulls - Math.max(0, overdrawn);
  }

  return {
    pulled(count) {
      isSpent = false;
      if (dayOf(now()) !== day) [day, pulls, messages] = [dayOf(now()), 0, 0];
      if (count === 0) pulls++;
      messages += count;
      waitMs = count > 0 ? BUSY_MS : Math.min(maxMs, waitMs * 2);
    },
    spent() {
      isSpent = true;
    },
    next() {
      const restMs = DAY_MS - (now() % DAY_MS);
      if (isSpent) return Math.min(restMs, SPENT_MS);
      if (operationsPerDay === null) return waitMs;
      const left = pullsLeft();
      if (left < 1) return restMs;
      return waitMs <= BUSY_MS ? waitMs : Math.max(waitMs, evenMs, restMs / left);
    },
  };
}

function dayOf(at: number): number {
  return Math.floor(at / DAY_MS);
}
