import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { hasKind } from "./errors.ts";
import { createSpending, formatUsd, reserve } from "./money.ts";

describe("money", () => {
  test("what is reserved counts against the limit until it is released", () => {
    const spending = createSpending(1);
    const release = reserve(spending, 0.6);

    assert.throws(() => reserve(spending, 0.6), hasKind("budget"));
    release();
    reserve(spending, 0.6);
  });

  test("releasing twice gives back once", () => {
    const spending = createSpending(1);
    const release = reserve(spending, 0.6);
    release();
    release();

    assert.equal(spending.reservedUsd, 0);
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

  test("amounts read as people write them", () => {
    assert.equal(formatUsd(0), "$0");
    assert.equal(formatUsd(0.0012), "$0.0012");
    assert.equal(formatUsd(5.914), "$5.91");
  });
});
