import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { hasKind } from "./errors.ts";
import {
  approvedUsd,
  committedUsd,
  createSpending,
  emptyBook,
  formatUsd,
  growGrant,
  reserve,
  returnGrant,
} from "./money.ts";

describe("an item's money", () => {
  test("what is reserved counts against the limit until the call is over", () => {
    const spending = createSpending(1);
    const first = reserve(spending, 0.6);

    assert.throws(() => reserve(spending, 0.6), hasKind("budget"));
    first.settle(0.3);
    reserve(spending, 0.6);
    assert.equal(spending.spentUsd, 0.3);
  });

  test("settling twice counts once", () => {
    const spending = createSpending(1);
    const first = reserve(spending, 0.6);
    first.settle(0.5);
    first.settle(0);

    assert.deepEqual([spending.reservedUsd, spending.spentUsd], [0, 0.5]);
  });

  test("money that was spent earlier in the run counts", () => {
    const spending = createSpending(1, 0.9);

    assert.throws(() => reserve(spending, 0.2), hasKind("budget"));
  });

  test("ten dimes fit a dollar, though floats say otherwise", () => {
    const spending = createSpending(1);
    for (let i = 0; i < 10; i++) reserve(spending, 0.1);

    assert.throws(() => reserve(spending, 0.001), hasKind("budget"));
  });

  test("without a limit nothing is refused", () => {
    reserve(createSpending(null), 1e9);
  });
});

describe("a budget's book", () => {
  const now = new Date("2026-11-24T12:00:00Z");
  const grant = (runner: string, wantedUsd: number, limitUsd: number | null = 10) => ({
    name: "day" as const,
    runner,
    wantedUsd,
    limitUsd,
  });

  test("grants what is asked for and a little to spare", () => {
    const book = growGrant(emptyBook(now), grant("a", 1));

    assert.deepEqual(book.grants, { a: 1.5 });
    assert.deepEqual(growGrant(book, grant("a", 1)).grants, { a: 3 });
  });

  test("the last of it has nothing to spare, and then it is refused", () => {
    const book = growGrant(emptyBook(now), grant("a", 10));

    assert.deepEqual(book.grants, { a: 10 });
    assert.throws(() => growGrant(book, grant("b", 0.01)), hasKind("budget"));
  });

  test("a grant that comes back leaves what was spent of it", () => {
    const book = returnGrant(growGrant(emptyBook(now), grant("a", 4)), "a", 3);

    assert.deepEqual([book.spent, book.grants], [3, {}]);
  });

  test("whatever runners ask for and give back, no more is committed than the limit", () => {
    const step = fc.record({
      runner: fc.constantFrom("a", "b", "c"),
      usd: fc.double({ min: 0, max: 4, noNaN: true }),
      back: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let book = emptyBook(now);
        for (const { runner, usd, back } of steps) {
          if (back) {
            const most = book.grants[runner] ?? 0;
            book = returnGrant(book, runner, Math.min(usd, most));
          } else {
            try {
              book = growGrant(book, grant(runner, usd));
            } catch {
              // Refused: nothing changes.
            }
          }
          assert.ok(committedUsd(book) <= 10 + 1e-6);
        }
      }),
    );
  });
});

test("an approval has a quarter of slack, up to the cent", () => {
  assert.equal(approvedUsd(0.18), 0.23);
  assert.equal(approvedUsd(4), 5);
});

test("amounts read as people write them", () => {
  assert.equal(formatUsd(0), "$0");
  assert.equal(formatUsd(0.0012), "$0.0012");
  assert.equal(formatUsd(5.914), "$5.91");
});
