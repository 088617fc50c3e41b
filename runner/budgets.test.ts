import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { engineWorld } from "../bench/campaign-engine.ts";
import { hasKind } from "../core/errors.ts";
import { JobId, RunnerId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { BudgetBook } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openBudgets } from "./budgets.ts";
import type { Budgets } from "./budgets.ts";

const KEYS = keysOf(UserId.parse("me"));
const JOB = JobId.parse("20261124-1200-talk-7f3a");

function budgetsOf(store: ObjectStore, name: string): Budgets {
  return openBudgets({ ...engineWorld({ store }), runner: RunnerId.parse(name) }, KEYS);
}

async function readBook(store: ObjectStore): Promise<BudgetBook> {
  const { body } = await store.get(KEYS.jobBudget(JOB));
  return BudgetBook.parse(JSON.parse(Buffer.from(body).toString("utf8")));
}

describe("budgets of a job and a day", () => {
  test("runners that pay at once never exceed the limit together", async () => {
    const store = openMemoryStore();
    const runners = ["host-1-aa", "host-2-bb", "host-3-cc"].map((name) => budgetsOf(store, name));
    let spent = 0;
    const pay = async (budgets: Budgets): Promise<void> => {
      for (let call = 0; call < 40; call++) {
        const set = await budgets.reserve(JOB, { jobUsd: 1, dayUsd: null }, 0.02).catch(() => null);
        if (set === null) continue;
        spent += 0.02;
        set.settle(0.02);
      }
    };
    await Promise.all(runners.map(pay));
    await Promise.all(runners.map((budgets) => budgets.giveBack()));

    assert.ok(spent <= 1 + 1e-9, `spent ${spent}`);
    assert.ok(spent >= 0.9, `only ${spent} of 1 could be spent`);
    const book = await readBook(store);
    assert.equal(book.spent.toFixed(6), spent.toFixed(6));
    assert.deepEqual(book.grants, {});
  });

  test("the day's budget holds across jobs, and the refused call takes nothing of its job", async () => {
    const store = openMemoryStore();
    const budgets = budgetsOf(store, "host-1-aa");
    const other = JobId.parse("20261124-1200-other-7f3a");
    (await budgets.reserve(other, { jobUsd: 5, dayUsd: 1 }, 0.8)).settle(0.8);

    await assert.rejects(
      budgets.reserve(JOB, { jobUsd: 5, dayUsd: 1 }, 0.5),
      (error) =>
        hasKind("budget")(error) && /the day to \$1.30; the budget is \$1.00/.test(String(error)),
    );
    await budgets.giveBack();
    assert.equal((await readBook(store)).spent, 0);
  });

  test("a runner that died keeps its grant from the others; a call under way is not given back", async () => {
    const store = openMemoryStore();
    const dead = budgetsOf(store, "host-1-aa");
    const limits = { jobUsd: 1, dayUsd: null };
    await dead.reserve(JOB, limits, 0.7);
    await dead.giveBack();

    await assert.rejects(
      budgetsOf(store, "host-2-bb").reserve(JOB, limits, 0.4),
      hasKind("budget"),
    );
    await assert.rejects(
      budgetsOf(store, "host-2-bb").foresee(JOB, limits, 0.4),
      hasKind("budget"),
    );
    await budgetsOf(store, "host-2-bb").foresee(JOB, limits, 0.2);
  });

  test("a call that cost more than its estimate is in the book all the same", async () => {
    const store = openMemoryStore();
    const budgets = budgetsOf(store, "host-1-aa");
    (await budgets.reserve(JOB, { jobUsd: 1, dayUsd: null }, 0.1)).settle(0.4);
    await budgets.giveBack();

    assert.equal((await readBook(store)).spent, 0.4);
  });

  test("what is free is written nowhere", async () => {
    const store = openMemoryStore();
    await budgetsOf(store, "host-1-aa").reserve(JOB, { jobUsd: 0, dayUsd: 0 }, 0);

    await assert.rejects(store.get(KEYS.jobBudget(JOB)), hasKind("missing"));
  });

  test("a damaged book holds the item instead of opening the purse", async () => {
    const store = openMemoryStore();
    await store.put(KEYS.jobBudget(JOB), Buffer.from("{"));

    await assert.rejects(
      budgetsOf(store, "host-1-aa").reserve(JOB, { jobUsd: 1, dayUsd: null }, 0.1),
      hasKind("config"),
    );
  });
});
