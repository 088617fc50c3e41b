import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { ClipscribeError, hasKind } from "../core/errors.ts";
import { parseObjectKey } from "../core/keys.ts";
import type { Clock } from "./clock.ts";
import type { EventQueue } from "./event-queue.ts";
import { failing } from "./failing.ts";
import { limited } from "./limited.ts";
import type { Log } from "./log.ts";
import { metered } from "./metered.ts";
import { notifying } from "./notifying.ts";
import type { Etag, ListOptions, ObjectStore } from "./object-store.ts";
import { retrying } from "./retrying.ts";
import { routed } from "./routed.ts";

const KEY = parseObjectKey("inbox/urgent/me/job/item.1.json");
const BODY = Buffer.from("x");

/** A clock whose sleep takes no time and is written down. */
function quickClock(): { clock: Clock; slept: number[] } {
  const slept: number[] = [];
  let nowMs = 0;
  const clock: Clock = {
    now: () => new Date(nowMs),
    monotonicMs: () => nowMs,
    async sleep(ms) {
      slept.push(ms);
      nowMs += ms;
    },
  };
  return { clock, slept };
}

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet };

describe("retrying", () => {
  const options = { random: () => 0, attempts: 3, baseMs: 100, maxMs: 1_000 };

  test("a read that fails once is made again, after a wait", async () => {
    const { clock, slept } = quickClock();
    const inner = openMemoryStore();
    await inner.put(KEY, BODY);
    const store = retrying(failing(inner, { at: 1, mode: "error" }), { ...options, clock });

    assert.deepEqual((await store.get(KEY)).body, Uint8Array.from(BODY));
    assert.deepEqual(slept, [50]);
  });

  test("a stream that can't be opened once is opened again", async () => {
    const { clock } = quickClock();
    const inner = openMemoryStore();
    await inner.put(KEY, Buffer.from("said"));
    const store = retrying(failing(inner, { at: 1, mode: "error" }), { ...options, clock });

    const { body } = await store.getStream(KEY);

    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), "said");
  });

  test("a listing that breaks off goes on after the last key that it gave", async () => {
    const { clock, slept } = quickClock();
    const inner = openMemoryStore();
    const keys = ["a", "b", "c"].map((name) => parseObjectKey(`jobs/me/${name}.json`));
    for (const key of keys) await inner.put(key, BODY);
    let breaks = 2;
    const store = retrying(
      {
        ...inner,
        async *list(prefix: string, list: ListOptions = {}) {
          for await (const info of inner.list(prefix, list)) {
            if (info.key !== keys[0] && breaks-- > 0) throw new ClipscribeError("transient", "cut");
            yield info;
          }
        },
      },
      { ...options, clock },
    );

    const listed: string[] = [];
    for await (const { key } of store.list("jobs/")) listed.push(key);

    assert.deepEqual(listed, keys);
    assert.deepEqual(slept, [50, 100]);
  });

  test("a create whose answer was lost counts as done, once", async () => {
    const { clock } = quickClock();
    const inner = openMemoryStore();
    const store = retrying(failing(inner, { at: 1, mode: "lost-answer" }), { ...options, clock });

    const etag = await store.put(KEY, BODY, { ifMatch: null });

    assert.equal((await inner.head(KEY))?.etag, etag);
  });

  test("a deletion is made again, also where the first one was made and nobody heard", async () => {
    for (const mode of ["error", "lost-answer"] as const) {
      const { clock } = quickClock();
      const inner = openMemoryStore();
      const etag = await inner.put(KEY, BODY);
      const store = retrying(failing(inner, { at: 1, mode }), { ...options, clock });

      await store.delete(KEY, { ifMatch: etag });

      assert.equal(await inner.head(KEY), undefined);
    }
  });

  test("a copy without a condition is made again", async () => {
    for (const mode of ["error", "lost-answer"] as const) {
      const { clock } = quickClock();
      const inner = openMemoryStore();
      await inner.put(KEY, BODY);
      const to = parseObjectKey("results/me/job/item/out.txt");

      await retrying(failing(inner, { at: 1, mode }), { ...options, clock }).copy(KEY, to);

      assert.deepEqual((await inner.get(to)).body, Uint8Array.from(BODY));
    }
  });

  test("a conflict is a conflict: nothing is tried again", async () => {
    const { clock, slept } = quickClock();
    const store = retrying(openMemoryStore(), { ...options, clock });
    await store.put(KEY, BODY);

    await assert.rejects(store.put(KEY, Buffer.from("y"), { ifMatch: null }), hasKind("conflict"));
    assert.deepEqual(slept, []);
  });

  test("it gives up after its attempts", async () => {
    const { clock, slept } = quickClock();
    const broken = {
      ...openMemoryStore(),
      head: failing(openMemoryStore(), { at: 1, mode: "error" }).head,
    };
    broken.head = async () => failing(openMemoryStore(), { at: 1, mode: "error" }).head(KEY);

    await assert.rejects(retrying(broken, { ...options, clock }).head(KEY), hasKind("transient"));
    assert.equal(slept.length, 2);
  });
});

describe("limited", () => {
  test("writes of one key are spaced; those that wait without a condition become one", async () => {
    const { clock, slept } = quickClock();
    const { store: inner, meter } = metered(openMemoryStore());
    const store = limited({ ...inner, minWriteIntervalMs: 1_000 }, clock);

    await Promise.all(["a", "b", "c", "d"].map(async (text) => store.put(KEY, Buffer.from(text))));
    await store.put(KEY, Buffer.from("e"));

    assert.equal(meter.writes, 2);
    assert.deepEqual(slept, [1_000]);
    assert.equal(Buffer.from((await inner.get(KEY)).body).toString(), "e");
  });

  test("other keys don't wait, and conditions are never merged", async () => {
    const { clock } = quickClock();
    const { store: inner, meter } = metered(openMemoryStore());
    const store = limited({ ...inner, minWriteIntervalMs: 1_000 }, clock);

    await store.put(KEY, BODY, { ifMatch: null });
    await assert.rejects(store.put(KEY, BODY, { ifMatch: null }), hasKind("conflict"));
    await store.put(parseObjectKey("other"), BODY);

    assert.equal(meter.writes, 3);
  });

  test("keys that were written long ago take no memory", async () => {
    const { clock } = quickClock();
    const put = async (): Promise<Etag> => "etag" as Etag;
    const forgetful: ObjectStore = { ...openMemoryStore(), put };
    const store = limited({ ...forgetful, minWriteIntervalMs: 1_000 }, clock);
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const heapMb = (): number => {
      collect();
      return process.memoryUsage().heapUsed / 1e6;
    };
    const write = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at++) {
        await store.put(parseObjectKey(`blobs/me/${at}-${"x".repeat(100)}`), BODY);
        await clock.sleep(1);
      }
    };
    await write(0, 5_000);
    const before = heapMb();
    await write(5_000, 55_000);

    const grownMb = heapMb() - before;
    assert.ok(grownMb < 3, `${grownMb} MB for 50,000 keys`);
  });
});

describe("notifying", () => {
  const sent: string[] = [];
  const queue = { send: async (body: string) => void sent.push(body) } as unknown as EventQueue;
  const rules = [{ prefix: "inbox/urgent/", queue }];

  test("a new object below the prefix sends R2's event, another none", async () => {
    sent.length = 0;
    const store = notifying(openMemoryStore(), rules, { clock: systemClock, log: quiet });

    await store.put(KEY, BODY);
    await store.put(parseObjectKey("jobs/me/a.json"), BODY);

    const events = sent.map(
      (body) => JSON.parse(body) as { action: string; object: { key: string } },
    );
    assert.deepEqual(
      events.map(({ action, object }) => [action, object.key]),
      [["PutObject", KEY]],
    );
  });

  test("of a store that says when an object can be read, the event is sent then, and once", async () => {
    sent.length = 0;
    const memory = openMemoryStore();
    let before = 0;
    const store: ObjectStore = {
      ...memory,
      async put(key, body, options) {
        const etag = await memory.put(key, body, options);
        options?.onVisible?.(etag);
        before = sent.length;
        return etag;
      },
    };

    const told = notifying(store, rules, { clock: systemClock, log: quiet });
    await told.put(KEY, BODY);

    assert.deepEqual([before, sent.length], [1, 1]);
  });

  test("a queue that is down does not fail the write", async () => {
    const down = { send: () => Promise.reject(new Error("down")) } as unknown as EventQueue;
    const store = notifying(openMemoryStore(), [{ prefix: "", queue: down }], {
      clock: systemClock,
      log: quiet,
    });

    await store.put(KEY, BODY);

    assert.ok(await store.head(KEY));
  });
});

describe("routed", () => {
  test("keys and listings under the prefix are the other store's, all else is not", async () => {
    const own = openMemoryStore();
    const other = openMemoryStore();
    const store = routed(own, { "pipelines/": other });
    const pipeline = parseObjectKey("pipelines/current.json");
    await store.put(KEY, BODY);
    await store.put(pipeline, BODY);

    assert.equal((await own.head(KEY))?.key, KEY);
    assert.equal(await own.head(pipeline), undefined);
    assert.equal((await other.head(pipeline))?.key, pipeline);
    const listed: string[] = [];
    for await (const { key } of store.list("pipelines/")) listed.push(key);
    assert.deepEqual(listed, [pipeline]);
  });
});
