import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { PIPELINE, engineWorld, submit, submitMany } from "../bench/campaign-engine.ts";
import { serve } from "../bin/runner.ts";
import { hasKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openRunner } from "./runner.ts";
import type { RunnerEvent } from "./runner-events.ts";
import type { RunnerWorld } from "./world.ts";

const CLOCKS = { leaseMs: 1_200, sweepMs: 30, pollMs: 3_600_000, stallMs: 400 };
const everything = { sweepPrefix: null, accepts: () => true };

/** A pipeline whose stages may take so long. */
function worldOf(
  store: ObjectStore,
  stageMs: number,
  more: Partial<RunnerWorld> = {},
): RunnerWorld {
  const pipeline = {
    ...PIPELINE,
    stages: PIPELINE.stages.map((stage) => ({ ...stage, timeoutMs: stageMs })),
  };
  return {
    ...engineWorld({ store }),
    clocks: CLOCKS,
    pipelines: { current: () => pipeline, find: () => Promise.resolve(pipeline) },
    ...more,
  };
}

/** Resolves with the reason why it gives up, or undefined after so long. */
async function stallOf(world: RunnerWorld, withinMs: number): Promise<unknown> {
  const runner = await openRunner(world, everything);
  try {
    const late = new Promise((resolve) => setTimeout(resolve, withinMs));
    const gaveUp = new Promise((resolve) => runner.stalled.addEventListener("abort", resolve));
    await Promise.race([late, gaveUp]);
    return runner.stalled.reason as unknown;
  } finally {
    // What hangs is let go, so that the runner can be closed.
    letGo.resolve();
    await runner[Symbol.asyncDispose]();
  }
}

let letGo = Promise.withResolvers<void>();

/** Reads of such keys are never answered. */
function hanging(store: ObjectStore, pattern: RegExp): ObjectStore {
  letGo = Promise.withResolvers<void>();
  const get = (async (key: ObjectKey, options: object = {}) => {
    if (pattern.test(key)) await letGo.promise;
    return store.get(key, options);
  }) as ObjectStore["get"];
  return { ...store, get };
}

describe("the watchdog", () => {
  test("ends a runner whose tickets are in hand and do not move", async () => {
    const store = openMemoryStore();
    await submit(store);
    // As a connection that was lost without a word; the heart goes on beating.
    const reason = await stallOf(worldOf(hanging(store, /^inbox\//), 0), 10_000);

    assert.ok(hasKind("bug")(reason));
    assert.match(String(reason), /gets nothing done.*does not move/);
  });

  test("ends a runner that hears of nothing while tickets wait", async () => {
    const store = openMemoryStore();
    const deaf = hanging(store, /^sys\/sweep/);
    const stalled = stallOf(worldOf(deaf, 0), 10_000);
    for (let at = 0; at < 5; at++) await submitMany(store, 2, `more-${at}`);

    assert.match(String(await stalled), /tickets wait, and it hears of none/);
  });

  test("leaves a runner alone whose stage takes its time, and one that has nothing to do", async () => {
    const store = openMemoryStore();
    assert.equal(await stallOf(worldOf(store, 60_000), 1_000), undefined);

    await submit(store);
    const events: RunnerEvent["type"][] = [];
    const base = worldOf(store, 60_000);
    const slow: Partial<RunnerWorld> = {
      listener: ({ type }) => events.push(type),
      pool: {
        ...base.pool,
        async run(task, host, limits) {
          await base.clock.sleep(1_200, limits.signal);
          return base.pool.run(task, host, limits);
        },
      },
    };
    assert.equal(await stallOf(worldOf(store, 60_000, slow), 6_000), undefined);
    assert.ok(events.includes("item-ended"));
  });

  test("makes the command fail, so that a supervisor starts it anew", async () => {
    const store = openMemoryStore();
    await submit(store);
    const world = worldOf(hanging(store, /^inbox\//), 0);
    const never = new AbortController().signal;
    const served = serve({
      machine: { openWorld: () => ({ ...world, log: releasing(world) }) },
      pipelines: world.pipelines,
      log: world.log,
      retire: never,
      leave: never,
      flags: { drainMs: 1_000 },
      exit: () => undefined,
    });

    await assert.rejects(served, hasKind("bug"));
  });
});

/** The command waits for the runner to close: what hangs is let go once it has given up. */
function releasing({ log, clock }: RunnerWorld): RunnerWorld["log"] {
  void clock.sleep(3_000).then(() => letGo.resolve());
  return log;
}
