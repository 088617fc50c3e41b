import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openTurns } from "./open-turns.ts";

describe("turns", () => {
  test("no more than so many at once, and first come first served", async () => {
    const turns = openTurns(2);
    const begun: number[] = [];
    let inside = 0;
    let most = 0;
    const work = async (number: number): Promise<void> => {
      using _turn = await turns.take();
      begun.push(number);
      most = Math.max(most, ++inside);
      await new Promise(setImmediate);
      inside--;
    };

    await Promise.all([1, 2, 3, 4, 5, 6, 7].map(work));

    assert.equal(most, 2);
    assert.deepEqual(begun, [1, 2, 3, 4, 5, 6, 7]);
  });

  test("who fails gives its turn back", async () => {
    const turns = openTurns(1);
    const fail = async (): Promise<void> => {
      using _turn = await turns.take();
      throw new Error("no");
    };

    await assert.rejects(fail());
    await assert.rejects(fail());
  });
});
