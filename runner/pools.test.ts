import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { createPools, shareOf } from "./pools.ts";
import type { FleetPlace } from "./pools.ts";

describe("a pool of the fleet", () => {
  test("is shared out whole, and nobody is left without a slot", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 20 }),
        (slots, size) => {
          const shares = Array.from({ length: size }, (_, rank) => shareOf(slots, { size, rank }));
          const sum = shares.reduce((all, share) => all + share, 0);
          assert.equal(sum, Math.max(slots, size));
          assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
        },
      ),
    );
  });

  test("is one slot until it is known who else lives; the cores are this machine's own", () => {
    let place: FleetPlace | undefined;
    const pools = createPools({ asr: 4, cpu: "cores" }, 2, () => place);

    assert.deepEqual([pools("asr").size, pools("cpu").size], [1, 2]);
    place = { size: 1, rank: 0 };
    assert.equal(pools("asr").size, 4);
    place = { size: 3, rank: 0 };
    assert.equal(pools("asr").size, 2);
    place = { size: 3, rank: 2 };
    assert.deepEqual([pools("asr").size, pools("other").size], [1, 2]);
  });
});
