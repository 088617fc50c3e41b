/**
 * What the runners of a user may spend in a job and on a day. A runner takes a grant from the
 * book by compare-and-swap and reserves single calls from it in memory, so that the limits hold
 * however many runners pay at once, without a write a call.
 */
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { JobId } from "../core/ids.ts";
import type { ObjectKey, UserKeys } from "../core/keys.ts";
import {
  committedUsd,
  emptyBook,
  exceeds,
  growGrant,
  overBudget,
  returnGrant,
  settleOnce,
} from "../core/money.ts";
import type { BudgetName, Reservation } from "../core/money.ts";
import { BudgetBook } from "../core/records.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag } from "../ports/object-store.ts";
import type { RunnerWorld } from "./world.ts";

/** Runners that write one book at once settle it in a few rounds; more is a storm. */
const MAX_RACES = 20;

export interface BudgetLimits {
  /** USD; null: no limit. */
  jobUsd: number | null;
  dayUsd: number | null;
}

export interface Budgets {
  /** Sets money aside for one call. @throws `budget`, naming the budget that has no room. */
  reserve(job: JobId, limits: BudgetLimits, usd: number): Promise<Reservation>;
  /** Looks whether so much more would fit; sets nothing aside. @throws `budget` */
  foresee(job: JobId, limits: BudgetLimits, usd: number): Promise<void>;
  /** Writes down what was spent and gives back the rest, where no call is under way. */
  giveBack(): Promise<void>;
}

/** A grant as this runner has it in memory. */
interface Purse {
  readonly name: BudgetName;
  readonly key: ObjectKey;
  grantedUsd: number;
  spentUsd: number;
  reservedUsd: number;
  /** Changes of one book follow one another. */
  last: Promise<unknown>;
}

export function openBudgets(world: RunnerWorld, keys: UserKeys): Budgets {
  const { store, clock, runner } = world;
  const purses = new Map<ObjectKey, Purse>();

  function purseOf(name: BudgetName, key: ObjectKey): Purse {
    const known = purses.get(key);
    if (known !== undefined) return known;
    const last = Promise.resolve();
    const purse: Purse = { name, key, grantedUsd: 0, spentUsd: 0, reservedUsd: 0, last };
    purses.set(key, purse);
    return purse;
  }

  const jobPurse = (job: JobId): Purse => purseOf("job", keys.jobBudget(job));
  const dayPurse = (): Purse => purseOf("day", keys.budget(clock.now()));

  async function change(key: ObjectKey, next: (book: BudgetBook) => BudgetBook): Promise<void> {
    for (let race = 0; race < MAX_RACES; race++) {
      const found = await readBook(key);
      const book = next(found?.book ?? emptyBook(clock.now()));
      const body = Buffer.from(
        `${JSON.stringify({ ...book, updated_at: clock.now().toISOString() }, null, 1)}\n`,
      );
      try {
        await store.put(key, body, { ifMatch: found?.etag ?? null });
        return;
      } catch (error) {
        if (!isKind(error, "conflict")) throw error;
      }
    }
    throw new ClipscribeError("transient", "a budget's book changes too fast", {
      details: { key },
    });
  }

  async function readBook(key: ObjectKey): Promise<{ book: BudgetBook; etag: Etag } | undefined> {
    const found = await getIfPresent(store, key);
    if (found === undefined) return undefined;
    try {
      const book = BudgetBook.parse(JSON.parse(Buffer.from(found.body).toString("utf8")));
      return { book, etag: found.etag };
    } catch (cause) {
      throw new ClipscribeError("config", "a budget's book can't be read", {
        details: { key },
        hint: "restore it, or delete it to begin that budget anew",
        cause,
      });
    }
  }

  async function inTurn<Result>(purse: Purse, act: () => Promise<Result>): Promise<Result> {
    const turn = purse.last.then(act, act);
    purse.last = turn.catch(() => undefined);
    return turn;
  }

  async function take(purse: Purse, limitUsd: number | null, usd: number): Promise<Reservation> {
    await inTurn(purse, async () => {
      const missing = purse.spentUsd + purse.reservedUsd + usd - purse.grantedUsd;
      if (missing > 0) {
        let grantedUsd = 0;
        await change(purse.key, (book) => {
          const grant = { name: purse.name, runner, wantedUsd: missing, limitUsd };
          const grown = growGrant(book, grant);
          grantedUsd = grown.grants[runner] ?? 0;
          return grown;
        });
        purse.grantedUsd = grantedUsd;
      }
      purse.reservedUsd += usd;
    });
    return settleOnce((costUsd) => {
      purse.reservedUsd -= usd;
      purse.spentUsd += costUsd;
    });
  }

  async function look(purse: Purse, limitUsd: number | null, usd: number): Promise<void> {
    if (limitUsd === null || usd <= 0) return;
    const book = (await readBook(purse.key))?.book ?? emptyBook(clock.now());
    // Of its own grant, this runner knows what is free.
    const others = committedUsd(book) - (book.grants[runner] ?? 0);
    const wanted = others + purse.spentUsd + purse.reservedUsd + usd;
    if (exceeds(wanted, limitUsd)) throw overBudget(purse.name, limitUsd, wanted);
  }

  return {
    async reserve(job, limits, usd) {
      // What is free needs no book, and no write.
      if (usd <= 0) return settleOnce(() => undefined);
      const ofJob = await take(jobPurse(job), limits.jobUsd, usd);
      try {
        const ofDay = await take(dayPurse(), limits.dayUsd, usd);
        return settleOnce((costUsd) => {
          ofJob.settle(costUsd);
          ofDay.settle(costUsd);
        });
      } catch (error) {
        ofJob.settle(0);
        throw error;
      }
    },
    async foresee(job, limits, usd) {
      await look(jobPurse(job), limits.jobUsd, usd);
      await look(dayPurse(), limits.dayUsd, usd);
    },
    async giveBack() {
      for (const purse of purses.values()) {
        const returned = inTurn(purse, async () => {
          if (purse.reservedUsd > 1e-12 || purse.grantedUsd === 0) return;
          const { spentUsd } = purse;
          await change(purse.key, (book) => returnGrant(book, runner, spentUsd));
          purse.grantedUsd = 0;
          purse.spentUsd -= spentUsd;
        });
        const { last } = purse;
        await returned;
        // Jobs come without end. Who waits for its turn goes on with this purse.
        const isEmpty = purse.grantedUsd === 0 && Math.abs(purse.spentUsd) < 1e-12;
        if (isEmpty && purse.reservedUsd < 1e-12 && purse.last === last) purses.delete(purse.key);
      }
    },
  };
}
