/** Money: what an item may spend, what it has spent, and what is reserved for calls under way. */
import { ClipscribeError } from "./errors.ts";

export interface Spending {
  /** Null: no limit. */
  limitUsd: number | null;
  spentUsd: number;
  reservedUsd: number;
}

/** A float sum of many small prices may miss its limit by this much. */
const EPSILON_USD = 1e-9;

export function createSpending(limitUsd: number | null, spentUsd = 0): Spending {
  return { limitUsd, spentUsd, reservedUsd: 0 };
}

/**
 * Sets money aside for one call; returns how to give it back once the call's price is known.
 *
 * @throws `budget` where the estimate does not fit what is left.
 */
export function reserve(spending: Spending, estimateUsd: number): () => void {
  const { limitUsd, spentUsd, reservedUsd } = spending;
  const wanted = spentUsd + reservedUsd + estimateUsd;
  if (limitUsd !== null && wanted > limitUsd + EPSILON_USD) {
    throw new ClipscribeError("budget", "the next call would exceed the item's budget", {
      details: { budget_usd: limitUsd, spent_usd: spentUsd, estimate_usd: estimateUsd },
      hint: "run again with `--budget USD`, or raise `budget: item_usd`: what is paid for is kept",
    });
  }
  spending.reservedUsd += estimateUsd;
  let released = false;
  return () => {
    if (!released) spending.reservedUsd -= estimateUsd;
    released = true;
  };
}

/** Dollars as people read them: `$0.0123` below a cent, `$5.91` above. */
export function formatUsd(usd: number): string {
  if (usd === 0) return "$0";
  return usd < 0.01 ? `$${usd.toFixed(4)}` : `$${usd.toFixed(2)}`;
}
