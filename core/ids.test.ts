import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { ItemId, JobId, UserId, joinId, slugOf } from "./ids.ts";

describe("ids", () => {
  test("a title becomes a readable slug", () => {
    assert.equal(slugOf("Élan vital: Große Pläne (Teil 2)!"), "elan-vital-grosse-plane-teil-2");
  });

  test("a title without any Latin letter gets the fallback", () => {
    assert.equal(slugOf("会議", "video"), "video");
    assert.equal(slugOf("🎬🎬", "video"), "video");
  });

  test("the slug of any text is an id", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), (name) => {
        assert.ok(ItemId.safeParse(slugOf(name)).success);
      }),
    );
  });

  test("joining keeps the suffix whole and the bound", () => {
    const joined = joinId("a".repeat(200), "deadbeef");

    assert.ok(joined.endsWith("-deadbeef"));
    assert.ok(JobId.safeParse(joined).success);
  });

  for (const bad of ["", "-a", "a-", "A", "a/b", "..", "a.b", "a b", "a\n", "é", "x".repeat(101)]) {
    test(`${JSON.stringify(bad.slice(0, 10))} is no id`, () => {
      assert.equal(JobId.safeParse(bad).success, false);
      assert.equal(UserId.safeParse(bad).success, false);
    });
  }
});
