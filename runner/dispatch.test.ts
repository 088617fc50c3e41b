import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { KEYS, engineWorld } from "../bench/campaign-engine.ts";
import { ItemId, JobId } from "../core/ids.ts";
import type { Lane } from "../core/ids.ts";
import { parseTicketKey } from "../core/keys.ts";
import { openDispatch } from "./dispatch.ts";
import type { Messages } from "./messages.ts";

/** A dispatch whose tickets end when the test says so. */
function dispatchOf(items: number) {
  const started: string[] = [];
  const ends: (() => void)[] = [];
  const givenBack: string[] = [];
  const messages: Messages = {
    acknowledge: () => Promise.resolve(),
    giveBack: async (...what) => void givenBack.push(what.join(" ")),
    announce: () => Promise.resolve(),
    settle: () => Promise.resolve(),
  };
  const dispatch = openDispatch({
    world: { ...engineWorld(), items },
    messages,
    note: () => undefined,
    stopping: new AbortController().signal,
    async handle({ address }) {
      started.push(`${address.lane} ${address.item}`);
      await new Promise<void>((resolve) => ends.push(resolve));
      return undefined;
    },
  });
  const hear = (lane: Lane, item: string, leaseId?: string): void => {
    const key = KEYS.ticket(lane, JobId.parse("job"), ItemId.parse(item), 1);
    const address = parseTicketKey(key);
    if (address !== undefined) dispatch.add(key, address, leaseId);
    dispatch.pump();
  };
  const add = (lane: Lane, count: number, prefix: string = lane): void => {
    for (let at = 0; at < count; at++) hear(lane, `${prefix}-${at}`);
  };
  /** Ends the one that began first. */
  const end = async (): Promise<void> => {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const lanes = (): string => started.map((each) => each[0]).join("");
  return { dispatch, add, hear, end, lanes, givenBack };
}

describe("slots by lane", () => {
  test("urgent tickets go first, and a flood of them leaves batch every fifth start", async () => {
    const { add, end, lanes } = dispatchOf(3);
    add("urgent", 3, "first");
    add("batch", 10);
    add("urgent", 100);

    for (let at = 0; at < 15; at++) await end();

    assert.equal(lanes(), "uuu" + "uuuub".repeat(3));
  });

  test("batch work takes every slot but one: an urgent ticket never waits for it", async () => {
    const { dispatch, add, end, lanes } = dispatchOf(3);
    add("batch", 10);
    assert.equal(lanes(), "bb");
    assert.ok(dispatch.room("urgent") > 0);

    add("urgent", 1);
    assert.equal(lanes(), "bbu");
    await end();
    assert.equal(lanes(), "bbub");
  });

  test("a machine of one slot works on both lanes", async () => {
    const { add, end, lanes } = dispatchOf(1);
    add("batch", 2);
    add("urgent", 1);
    await end();
    await end();

    assert.equal(lanes(), "bub");
  });

  test("while urgent tickets take every slot, one batch message is pulled to have its turn", () => {
    const { dispatch, add } = dispatchOf(2);
    add("urgent", 2);
    assert.deepEqual([dispatch.room("urgent"), dispatch.room("batch")], [0, 0]);

    add("urgent", 5, "more");
    assert.equal(dispatch.room("batch"), 1);

    add("batch", 1);
    assert.equal(dispatch.room("batch"), 0);
  });

  test("nothing is pulled, and nothing begins, once it retires", async () => {
    const { dispatch, add, lanes } = dispatchOf(2);
    await dispatch.retire();
    add("urgent", 2);

    assert.deepEqual([dispatch.room("urgent"), dispatch.room("batch"), lanes()], [0, 0, ""]);
  });

  test("once it retires, the message of each ticket that waits, or still comes, is others' at once", async () => {
    const { dispatch, hear, lanes, givenBack } = dispatchOf(1);
    hear("urgent", "works", "lease-0");
    hear("urgent", "waits", "lease-1");
    hear("batch", "waits", "lease-2");
    await dispatch.retire();
    hear("urgent", "late", "lease-3");

    assert.deepEqual(givenBack, ["urgent lease-1 0", "batch lease-2 0", "urgent lease-3 0"]);
    assert.deepEqual([lanes(), dispatch.hasWork()], ["u", true]);
  });
});
