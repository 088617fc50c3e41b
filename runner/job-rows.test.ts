import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { KEYS, engineWorld, submitMany } from "../bench/campaign-engine.ts";
import { ItemId, JobId } from "../core/ids.ts";
import type { JobRow } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openJobMetadata } from "./job-metadata.ts";
import { openJobRows } from "./job-rows.ts";

const JOB = JobId.parse("many");
const ROW: JobRow = { status: "complete", run: 1, cost: 0 } as JobRow;

describe("the rows of a job", () => {
  test("wait a few seconds for the next write at most, though a process was stopped in the last", async () => {
    const memory = openMemoryStore();
    await submitMany(memory, 2, JOB);
    let nowMs = 0;
    const slept: number[] = [];
    const clock = {
      ...engineWorld().clock,
      monotonicMs: () => nowMs,
      sleep: async (ms: number) => void slept.push(ms),
    };
    const second = Promise.withResolvers<void>();
    const store: ObjectStore = {
      ...memory,
      async put(key, body, options) {
        // Two minutes go by, and another item ends meanwhile.
        if (nowMs === 0) void rows.set(JOB, ItemId.parse("item-1"), ROW).then(second.resolve);
        nowMs += 120_000;
        return memory.put(key, body, options);
      },
    };
    const rows = openJobRows({ store, keys: KEYS, jobs: openJobMetadata(store, KEYS), clock });
    await rows.set(JOB, ItemId.parse("item-0"), ROW);
    await second.promise;

    assert.deepEqual(slept, [0, 5_000]);
  });

  test("are written at once by a runner that stops, however long the last write took", async () => {
    const memory = openMemoryStore();
    await submitMany(memory, 2, JOB);
    let nowMs = 0;
    const stopping = new AbortController();
    const world = engineWorld();
    const second = Promise.withResolvers<void>();
    const store: ObjectStore = {
      ...memory,
      async put(key, body, options) {
        if (nowMs === 0) {
          void rows.set(JOB, ItemId.parse("item-1"), ROW).then(second.resolve);
          stopping.abort();
        }
        nowMs += 120_000;
        return memory.put(key, body, options);
      },
    };
    const jobs = openJobMetadata(store, KEYS);
    const clock = { ...world.clock, monotonicMs: () => nowMs };
    const rows = openJobRows({ store, keys: KEYS, jobs, clock, stopping: stopping.signal });
    const startedMs = performance.now();
    await rows.set(JOB, ItemId.parse("item-0"), ROW);
    await second.promise;

    assert.ok(performance.now() - startedMs < 1_000);
  });

  test("wait for those that are to come, and no longer once the last of them is there", async () => {
    const memory = openMemoryStore();
    await submitMany(memory, 3, JOB);
    let toCome = 2;
    let nowMs = 0;
    const clock = { ...engineWorld().clock, monotonicMs: () => nowMs };
    const written: string[] = [];
    const set = async (item: string): Promise<void> => {
      await rows.set(JOB, ItemId.parse(item), ROW);
      written.push(item);
    };
    let second: Promise<void> | undefined;
    const store: ObjectStore = {
      ...memory,
      async put(key, body, options) {
        // A write takes a second, so the next would wait for four; another item ends meanwhile.
        nowMs += 1_000;
        second ??= set("item-1");
        return memory.put(key, body, options);
      },
    };
    const jobs = openJobMetadata(store, KEYS);
    const rows = openJobRows({ store, keys: KEYS, jobs, clock, toCome: () => toCome });
    const startedMs = performance.now();

    await set("item-0");
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(written, ["item-0"]);
    toCome = 0;
    await Promise.all([second, set("item-2")]);

    assert.ok(performance.now() - startedMs < 2_000);
    assert.deepEqual(written, ["item-0", "item-1", "item-2"]);
  });
});
