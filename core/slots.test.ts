import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { createSlots } from "./slots.ts";

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

  test("no more than so many at once, and first come first served", async () => {
    const slots = createSlots(() => 2);
    const begun: number[] = [];
    let inside = 0;
    let most = 0;
    const work = async (number: number): Promise<void> => {
      using _slot = await slots.acquire(signal);
      begun.push(number);
      most = Math.max(most, ++inside);
      await new Promise(setImmediate);
      inside--;
    };

    await Promise.all([1, 2, 3, 4, 5, 6, 7].map(work));

    assert.equal(most, 2);
    assert.deepEqual(begun, [1, 2, 3, 4, 5, 6, 7]);
  });

  test("who fails gives its slot back", async () => {
    const slots = createSlots(() => 1);
    const fail = async (): Promise<void> => {
      using _slot = await slots.acquire(signal);
      throw new Error("no");
    };

    await assert.rejects(fail());
    await assert.rejects(fail());
  });
});
