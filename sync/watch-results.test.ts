import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { ClipscribeError, hasKind } from "../core/errors.ts";
import { JobId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { metered } from "../ports/metered.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { JOB, USER } from "../samples/publish-item.ts";
import { createResultsWatch } from "./watch-results.ts";

const HOUR_MS = 3_600_000;
const POLL_MS = 5_000;

function world(inner: ObjectStore = openMemoryStore()) {
  let nowMs = 0;
  const clock = {
    now: () => new Date(nowMs),
    monotonicMs: () => nowMs,
    sleep: async (ms: number) => void (nowMs += ms),
  };
  const { store, meter } = metered(inner);
  const watch = createResultsWatch({ store, user: USER, clock, minWaitMs: POLL_MS });
  const jobs = new Set([JOB]);
  const { signal } = new AbortController();
  let writes = 0;
  return {
    watch,
    meter,
    jobs,
    signal,
    /** As the tail of an item does. */
    setRow: async () =>
      void (await inner.put(keysOf(USER).status(JOB), Buffer.from(`${writes++}`))),
    look: async () => watch.findChanged(jobs, signal),
    /** Looks as often as the watch wants, for so long; returns how often something was new. */
    async pass(ms: number): Promise<number> {
      const endMs = nowMs + ms;
      let found = 0;
      while (nowMs < endMs) {
        found += (await watch.findChanged(jobs, signal)).size;
        nowMs = Math.min(endMs, nowMs + Math.max(1_000, watch.dueMs() ?? POLL_MS));
      }
      return found;
    },
  };
}

describe("watching for results", () => {
  test("a job is looked at when it is new, when it has changed, and not in between", async () => {
    const { look, setRow, pass } = world();

    assert.deepEqual(await look(), new Set([JOB]));
    assert.equal(await pass(60_000), 0);
    await setRow();
    assert.equal(await pass(60_000), 1);
    assert.equal(await pass(60_000), 0);
    await setRow();
    assert.equal(await pass(60_000), 1);
  });

  test("a night of fifty items costs a few thousand small reads, and writes and lists nothing", async () => {
    const { meter, setRow, pass } = world();

    let found = 0;
    for (let item = 0; item < 50; item++) {
      found += await pass((8 * HOUR_MS) / 50);
      await setRow();
    }
    found += await pass(4 * HOUR_MS);

    assert.ok(found >= 51, `${found} changes were seen`);
    // docs/operations.md says 2,000.
    assert.ok(meter.reads <= 2_000, `${meter.reads} reads`);
    assert.deepEqual([meter.writes, meter.lists, meter.deletes], [0, 0, 0]);
  });

  test("a job in which nothing happens is asked about every five minutes", async () => {
    const { meter, pass } = world();
    await pass(2 * HOUR_MS);
    const before = meter.reads;

    await pass(HOUR_MS);

    assert.ok(meter.reads - before <= 13, `${meter.reads - before} reads`);
  });

  test("a job that went wrong is looked at the next time", async () => {
    const { watch, look } = world();
    await look();

    watch.forget(JOB);

    assert.deepEqual(await look(), new Set([JOB]));
  });

  test("where the store can't be asked nothing counts as seen", async () => {
    const inner = openMemoryStore();
    let isDown = true;
    const { jobs, look, setRow } = world({
      ...inner,
      get: (async (...args: Parameters<ObjectStore["get"]>) => {
        if (isDown && args[0].includes("b-job")) throw new ClipscribeError("transient", "down");
        return inner.get(...args);
      }) as ObjectStore["get"],
    });
    await setRow();
    const other = JobId.parse("b-job");
    jobs.add(other);

    await assert.rejects(look(), hasKind("transient"));
    isDown = false;

    assert.deepEqual(await look(), new Set([JOB, other]));
  });

  test("a job that is no longer waited for costs nothing", async () => {
    const { jobs, meter, pass } = world();
    await pass(60_000);
    jobs.clear();
    const before = meter.reads;

    await pass(HOUR_MS);

    assert.equal(meter.reads, before);
  });
});
