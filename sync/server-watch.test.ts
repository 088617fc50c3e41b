import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { ClipscribeError } from "../core/errors.ts";
import { systemKeys } from "../core/keys.ts";
import { RunnerId } from "../core/ids.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { createServerWatch } from "./server-watch.ts";

const MINUTE = 60_000;

/** A store whose clock is an hour ahead of this machine's, and a hand on both. */
function world() {
  let nowMs = Date.parse("2026-11-25T18:00:00Z");
  const store = openMemoryStore(() => new Date(nowMs + 60 * MINUTE));
  const clock: Clock = {
    now: () => new Date(nowMs),
    monotonicMs: () => nowMs,
    sleep: () => Promise.resolve(),
  };
  const beat = async (host: string, beats: number, status = "alive"): Promise<void> => {
    const runner = RunnerId.parse(`${host}-17-0a1b2c3d`);
    const record = { schema: 1, runner, status, beat: beats, items: [], host: "remote" };
    const body = { ...record, process: null, started_at: "2026-11-25T17:00:00Z" };
    await store.put(systemKeys.runner(runner), Buffer.from(JSON.stringify(body)));
  };
  return {
    store,
    clock,
    beat,
    pass: (ms: number) => (nowMs += ms),
    now: () => new Date(nowMs),
    async write() {
      const key = "inbox/batch/me/j/i.1.json" as ObjectKey;
      await store.put(key, Buffer.from("{}"));
      return { key, at: new Date(nowMs) };
    },
    watch: createServerWatch({ store, clock, host: "laptop", seenAt: null }),
  };
}

describe("the watch for servers", () => {
  test("the first look tells by the store's own clock, though it is an hour ahead", async (t) => {
    const w = world();
    await w.beat("server", 1);
    w.pass(10 * MINUTE);

    const seenAt = await w.watch.look(await w.write(), t.signal);

    assert.equal(w.now().getTime() - (seenAt?.getTime() ?? 0), 10 * MINUTE);
  });

  test("a record that changes between two looks is a living server, whatever the clocks say", async (t) => {
    const w = world();
    await w.beat("server", 1);
    await w.watch.look(null, t.signal);
    w.pass(10 * MINUTE);
    await w.beat("server", 2);

    assert.deepEqual(await w.watch.look(null, t.signal), w.now());
  });

  test("one that was marked dead has changed too, and lives no more for that", async (t) => {
    const w = world();
    await w.beat("server", 1);
    const first = await w.watch.look(await w.write(), t.signal);
    w.pass(10 * MINUTE);
    await w.beat("server", 1, "dead");

    assert.deepEqual(await w.watch.look(null, t.signal), first);
  });

  test("who may only list the records, as a user's credentials do, sees a server by their changes", async (t) => {
    const w = world();
    const refuse = async (): Promise<never> => {
      throw new ClipscribeError("denied", "the bucket refuses these credentials");
    };
    const store: ObjectStore = { ...w.store, get: refuse };
    const watch = createServerWatch({ store, clock: w.clock, host: "laptop", seenAt: null });
    await w.beat("server", 1);
    await watch.look(null, t.signal);
    w.pass(10 * MINUTE);
    await w.beat("server", 2);

    assert.deepEqual(await watch.look(null, t.signal), w.now());
  });

  test("this machine's own runners are none elsewhere", async (t) => {
    const w = world();
    await w.beat("laptop", 1);

    assert.equal(await w.watch.look(await w.write(), t.signal), null);
  });
});
