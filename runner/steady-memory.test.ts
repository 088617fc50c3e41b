import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { KEYS, engineWorld, submitMany } from "../bench/campaign-engine.ts";
import { JobId } from "../core/ids.ts";
import { parseObjectKey } from "../core/keys.ts";
import { limited } from "../ports/limited.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { retrying } from "../ports/retrying.ts";
import { openRunner } from "./runner.ts";
import type { RunnerWorld } from "./world.ts";

const ITEMS_A_JOB = 25;
/** Caches of the newest jobs are full by then. */
const WARM_UP_JOBS = 70;
const JOBS = 60;
const WINDOWS = 3;
/** What a lost map entry with a key would be: a leak is found, the noise of the heap is not. */
const MAX_BYTES_AN_ITEM = 300;

describe("a runner's memory", () => {
  test("is the same after 1,500 items more", { timeout: 120_000 }, async (t) => {
    const bucket = openMemoryStore();
    const clock = engineWorld().clock;
    // As a runner of the cloud has it, but for the length of the interval.
    const store: ObjectStore = limited(
      retrying<ObjectStore>(
        { ...bucket, minWriteIntervalMs: 1 },
        { clock, random: Math.random, attempts: 3, baseMs: 10, maxMs: 100 },
      ),
      clock,
    );
    let ended = 0;
    const waiting = new Map<number, () => void>();
    const base = engineWorld({ store });
    const world: RunnerWorld = {
      ...base,
      items: 8,
      clocks: { leaseMs: 5_000, sweepMs: 60_000, pollMs: 3_600_000, stallMs: 600_000 },
      listener: ({ type }) => {
        if (type === "item-ended") waiting.get(++ended)?.();
      },
    };
    const runner = await openRunner(world, { sweepPrefix: "inbox/", accepts: () => true });
    t.after(async () => {
      await runner[Symbol.asyncDispose]();
      rmSync(world.workDir, { recursive: true, force: true });
    });
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;

    async function workOn(from: number, to: number): Promise<number> {
      for (let at = from; at < to; at++) {
        const job = `job-${at}`;
        const all = new Promise<void>((resolve) => waiting.set((at + 1) * ITEMS_A_JOB, resolve));
        for (const key of await submitMany(bucket, ITEMS_A_JOB, job)) runner.hint(key);
        await all;
        while ((await bucket.head(KEYS.status(JobId.parse(job)))) === undefined)
          await clock.sleep(1);
        waiting.clear();
      }
      await clock.sleep(200);
      // What the bucket holds is not the runner's.
      for await (const { key } of bucket.list("")) {
        if (!key.startsWith("sys/")) await bucket.delete(parseObjectKey(key));
      }
      collect();
      return process.memoryUsage().heapUsed;
    }

    let before = await workOn(0, WARM_UP_JOBS);
    const stayed: number[] = [];
    // What V8 keeps of code is a megabyte now and then; what leaks stays every time.
    for (let window = 0; window < WINDOWS; window++) {
      const from = WARM_UP_JOBS + window * JOBS;
      const after = await workOn(from, from + JOBS);
      stayed.push(Math.round((after - before) / (JOBS * ITEMS_A_JOB)));
      if ((stayed.at(-1) ?? 0) < MAX_BYTES_AN_ITEM) return;
      before = after;
    }
    assert.fail(`bytes an item that stay, each time: ${stayed.join(", ")}`);
  });
});
