import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { canonicalJson, digestOf, sha256Of } from "./digest.ts";

describe("digests", () => {
  test("SHA-256 of the empty string is the one everybody knows", () => {
    const digest = sha256Of("");

    assert.equal(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test("canonical JSON sorts keys at every depth and keeps the order of lists", () => {
    const text = canonicalJson({ b: [3, { d: 1, c: 2 }], a: undefined, A: null });

    assert.equal(text, '{"A":null,"b":[3,{"c":2,"d":1}]}');
  });

  test("a member named __proto__ is data like any other", () => {
    const text = canonicalJson(JSON.parse('{"__proto__":{"x":1},"a":1}'));

    assert.equal(text, '{"__proto__":{"x":1},"a":1}');
  });

  test("the order in which members were written never changes a digest", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).toReversed());

        assert.equal(digestOf(reversed), digestOf(value));
      }),
    );
  });
});
