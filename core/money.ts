/**
 * Money: what an item may spend, what it has spent, and what is reserved for calls under way; and
 * the books of a day's and a job's budget, which runners share.
 */
import { ClipscribeError } from "./errors.ts";
import type { BudgetBook } from "./records.ts";

export interface Spending {
  /** Null: no limit. */
  limitUsd: number | null;
  spentUsd: number;
  reservedUsd: number;
}

/** Money set aside for one call. */
export interface Reservation {
  /** The call is over and cost so much; 0 where it was not made or not answered. Counts once. */
  settle(costUsd: number): void;
}

export type BudgetName = "item" | "job" | "day";

/** A float sum of many small prices may miss its limit by this much. */
const EPSILON_USD = 1e-9;
/** A grant is this share of its budget, so that a crash costs no more of it… */
const GRANT_SHARE = 0.05;
/** …and never more than this, where nothing asks for more. */
const MAX_SPARE_USD = 0.5;

export function createSpending(limitUsd: number | null, spentUsd = 0): Spending {
  return { limitUsd, spentUsd, reservedUsd: 0 };
}

/** @throws `budget` where the estimate does not fit what is left of the item's budget. */
export function reserve(spending: Spending, estimateUsd: number): Reservation {
  const { limitUsd, spentUsd, reservedUsd } = spending;
  const wanted = spentUsd + reservedUsd + estimateUsd;
  if (exceeds(wanted, limitUsd)) throw overBudget("item", limitUsd, wanted);
  spending.reservedUsd += estimateUsd;
  return settleOnce((costUsd) => {
    spending.reservedUsd -= estimateUsd;
    spending.spentUsd += costUsd;
  });
}

export function settleOnce(settle: (costUsd: number) => void): Reservation {
  let settled = false;
  return {
    settle(costUsd) {
      if (!settled) settle(costUsd);
      settled = true;
    },
  };
}

export function exceeds(usd: number, limitUsd: number | null): boolean {
  return limitUsd !== null && usd > limitUsd + EPSILON_USD;
}

/** `wantedUsd`: what would have been spent in all. */
export function overBudget(
  name: BudgetName,
  limitUsd: number | null,
  wantedUsd: number,
): ClipscribeError {
  const limit = formatUsd(limitUsd ?? 0);
  const message = `it would take the ${name} to ${formatUsd(wantedUsd)}; the budget is ${limit}`;
  return new ClipscribeError("budget", message, {
    hint: `raise \`budget: ${name}_usd\` in pipeline.yaml and run again`,
  });
}

export function emptyBook(now: Date): BudgetBook {
  return { schema: 1, spent: 0, grants: {}, updated_at: now.toISOString() };
}

/** What is spent, and what may be: grants count whole. */
export function committedUsd({ spent, grants }: BudgetBook): number {
  return Object.values(grants).reduce((sum, usd) => sum + usd, spent);
}

/**
 * The book with `wantedUsd` more granted to a runner, and something to spare where there is room.
 *
 * @throws `budget` where `wantedUsd` does not fit.
 */
export function growGrant(
  book: BudgetBook,
  grant: { name: BudgetName; runner: string; wantedUsd: number; limitUsd: number | null },
): BudgetBook {
  const { name, runner, wantedUsd, limitUsd } = grant;
  const wanted = committedUsd(book) + wantedUsd;
  if (exceeds(wanted, limitUsd)) throw overBudget(name, limitUsd, wanted);
  const room = limitUsd === null ? Infinity : Math.max(0, limitUsd - wanted);
  const share = limitUsd === null ? MAX_SPARE_USD : limitUsd * GRANT_SHARE;
  const spare = Math.min(room, share, MAX_SPARE_USD);
  const before = book.grants[runner] ?? 0;
  return { ...book, grants: { ...book.grants, [runner]: before + wantedUsd + spare } };
}

/** The book after a runner gave its grant back, of which it has spent so much. */
export function returnGrant(book: BudgetBook, runner: string, spentUsd: number): BudgetBook {
  const grants = Object.fromEntries(Object.entries(book.grants).filter(([id]) => id !== runner));
  return { ...book, spent: book.spent + spentUsd, grants };
}

/** Estimates are within a fifth of the price; who approves one means it to be enough. */
const APPROVAL_SLACK = 1.25;

/** What approving an estimate allows: up to the next cent. */
export function approvedUsd(estimateUsd: number): number {
  return Math.ceil(estimateUsd * APPROVAL_SLACK * 100 - EPSILON_USD) / 100;
}

/** Dollars as people read them: `$0.0123` below a cent, `$5.91` above. */
export function formatUsd(usd: number): string {
  if (usd === 0) return "$0";
  return usd < 0.01 ? `$${usd.toFixed(4)}` : `$${usd.toFixed(2)}`;
}
