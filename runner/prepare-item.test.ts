import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import {
  ITEM,
  JOB,
  KEYS,
  PIPELINE,
  engineWorld,
  submit,
  ticketOf,
} from "../bench/campaign-engine.ts";
import { ClipscribeError, hasKind } from "../core/errors.ts";
import { queueItem } from "../core/item-state.ts";
import type { CheckedPipeline, CheckedStage } from "../core/pipeline.ts";
import { Manifest } from "../core/records.ts";
import type { ItemState, Ticket } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { StagePool } from "../ports/stage-pool.ts";
import { readItem } from "./item-record.ts";
import { openPreparer } from "./prepare-item.ts";
import type { PreparedItem } from "./prepare-item.ts";
import { openRunner } from "./runner.ts";
import type { RunnerWorld } from "./world.ts";

interface Trial {
  store?: ObjectStore;
  stage?: Partial<CheckedStage>;
  /** Called before each run of the stage; what it throws, the stage throws. */
  before?: (run: number) => void;
  /** What the stage says that its outputs lack. */
  lacks?: string;
}

/** A laptop and a runner on one store in memory; only the laptop has the file, and waits take no time. */
function trial(
  t: TestContext,
  { store = openMemoryStore(), stage = {}, before, lacks }: Trial = {},
) {
  const stages = PIPELINE.stages.map((each) => ({ ...each, runsOn: "edge" as const, ...stage }));
  const pipeline: CheckedPipeline = { ...PIPELINE, stages };
  const waits: number[] = [];
  let runs = 0;
  const worldOf = (runner: string, more: Partial<RunnerWorld> = {}): RunnerWorld => {
    const world = engineWorld({ store, runner });
    t.after(() => rmSync(world.workDir, { recursive: true, force: true }));
    return {
      ...world,
      pipelines: { current: () => pipeline, find: async () => pipeline },
      ...more,
    };
  };
  const own = engineWorld({ store });
  t.after(() => rmSync(own.workDir, { recursive: true, force: true }));
  const pool: StagePool = {
    ...own.pool,
    async run(task, host, limits) {
      runs++;
      before?.(runs);
      if (lacks !== undefined) host.incomplete(lacks);
      return own.pool.run(task, host, limits);
    },
  };
  const clock: Clock = {
    ...own.clock,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      waits.push(ms);
    },
  };
  const laptop = worldOf("laptop-1-aa", { pool, clock });
  const preparer = openPreparer(laptop, pipeline, {
    device: "my laptop",
    sendFile: () => Promise.reject(new Error("its stage makes no file")),
  });
  const missing = (): Promise<never> =>
    Promise.reject(new ClipscribeError("missing", "the original is not here"));

  return {
    store,
    pipeline,
    waits,
    get runs() {
      return runs;
    },
    prepare: async (ticket = ticketOf(), signal = t.signal): Promise<PreparedItem> =>
      preparer.prepare({ ticket, signal }),
    /** What a runner without the file makes of the ticket. */
    async publish(ticket: Ticket): Promise<ItemState> {
      const key = await submit(store);
      await store.put(
        KEYS.item(JOB, ITEM),
        Buffer.from(JSON.stringify(queueItem(ticket, new Date()))),
      );
      await store.put(key, Buffer.from(JSON.stringify(ticket)));
      const ended = Promise.withResolvers<void>();
      const world = worldOf("runner-1-bb", {
        sources: { locate: missing },
        listener: ({ type }) => void (type === "item-ended" && ended.resolve()),
      });
      await using runner = await openRunner(world, { sweepPrefix: "none/", accepts: () => true });
      runner.hint(key);
      await ended.promise;
      const found = await readItem(store, KEYS.item(JOB, ITEM));
      assert.ok(found);
      return found.state;
    },
    async manifest({ manifest }: ItemState): Promise<Manifest> {
      const { body } = await store.get(KEYS.blob(manifest?.sha256 as never));
      return Manifest.parse(JSON.parse(Buffer.from(body).toString()));
    },
  };
}

const withStages = ({ artifacts, prepared }: PreparedItem): Ticket => ({
  ...ticketOf(),
  artifacts,
  prepared,
});
const noAnswer = (): never => {
  throw new ClipscribeError("transient", "no answer");
};

describe("preparing an item", () => {
  test("what it makes is in the bucket when it returns, and a second time nothing runs", async (t) => {
    const w = trial(t);
    const first = await w.prepare();
    const second = await w.prepare();

    assert.equal(w.runs, 1);
    assert.deepEqual(second.artifacts, first.artifacts);
    assert.deepEqual(
      [first.stages["only"]?.why, second.stages["only"]?.why],
      ["first run", "reused"],
    );
    for (const { sha256 } of first.artifacts) await w.store.get(KEYS.blob(sha256));
  });

  test("a runner publishes from the ticket alone, though the cache is gone", async (t) => {
    const w = trial(t);
    const ticket = withStages(await w.prepare());
    for await (const { key } of w.store.list("cache/")) await w.store.delete(key);
    const state = await w.publish(ticket);

    assert.equal(state.status, "complete");
    assert.equal(state.stages["only"]?.why, "made on my laptop: first run");
    assert.equal((await w.manifest(state)).stages[0]?.made_by, "laptop-1-aa");
  });

  test("a ticket of other params, or one that names somebody else's object, is as good as none", async (t) => {
    const w = trial(t);
    const made = await w.prepare();
    for await (const { key } of w.store.list("cache/")) await w.store.delete(key);
    const [prepared] = made.prepared;
    assert.ok(prepared);
    const other = { ...prepared, ingredients: { ...prepared.ingredients, "params.rate": "2" } };
    const stolen = made.artifacts.map((each) => ({ ...each, key: "blobs/other/secret" }));

    for (const lie of [
      { ...made, prepared: [other] },
      { ...made, artifacts: stolen },
      { ...made, artifacts: made.artifacts.slice(1) },
    ]) {
      const state = await w.publish(withStages(lie));
      assert.deepEqual([state.status, state.error?.message], ["held", "the original is not here"]);
    }
  });

  test("a bucket out of reach is waited for; the stage runs once, whatever tries it has", async (t) => {
    const store = openMemoryStore();
    let failures = 30;
    const offline: ObjectStore = {
      ...store,
      put: async (...args) => (failures-- > 0 ? noAnswer() : store.put(...args)),
    };
    const w = trial(t, { store: offline, stage: { retry: { attempts: 1, backoff: "fixed" } } });
    const made = await w.prepare();

    assert.equal(made.error, null);
    assert.equal(w.runs, 1);
    assert.ok(w.waits.length >= 30);
    assert.ok(Math.max(...w.waits) <= 30_000);
  });

  test("a stage has the tries that the pipeline gives it, over long waits too; then the item ends with its error", async (t) => {
    const retry = { attempts: 7, backoff: "exponential" } as const;
    const w = trial(t, { stage: { retry }, before: noAnswer });
    const { error, stages } = await w.prepare();

    assert.equal(w.runs, 7);
    assert.match(error?.message ?? "", /gave up after 7 tries: no answer/);
    assert.equal(stages["only"]?.state, "failed");
  });

  test("trouble that passes is over", async (t) => {
    const retry = { attempts: 7, backoff: "exponential" } as const;
    const w = trial(t, { stage: { retry }, before: (run) => void (run < 7 && noAnswer()) });

    assert.equal((await w.prepare()).error, null);
  });

  test("an optional stage that failed here is missing there, with the reason of here", async (t) => {
    const before = (): never => {
      throw new ClipscribeError("contract", "no sound in it");
    };
    const w = trial(t, { stage: { optional: true }, before });
    const made = await w.prepare();
    const state = await w.publish(withStages(made));

    assert.deepEqual([made.error, made.artifacts], [null, []]);
    assert.equal(state.status, "partial");
    assert.deepEqual((await w.manifest(state)).missing, [{ stage: "only", why: "no sound in it" }]);
  });

  test("what a stage says it lacks goes along, and the next time it runs again", async (t) => {
    const w = trial(t, { lacks: "the second half" });
    const state = await w.publish(withStages(await w.prepare()));
    await w.prepare();

    assert.deepEqual((await w.manifest(state)).missing, [
      { stage: "only", why: "the second half" },
    ]);
    assert.equal(w.runs, 2);
  });

  test("told to stop, it stops at once and says so", async (t) => {
    const abort = new AbortController();
    const reason = new ClipscribeError("cancelled", "told to stop");
    const w = trial(t, { before: () => abort.abort(reason) });

    await assert.rejects(w.prepare(ticketOf(), abort.signal), hasKind("cancelled"));
  });
});
