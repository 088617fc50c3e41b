import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { planSoundRoute } from "./sound-route.ts";
import type { SoundFacts } from "./sound-route.ts";

const GOOD: SoundFacts = {
  model: "mistral/voxtral-mini-2602",
  address: { maxChars: 2_083 },
  reach: { open: true },
  isStored: true,
  addressChars: 600,
};

describe("the way of a sound to its provider", () => {
  test("is by address where the provider fetches, the bucket is open and the address is short", () => {
    assert.deepEqual(planSoundRoute(GOOD), {
      by: "address",
      why: "mistral/voxtral-mini-2602 fetches it from the bucket",
    });
    assert.equal(planSoundRoute({ ...GOOD, addressChars: 2_083 }).by, "address");
  });

  for (const [what, facts, why] of [
    ["a provider that takes no address", { address: null }, /takes no address/],
    ["a store on this disk", { reach: { open: false, why: "it lies here" } }, /it lies here/],
    ["a part that was cut here", { isStored: false }, /not in the bucket/],
    ["an address of a character too many", { addressChars: 2_084 }, /2084 characters.*takes 2083/],
  ] as const) {
    test(`is by upload for ${what}, and says why`, () => {
      const route = planSoundRoute({ ...GOOD, ...facts });

      assert.equal(route.by, "upload");
      assert.match(route.why, why);
    });
  }

  test("without facts that cost a request, says whether it is worth while to ask for them", () => {
    const unknown = { isStored: undefined, addressChars: undefined };

    assert.equal(planSoundRoute({ ...GOOD, ...unknown }).by, "address");
    assert.equal(planSoundRoute({ ...GOOD, ...unknown, address: null }).by, "upload");
  });
});
