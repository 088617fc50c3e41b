import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import {
  ITEM,
  JOB,
  KEYS,
  PIPELINE,
  USER,
  engineWorld,
  submit,
  submitMany,
} from "../bench/campaign-engine.ts";
import { digestOf } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import { ItemState, Metadata } from "../core/records.ts";
import { retrying } from "../ports/retrying.ts";
import { limited } from "../ports/limited.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { auditJobs } from "../sync/audit.ts";
import { replayItems } from "../sync/replay-items.ts";
import { openRunner } from "./runner.ts";
import type { RunnerEvent } from "./runner-events.ts";
import type { RunnerWorld } from "./world.ts";

const everything = { sweepPrefix: null, accepts: () => true };
/** Long enough that a busy machine makes nobody look dead. */
const CLOCKS = { leaseMs: 30_000, sweepMs: 500, pollMs: 3_600_000, stallMs: 600_000 };

async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let look = 0; look < 4_000; look++) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`${what} did not happen`);
}

async function countUnder(store: ObjectStore, prefix: string): Promise<number> {
  let count = 0;
  for await (const _ of store.list(prefix)) count++;
  return count;
}

const readState = async (store: ObjectStore): Promise<ItemState> => {
  const { body } = await store.get(KEYS.item(JOB, ITEM));
  return ItemState.parse(JSON.parse(Buffer.from(body).toString("utf8")));
};

/** Two stages, one after the other, and how often each ran; `work` may take time or fail. */
function twoStages(
  store: ObjectStore,
  work: (stage: string, signal: AbortSignal) => Promise<void>,
) {
  const [only] = PIPELINE.stages;
  assert.ok(only);
  const second = { ...only, id: "second", codeDigest: digestOf("second"), after: ["only"] };
  const ran: string[] = [];
  const base = engineWorld({ store });
  const pipeline = {
    ...PIPELINE,
    stages: [only, { ...second, bundlePath: "second", uses: "stages/second.ts" }],
  };
  const world: RunnerWorld = {
    ...base,
    clocks: { leaseMs: 1_500, sweepMs: 50, pollMs: 3_600_000, stallMs: 600_000 },
    pipelines: { current: () => pipeline, find: () => Promise.resolve(pipeline) },
    pool: {
      ...base.pool,
      async run(task, host, limits) {
        const stage = task.bundlePath === "second" ? "second" : "only";
        ran.push(stage);
        await work(stage, limits.signal);
        return base.pool.run(task, host, limits);
      },
    },
  };
  return { world, ran };
}

async function setControl(store: ObjectStore, state: Metadata["control"]["state"]): Promise<void> {
  const { body, etag } = await store.get(KEYS.metadata(JOB));
  const metadata = Metadata.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  const wanted = { ...metadata, control: { ...metadata.control, state } };
  await store.put(KEYS.metadata(JOB), Buffer.from(JSON.stringify(wanted)), { ifMatch: etag });
}

describe("many runners on one store", () => {
  test("eight of them work on 300 items, each once, though a key takes few writes a second", async () => {
    const memory = { ...openMemoryStore(), minWriteIntervalMs: 20 };
    const lastMs = new Map<string, number>();
    let refused = 0;
    /** As R2 does: a second write of a key within the interval is a 429. */
    const strict: ObjectStore = {
      ...memory,
      async put(key, body, options) {
        const now = performance.now();
        const isEarly = now - (lastMs.get(key) ?? -Infinity) < memory.minWriteIntervalMs;
        if (isEarly && refused++ >= 0) throw new ClipscribeError("transient", "429");
        const etag = await memory.put(key, body, options);
        lastMs.set(key, now);
        return etag;
      },
    };
    const runs = new Map<string, number>();
    const ended = new Map<string, number>();
    const count = (counts: Map<string, number>, item: string): void =>
      void counts.set(item, (counts.get(item) ?? 0) + 1);
    const keys = await submitMany(memory, 300, "many", "batch");
    const listener = (event: RunnerEvent): void => {
      if (event.type === "stage-started") count(runs, event.item_id);
      if (event.type === "item-ended") count(ended, event.item_id);
    };
    const runners = await Promise.all(
      Array.from({ length: 8 }, async (_, at) => {
        const base = engineWorld({ runner: `runner-${at}` });
        const tries = {
          attempts: 7,
          baseMs: 20,
          maxMs: 500,
          clock: base.clock,
          random: Math.random,
        };
        const store = limited(retrying(strict, tries), base.clock);
        return openRunner({ ...base, store, clocks: CLOCKS, items: 3, listener }, everything);
      }),
    );
    // All hear of all.
    for (const key of keys) for (const runner of runners) runner.hint(key);
    await until(async () => (await countUnder(memory, "inbox/")) === 0, "the end of all items");
    await Promise.all(runners.map(async (runner) => runner[Symbol.asyncDispose]()));

    assert.equal(runs.size, 300);
    assert.deepEqual(new Set(runs.values()), new Set([1]));
    const audit = await auditJobs(memory, USER, null);
    assert.deepEqual([audit.counts, audit.problems], [{ complete: 300 }, []]);
  });
});

describe("what people want of a job", () => {
  test("paused: the stage under way ends and is kept, then the item is held; resumed it goes on", async () => {
    const store = openMemoryStore();
    const key = await submit(store);
    const gate = Promise.withResolvers<void>();
    const { world, ran } = twoStages(store, async (stage) => {
      if (stage === "only") await gate.promise;
    });
    await using runner = await openRunner(world, everything);
    runner.hint(key);
    await until(() => ran.length === 1, "the first stage");
    await setControl(store, "paused");
    await new Promise((resolve) => setTimeout(resolve, world.clocks.leaseMs));
    assert.equal((await readState(store)).status, "processing");
    gate.resolve();
    await until(async () => (await readState(store)).status === "held", "the hold");

    const held = await readState(store);
    assert.deepEqual([ran, held.stages["only"]?.state], [["only"], "ran"]);
    assert.match(held.error?.hint ?? "", /resume/);

    await setControl(store, "run");
    await replay(store, world);
    await until(async () => (await readState(store)).status === "complete", "the rest");
    assert.deepEqual(ran, ["only", "second"]);
  });

  test("cancelled: the stage under way is ended at once", async () => {
    const store = openMemoryStore();
    const key = await submit(store);
    const aborted = Promise.withResolvers<void>();
    const { world, ran } = twoStages(store, async (_, signal) => {
      await new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => {
          aborted.resolve();
          reject(signal.reason as Error);
        }),
      );
    });
    await using runner = await openRunner(world, everything);
    runner.hint(key);
    await until(() => ran.length === 1, "the first stage");
    await setControl(store, "cancelled");
    await aborted.promise;
    await until(async () => (await readState(store)).status === "cancelled", "the end");
    assert.deepEqual(ran, ["only"]);
  });

  test("a failed item that is replayed twice is run once more, from the stage that failed", async () => {
    const store = openMemoryStore();
    const key = await submit(store);
    let isBroken = true;
    const { world, ran } = twoStages(store, async (stage) => {
      if (stage === "second" && isBroken) throw new ClipscribeError("contract", "no good");
    });
    await using runner = await openRunner(world, everything);
    runner.hint(key);
    await until(async () => (await countUnder(store, "inbox/")) === 0, "its failure");
    assert.equal((await readState(store)).status, "failed");
    assert.equal(await countUnder(store, "dead/"), 1);

    isBroken = false;
    await Promise.all([replay(store, world), replay(store, world)]);
    await until(async () => (await countUnder(store, "inbox/")) === 0, "its second run");

    const state = await readState(store);
    assert.deepEqual([state.status, state.run, ran], ["complete", 2, ["only", "second", "second"]]);
  });
});

async function replay(store: ObjectStore, world: RunnerWorld): Promise<void> {
  const { digest } = world.pipelines.current();
  await replayItems(store, world.clock, {
    user: USER,
    job: JOB,
    item: ITEM,
    pipelineDigest: digest,
    fromStage: null,
    anew: new Set(),
  });
}
