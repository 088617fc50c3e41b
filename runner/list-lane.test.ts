import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { KEYS, engineWorld, submit, submitMany } from "../bench/campaign-engine.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { Dispatch } from "./dispatch.ts";
import { listLane } from "./list-lane.ts";
import type { FleetPlace } from "./pools.ts";
import { openRunner } from "./runner.ts";

const everything = { sweepPrefix: null, accepts: () => true };
const PATIENCE = { timeout: 20_000 };

/** A lane that is listed every few milliseconds, and what a dispatch with so much room hears of it. */
function listing(
  t: TestContext,
  store: ObjectStore,
  { room = 100, place = undefined as FleetPlace | undefined } = {},
) {
  const heard: string[] = [];
  const said: string[] = [];
  let looks = 0;
  let waiters: (() => void)[] = [];
  const counted: ObjectStore = {
    ...store,
    list(prefix, options) {
      looks++;
      for (const wake of waiters.splice(0)) wake();
      return store.list(prefix, options);
    },
  };
  const base = engineWorld({ store: counted });
  const world = {
    ...base,
    clocks: { ...base.clocks, pollMs: 2 },
    log: { ...base.log, warn: (text: string) => void said.push(text) },
  };
  const lane = { room };
  const dispatch = {
    room: () => lane.room,
    hasRoomToWait: () => heard.length < lane.room,
    add: (key: string) => void heard.push(key),
    pump: () => undefined,
    waitForChange: async () => Promise.resolve(),
  } as unknown as Dispatch;
  const stop = new AbortController();
  const liveness = { place: () => place };
  const over = listLane(
    { world, keys: KEYS, dispatch, liveness, accepts: () => true, stopping: stop.signal },
    "urgent",
  );
  t.after(async () => {
    stop.abort();
    await over;
  });
  /** Resolves when two further looks have begun, so one is over. */
  const look = async (): Promise<void> => {
    const until = looks + 2;
    while (looks < until) await new Promise<void>((resolve) => waiters.push(resolve));
  };
  return { heard, said, lane, look };
}

describe("a lane without a queue", () => {
  test("a fresh ticket is worked on at the next look, long before a sweep", PATIENCE, async (t) => {
    const store = openMemoryStore();
    const over = Promise.withResolvers<string>();
    const base = engineWorld({
      store,
      listener: (event) => event.type === "item-ended" && over.resolve(event.status),
    });
    const clocks = { leaseMs: 60_000, sweepMs: 3_600_000, pollMs: 10, stallMs: 600_000 };
    const runner = await openRunner({ ...base, clocks }, everything);
    t.after(async () => runner[Symbol.asyncDispose]());

    await submit(store);

    assert.equal(await over.promise, "complete");
  });

  test("each ticket is heard of once, however often it is listed", PATIENCE, async (t) => {
    const store = openMemoryStore();
    const keys = await submitMany(store, 3, "first", "urgent");
    const { heard, look } = listing(t, store);

    await look();
    await look();
    assert.deepEqual(heard, keys.toSorted());

    const later = await submitMany(store, 1, "later", "urgent");
    await look();
    assert.deepEqual(heard, [...keys.toSorted(), ...later]);
  });

  test("what there was no room for is heard of when there is", PATIENCE, async (t) => {
    const store = openMemoryStore();
    const keys = await submitMany(store, 5, "many", "urgent");
    const { heard, lane, look } = listing(t, store, { room: 2 });
    await look();
    assert.deepEqual(heard, keys.toSorted().slice(0, 2));

    lane.room = 100;
    await look();

    assert.deepEqual(heard.toSorted(), keys.toSorted());
  });

  test("of two runners, each begins with what the other ends with", PATIENCE, async (t) => {
    const store = openMemoryStore();
    const keys = (await submitMany(store, 4, "many", "urgent")).toSorted();
    const first = listing(t, store, { place: { size: 2, rank: 0 } });
    const second = listing(t, store, { place: { size: 2, rank: 1 } });

    await Promise.all([first.look(), second.look()]);

    assert.deepEqual(
      first.heard,
      [0, 2, 1, 3].map((at) => keys[at]),
    );
    assert.deepEqual(
      second.heard,
      [1, 3, 0, 2].map((at) => keys[at]),
    );
  });

  test("a store that does not answer is said once, and asked again", PATIENCE, async (t) => {
    const store = openMemoryStore();
    await submitMany(store, 1, "one", "urgent");
    let isAway = true;
    const weak: ObjectStore = {
      ...store,
      list(prefix, options) {
        if (isAway) throw new ClipscribeError("transient", "no answer");
        return store.list(prefix, options);
      },
    };
    const { heard, said, look } = listing(t, weak);
    await look();
    await look();
    assert.deepEqual([heard.length, said.length], [0, 1]);

    isAway = false;
    await look();

    assert.equal(heard.length, 1);
  });
});
