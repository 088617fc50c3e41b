import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { createPools, createSlots, shareOf } from "./slots.ts";
import type { FleetPlace } from "./slots.ts";

const signal = AbortSignal.timeout(60_000);

describe("slots", () => {
  test("who waits is served in turn; who gives up leaves the others their place", async () => {
    const slots = createSlots(() => 1);
    const order: string[] = [];
    const first = await slots.acquire(signal);
    const quit = new AbortController();
    const gaveUp = slots.acquire(quit.signal).catch(() => order.push("gave up"));
    const third = slots.acquire(signal).then((slot) => {
      order.push("third");
      return slot;
    });
    quit.abort(new Error("no longer"));
    await gaveUp;

    first[Symbol.dispose]();
    first[Symbol.dispose]();
    (await third)[Symbol.dispose]();

    assert.deepEqual([order, slots.free], [["gave up", "third"], 1]);
  });

  test("more room starts who waits; less room takes nothing away", async () => {
    let size = 1;
    const slots = createSlots(() => size);
    const held = [await slots.acquire(signal)];
    const waiting = slots.acquire(signal);
    size = 2;
    slots.adjust();
    held.push(await waiting);

    size = 1;
    assert.equal(slots.free, 0);
    held.pop()?.[Symbol.dispose]();
    assert.equal(slots.free, 0);
    held.pop()?.[Symbol.dispose]();
    assert.equal(slots.free, 1);
  });
});

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
