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
    const rows = openJobRows(store, KEYS, openJobMetadata(store, KEYS), clock);
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
    const rows = openJobRows(store, KEYS, jobs, clock, undefined, stopping.signal);
    const startedMs = performance.now();
    await rows.set(JOB, ItemId.parse("item-0"), ROW);
    await second.promise;

    assert.ok(performance.now() - startedMs < 1_000);
  });
});
