import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { JOB, KEYS, PIPELINE, engineWorld, submit, ticketOf } from "../bench/campaign-engine.ts";
import { ItemState } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openArtifactShelf } from "./artifact-shelf.ts";
import { openJobMetadata } from "./job-metadata.ts";
import { lookAhead } from "./look-ahead.ts";
import { openRunner } from "./runner.ts";
import { openStageCache } from "./stage-cache.ts";
import type { RunnerWorld } from "./world.ts";

/** Long enough for a busy machine, short enough that a claim which waits for nothing is seen. */
const PATIENCE_MS = 10_000;

describe("the look ahead of a claim", () => {
  test("what the work begins with is read while the claim's write is on its way", async (t) => {
    const memory = openMemoryStore();
    const read = { metadata: Promise.withResolvers<void>(), cache: Promise.withResolvers<void>() };
    const late: string[] = [];
    const store: ObjectStore = {
      ...memory,
      async get(...[key, options]: Parameters<ObjectStore["get"]>) {
        if (key === KEYS.metadata(JOB)) read.metadata.resolve();
        if (key.startsWith("cache/")) read.cache.resolve();
        return memory.get(key, options ?? {});
      },
      async put(key, body, options) {
        if (isClaim(key, body)) {
          const isIn = await within(Promise.all([read.metadata.promise, read.cache.promise]));
          if (!isIn) late.push(key);
        }
        return memory.put(key, body, options);
      },
    } as ObjectStore;

    await runToEnd(store, t.signal);

    assert.deepEqual(late, []);
  });

  test("a look that fails is made again by the work", async (t) => {
    const memory = openMemoryStore();
    let failures = 0;
    const store: ObjectStore = {
      ...memory,
      async get(...[key, options]: Parameters<ObjectStore["get"]>) {
        const isLookedAt = key === KEYS.metadata(JOB) || key.startsWith("cache/");
        if (isLookedAt && failures < 2) {
          failures++;
          throw new Error("the store stumbles");
        }
        return memory.get(key, options ?? {});
      },
    } as ObjectStore;

    assert.equal(await runToEnd(store, t.signal), "complete");
    assert.equal(failures, 2);
  });

  test("what was found of a stage counts once: an artifact that is lost since is looked for anew", async (t) => {
    const world = engineWorld();
    const ahead = lookAhead(contextOf(world, t.signal), ticketOf(), PIPELINE);

    const first = await ahead.takeStage("only");

    assert.equal(first?.is, "new");
    assert.equal(ahead.takeStage("only"), undefined);
  });

  test("stages that need others, and those that the ticket has, are left to the work", async (t) => {
    const world = engineWorld();
    const [only] = PIPELINE.stages;
    assert.ok(only);
    const second = { ...only, id: "second", after: ["only"] };
    const pipeline = { ...PIPELINE, stages: [only, second] };
    const ticket = { ...ticketOf(), prepared: [{ stage: "only" }] } as ReturnType<typeof ticketOf>;

    const ahead = lookAhead(contextOf(world, t.signal), ticket, pipeline);

    assert.equal(ahead.takeStage("only"), undefined);
    assert.equal(ahead.takeStage("second"), undefined);
  });
});

function contextOf(world: RunnerWorld, stopping: AbortSignal): Parameters<typeof lookAhead>[0] {
  const { store, log, defences } = world;
  const shelf = openArtifactShelf(store, KEYS, defences);
  const cache = openStageCache(store, KEYS, shelf, log, defences);
  return { world, jobs: openJobMetadata(store, KEYS), cache, stopping };
}

function isClaim(key: string, body: Uint8Array): boolean {
  if (!/^jobs\/.*\/items\//.test(key)) return false;
  const state = ItemState.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  return state.status === "processing" && Object.keys(state.stages).length === 0;
}

async function within(done: Promise<unknown>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), PATIENCE_MS);
  void done.then(() => resolve(true));
  return promise.finally(() => clearTimeout(timer));
}

/** Returns how the item ended. */
async function runToEnd(store: ObjectStore, signal: AbortSignal): Promise<string> {
  const ended = Promise.withResolvers<string>();
  signal.addEventListener("abort", () => ended.reject(signal.reason as Error), { once: true });
  const world = engineWorld({
    store,
    listener: (event) => {
      if (event.type === "item-ended") ended.resolve(event.status);
    },
  });
  const key = await submit(store);
  const runner = await openRunner(world, { sweepPrefix: key, accepts: () => true });
  runner.hint(key);
  const status = await ended.promise;
  await runner[Symbol.asyncDispose]();
  return status;
}
