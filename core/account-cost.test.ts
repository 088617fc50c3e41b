import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { monthlyCost } from "./account-cost.ts";

const RETENTION = { sourceDays: 30, blobDays: 90 };

describe("what an account costs a month", () => {
  test("one runner that waits costs nothing", () => {
    const cost = monthlyCost({ runners: 1, itemsPerDay: 0 }, RETENTION);

    assert.equal(cost.totalUsd, 0);
    assert.equal(cost.needsWorkersPaid, false);
  });

  test("begun gigabytes and millions count as whole ones", () => {
    const cost = monthlyCost({ runners: 2, itemsPerDay: 50 }, RETENTION);

    // 50 x (15 + 4.5 + 10.95) GB = 1,523 GB, 10 free; 1,494,900 of class A is a second million.
    assert.equal(cost.storageUsd, 1513 * 0.015);
    assert.equal(cost.operationsUsd, 4.5);
    assert.equal(cost.needsWorkersPaid, true);
    assert.equal(cost.queueUsd, 0);
  });
});
