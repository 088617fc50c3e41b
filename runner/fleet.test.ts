import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { PIPELINE, engineWorld, submitMany } from "../bench/campaign-engine.ts";
import { RunnerId } from "../core/ids.ts";
import { systemKeys } from "../core/keys.ts";
import type { RunnerRecord } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openLiveness } from "./liveness.ts";
import type { Liveness } from "./liveness.ts";
import { openRunner } from "./runner.ts";
import type { Runner } from "./runner.ts";
import type { RunnerWorld } from "./world.ts";

/** Long enough that a busy machine makes nobody look dead. */
const CLOCKS = { leaseMs: 1_500, sweepMs: 50, pollMs: 3_600_000, stallMs: 600_000 };
const ignore = { onDeath: () => undefined, onFleetChange: () => undefined };

async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let look = 0; look < 1_000; look++) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`${what} did not happen`);
}

const worldOf = (store: ObjectStore, name: string): RunnerWorld => ({
  ...engineWorld({ store, runner: name }),
  clocks: CLOCKS,
});

const record = (name: string, status: "alive" | "dead"): RunnerRecord => ({
  schema: 1,
  runner: RunnerId.parse(name),
  status,
  beat: 0,
  items: ["me/job/item"],
  host: "elsewhere",
  process: null,
  started_at: new Date().toISOString(),
});

const put = async (store: ObjectStore, each: RunnerRecord): Promise<unknown> =>
  store.put(systemKeys.runner(each.runner), Buffer.from(JSON.stringify(each)));

/** A pool of three for the fleet, and a stage that counts how many of it run at once. */
function crowd(store: ObjectStore) {
  const pipeline = {
    ...PIPELINE,
    stages: PIPELINE.stages.map((stage) => ({ ...stage, pool: "llm" })),
    pools: { llm: 3 },
  };
  const counts = { now: 0, most: 0 };
  const open = async (name: string): Promise<Runner> => {
    const world = worldOf(store, name);
    return openRunner(
      {
        ...world,
        items: 10,
        pipelines: { current: () => pipeline, find: async () => pipeline },
        pool: {
          ...world.pool,
          async run(...task) {
            counts.now++;
            counts.most = Math.max(counts.most, counts.now);
            await world.clock.sleep(30);
            counts.now--;
            return world.pool.run(...task);
          },
        },
      },
      { sweepPrefix: "inbox/", accepts: () => true },
    );
  };
  return { open, counts };
}

describe("a fleet", () => {
  test("of two uses no more of a pool than there is, and all of it once one is gone", async () => {
    const store = openMemoryStore();
    const { open, counts } = crowd(store);
    await using one = await open("runner-a");
    await using two = await open("runner-b");
    await new Promise((resolve) => setTimeout(resolve, CLOCKS.leaseMs));

    const keys = await submitMany(store, 30);
    for (const [at, key] of keys.entries()) (at % 2 === 0 ? one : two).hint(key);
    await until(async () => (await countUnder(store, "inbox/")) === 0, "the end of all items");
    assert.equal(counts.most, 3);

    await two[Symbol.asyncDispose]();
    await new Promise((resolve) => setTimeout(resolve, CLOCKS.leaseMs));
    counts.most = 0;
    for (const key of await submitMany(store, 12, "second")) one.hint(key);
    await until(async () => (await countUnder(store, "inbox/")) === 0, "the end of all items");
    assert.equal(counts.most, 3);
  });

  test("counts the living only: a record that stands still, and one that says dead, are nobody", async () => {
    const store = openMemoryStore();
    const world = worldOf(store, "runner-b");
    await put(store, record("runner-a", "alive"));
    await put(store, record("runner-c", "dead"));
    const deaths: string[] = [];
    let liveness: Liveness | undefined;
    {
      await using mine = await openLiveness(world, () => []);
      liveness = mine;
      assert.equal(mine.place(), undefined);
      mine.startWatching({ ...ignore, onDeath: (items) => deaths.push(...items) });
      await until(() => mine.place() !== undefined, "a first look");
      assert.deepEqual(mine.place(), { size: 2, rank: 1 });
      await until(() => mine.place()?.size === 1, "the other's death");
      assert.deepEqual(deaths, ["me/job/item"]);
    }
    assert.equal(liveness.lost.aborted, false);
  });

  test("whose process is gone on this machine is dead at the next look, not a lease later", async () => {
    const store = openMemoryStore();
    let isGone = false;
    const processes = { self: { pid: 1, boot: "b" }, host: "here", isGone: () => isGone };
    const long = { leaseMs: 4_000, sweepMs: 50, pollMs: 3_600_000, stallMs: 600_000 };
    await put(store, {
      ...record("runner-a", "alive"),
      host: "here",
      process: { pid: 2, boot: "b" },
    });
    await using mine = await openLiveness(
      { ...worldOf(store, "runner-b"), processes, clocks: long },
      () => [],
    );
    const deaths: string[] = [];
    mine.startWatching({ ...ignore, onDeath: (items) => deaths.push(...items) });
    await until(() => mine.place()?.size === 2, "a first look");

    const startedMs = performance.now();
    isGone = true;
    await until(() => deaths.length > 0, "the death");

    assert.ok(performance.now() - startedMs < long.leaseMs);
    assert.deepEqual(mine.place(), { size: 1, rank: 0 });
  });

  test("tells the store's time though the own clock is an hour off", async () => {
    const store = openMemoryStore();
    const world = worldOf(store, "runner-a");
    for (const offMs of [3_600_000, -3_600_000]) {
      const clock = { ...world.clock, now: () => new Date(Date.now() + offMs) };
      await using mine = await openLiveness(
        { ...world, clock, runner: RunnerId.parse(`runner-${offMs > 0 ? "ahead" : "behind"}`) },
        () => [],
      );
      mine.startWatching(ignore);
      await until(() => mine.place() !== undefined, "a first look");
      assert.ok(Math.abs(mine.storeNow().getTime() - Date.now()) < 1_000);
    }
  });

  test("stops a runner whose store does not answer before others may take it for dead", async () => {
    const store = openMemoryStore();
    let isStuck = false;
    const stuck: ObjectStore = {
      ...store,
      async put(...args) {
        if (isStuck) await new Promise((resolve) => setTimeout(resolve, 2 * CLOCKS.leaseMs));
        return store.put(...args);
      },
    };
    await using mine = await openLiveness(worldOf(stuck, "runner-a"), () => []);
    isStuck = true;
    const startedMs = performance.now();
    await until(() => mine.lost.aborted, "the stop");
    assert.ok(performance.now() - startedMs < CLOCKS.leaseMs);
  });
});

describe("a runner that ends what it has, and takes nothing more on", () => {
  test("leaves the sweep to others: its cursor moves past nothing that it finds", async () => {
    const store = openMemoryStore();
    const world = worldOf(store, "runner-a");
    const begun = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    const pool: typeof world.pool = {
      ...world.pool,
      async run(...task) {
        begun.resolve();
        await end.promise;
        return world.pool.run(...task);
      },
    };
    await using leaving = await openRunner(
      { ...world, pool },
      { sweepPrefix: null, accepts: () => true },
    );
    const [first] = await submitMany(store, 1);
    leaving.hint(first ?? "");
    await begun.promise;
    const retired = leaving.retire(60_000);
    // A pass that had begun may end.
    await world.clock.sleep(4 * CLOCKS.sweepMs);
    const before = await sweptAt(store);
    await world.clock.sleep(10 * CLOCKS.sweepMs);
    const after = await sweptAt(store);
    end.resolve();
    await retired;

    assert.equal(after, before);
  });
});

async function sweptAt(store: ObjectStore): Promise<string | undefined> {
  return (await store.head(systemKeys.sweep))?.etag;
}

async function countUnder(store: ObjectStore, prefix: string): Promise<number> {
  let count = 0;
  for await (const _ of store.list(prefix)) count++;
  return count;
}
