/** What every ObjectStore keeps. Where this suite and the port's comment differ, this is right. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test as nodeTest } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../core/errors.ts";
import { parseObjectKey } from "../core/keys.ts";
import { failing } from "./failing.ts";
import { MIN_PART_BYTES } from "./object-store.ts";
import type { ObjectStore } from "./object-store.ts";

type Open = (t: TestContext) => Promise<ObjectStore>;

/** Growth of resident memory that a 64 MiB stream may cause: buffers, not the body. */
const MAX_STREAM_GROWTH_BYTES = 96 * 1024 * 1024;
const KEY = parseObjectKey("jobs/me/a.json");
const bytes = (text: string): Uint8Array => Buffer.from(text);
const textOf = (body: Uint8Array): string => Buffer.from(body).toString("utf8");

async function keysUnder(
  store: ObjectStore,
  prefix: string,
  startAfter?: string,
): Promise<string[]> {
  const found: string[] = [];
  const options = startAfter === undefined ? {} : { startAfter };
  for await (const { key } of store.list(prefix, options)) found.push(key);
  return found;
}

async function* chunks(count: number, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < count; at++) yield Buffer.alloc(size, at);
}

/** `differs`: tests that a stand-in of somebody else is known to fail, and why; it has to fail them. */
export function describeObjectStore(
  name: string,
  open: Open,
  differs: Readonly<Record<string, string>> = {},
): void {
  const test = (title: string, work: (t: TestContext) => Promise<void>): void => {
    void nodeTest(title, async (t) => {
      const difference = differs[title];
      if (difference === undefined) await work(t);
      else await assert.rejects(work(t), Error, `no longer differs: ${difference}`);
    });
  };
  describe(`ObjectStore contract: ${name}`, () => {
    test("what was put is read, with the same etag everywhere", async (t) => {
      const store = await open(t);

      const etag = await store.put(KEY, bytes("one"));

      const read = await store.get(KEY);
      assert.equal(textOf(read.body), "one");
      assert.equal(read.etag, etag);
      assert.equal((await store.head(KEY))?.etag, etag);
      assert.equal((await store.head(KEY))?.sizeBytes, 3);
    });

    test("what isn't there is missing, and deleting it is no error", async (t) => {
      const store = await open(t);

      await assert.rejects(store.get(KEY), hasKind("missing"));
      await assert.rejects(store.getStream(KEY), hasKind("missing"));
      await assert.rejects(store.copy(KEY, parseObjectKey("b")), hasKind("missing"));
      assert.equal(await store.head(KEY), undefined);
      await store.delete(KEY);
    });

    test("an etag differs when the bytes do, and an empty object is an object", async (t) => {
      const store = await open(t);

      const first = await store.put(KEY, bytes("one"));
      const second = await store.put(KEY, bytes("two"));
      await store.put(KEY, new Uint8Array());

      assert.notEqual(first, second);
      assert.equal((await store.get(KEY)).body.length, 0);
    });

    test("a write that loses the race rejects with `conflict` and changes nothing", async (t) => {
      const store = await open(t);
      const first = await store.put(KEY, bytes("ours"));
      await store.put(KEY, bytes("theirs"), { ifMatch: first });

      const late = store.put(KEY, bytes("ours again"), { ifMatch: first });

      await assert.rejects(late, hasKind("conflict"));
      assert.equal(textOf((await store.get(KEY)).body), "theirs");
    });

    test("an etag and no object is a conflict, too", async (t) => {
      const store = await open(t);
      const etag = await store.put(KEY, bytes("x"));
      await store.delete(KEY);

      await assert.rejects(store.put(KEY, bytes("y"), { ifMatch: etag }), hasKind("conflict"));
    });

    test("of twenty racers with if-none-match exactly one wins", async (t) => {
      const store = await open(t);
      const racers = Array.from({ length: 20 }, async (_, at) =>
        store.put(KEY, bytes(`${at}`), { ifMatch: null }),
      );

      const results = await Promise.allSettled(racers);

      const won = results.flatMap(({ status }, at) => (status === "fulfilled" ? [at] : []));
      assert.equal(won.length, 1);
      assert.equal(textOf((await store.get(KEY)).body), `${won[0]}`);
      for (const result of results) {
        if (result.status === "rejected") assert.ok(hasKind("conflict")(result.reason));
      }
    });

    test("of twenty racers from one etag exactly one wins", async (t) => {
      const store = await open(t);
      const etag = await store.put(KEY, bytes("start"));
      const racers = Array.from({ length: 20 }, async (_, at) =>
        store.put(KEY, bytes(`${at}`), { ifMatch: etag }),
      );

      const results = await Promise.allSettled(racers);

      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
    });

    test("a compare-and-swap whose answer is lost was made; reading tells", async (t) => {
      const store = await open(t);
      const etag = await store.put(KEY, bytes("old"));
      const flaky = failing(store, { at: 1, mode: "lost-answer" });

      const swap = flaky.put(KEY, bytes("new"), { ifMatch: etag });

      await assert.rejects(swap, hasKind("transient"));
      assert.equal(textOf((await store.get(KEY)).body), "new");
      await assert.rejects(store.put(KEY, bytes("new"), { ifMatch: etag }), hasKind("conflict"));
    });

    test("a conditional get answers nothing while the object is the same", async (t) => {
      const store = await open(t);
      const etag = await store.put(KEY, bytes("one"));

      assert.equal(await store.get(KEY, { ifNoneMatch: etag }), undefined);
      await store.put(KEY, bytes("two"));

      assert.equal(textOf((await store.get(KEY, { ifNoneMatch: etag }))?.body ?? bytes("")), "two");
    });

    test("a stream that is pinned to an etag gives that version or none", async (t) => {
      const store = await open(t);
      const first = await store.put(KEY, bytes("one"));

      const read: Uint8Array[] = [];
      for await (const chunk of (await store.getStream(KEY, { ifMatch: first })).body)
        read.push(chunk);
      assert.equal(textOf(Buffer.concat(read)), "one");
      await store.put(KEY, bytes("two"));

      await assert.rejects(store.getStream(KEY, { ifMatch: first }), hasKind("conflict"));
    });

    test("a range is inclusive, is cut at the end, and may not start past it", async (t) => {
      const store = await open(t);
      await store.put(KEY, bytes("0123456789"));

      assert.equal(textOf((await store.get(KEY, { range: { start: 2, end: 4 } })).body), "234");
      assert.equal(textOf((await store.get(KEY, { range: { start: 8, end: 99 } })).body), "89");
      assert.equal(textOf((await store.get(KEY, { range: { start: 9 } })).body), "9");
      await assert.rejects(store.get(KEY, { range: { start: 10 } }), hasKind("contract"));
    });

    test("1,001 keys are listed in UTF-8 order over the page, and on from a key", async (t) => {
      const store = await open(t);
      const wanted = Array.from(
        { length: 1_001 },
        (_, at) => `many/${String(at).padStart(5, "0")}`,
      );
      for (const key of wanted.toReversed())
        await store.put(parseObjectKey(key), bytes("x"), { durability: "recomputable" });

      assert.deepEqual(await keysUnder(store, "many/"), wanted);
      assert.deepEqual(await keysUnder(store, "many/", wanted[998]), wanted.slice(999));
      assert.deepEqual(await keysUnder(store, "many/0100"), wanted.slice(1_000));
    });

    test("order is that of UTF-8 bytes, not of UTF-16 units or folders", async (t) => {
      const store = await open(t);
      const keys = [
        "o/a",
        "o/a.json",
        "o/a/b",
        "o/a/b/c",
        "o/a0",
        "o/B",
        "o/é",
        "o/\uffee",
        "o/😀",
      ];
      for (const key of keys) await store.put(parseObjectKey(key), bytes(key));

      const wanted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.deepEqual(await keysUnder(store, "o/"), wanted);
    });

    const awkward = [
      "k/x",
      "k/x/y",
      "k/A",
      "k/a",
      "k/caf\u00e9",
      "k/cafe\u0301",
      "k/con",
      "k/trailing.",
      "k/ space",
      "k/..hidden",
      "k/%41",
      "k/\"quotes' & <tags>",
      "k/-rf",
      `k/${"n".repeat(400)}`,
      `k/${"é".repeat(300)}`,
      `k/${"x".repeat(1022)}`,
    ];
    test("keys that file systems dislike live side by side and come back as they were", async (t) => {
      const store = await open(t);
      for (const key of awkward) await store.put(parseObjectKey(key), bytes(key));

      for (const key of awkward)
        assert.equal(textOf((await store.get(parseObjectKey(key))).body), key);
      const wanted = awkward.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.deepEqual(await keysUnder(store, "k/"), wanted);
    });

    test("64 MiB pass through in bounded memory, and come back whole", async (t) => {
      const store = await open(t);
      const mebibyte = 1024 * 1024;
      const before = process.memoryUsage().rss;
      let peak = before;
      const sample = (): void => void (peak = Math.max(peak, process.memoryUsage().rss));

      await store.putStream(KEY, chunks(64, mebibyte));
      sample();
      let at = 0;
      for await (const chunk of (await store.getStream(KEY)).body) {
        for (let offset = 0; offset < chunk.length; offset += 65_536) {
          assert.equal(chunk[offset], Math.floor((at + offset) / mebibyte));
        }
        at += chunk.length;
        sample();
      }

      assert.equal(at, 64 * mebibyte);
      if (name !== "memory")
        assert.ok(peak - before < MAX_STREAM_GROWTH_BYTES, `${(peak - before) / mebibyte} MiB`);
    });

    test("a stream that throws leaves nothing visible, and the old object as it was", async (t) => {
      const store = await open(t);
      await store.put(KEY, bytes("old"));
      const broken = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes("half");
        throw new Error("cut off");
      };

      await assert.rejects(store.putStream(KEY, broken()));
      await assert.rejects(store.putStream(parseObjectKey("new"), broken()));

      assert.equal(textOf((await store.get(KEY)).body), "old");
      assert.deepEqual(await keysUnder(store, ""), [KEY]);
    });

    test("an upload in parts is resumed by its id, a part sent again replaces the first", async (t) => {
      const store = await open(t);
      const id = await store.createUpload(KEY);
      // All parts but the last are of one size that R2 takes.
      const first = Buffer.alloc(MIN_PART_BYTES, "one ");
      await store.putPart(KEY, id, 2, bytes("two"));
      await store.putPart(KEY, id, 1, Buffer.alloc(MIN_PART_BYTES, "wrong"));
      await store.putPart(KEY, id, 1, first);

      assert.equal(await store.head(KEY), undefined);
      const parts = await store.listParts(KEY, id);
      await store.completeUpload(KEY, id, parts);

      assert.deepEqual(
        parts.map(({ partNumber }) => partNumber),
        [1, 2],
      );
      const whole = Buffer.concat([first, bytes("two")]);
      assert.ok(whole.equals((await store.get(KEY)).body));
      await assert.rejects(store.listParts(KEY, id), hasKind("missing"));
    });

    test("parts that were not sent, or stand in the wrong order, make no object", async (t) => {
      const store = await open(t);
      const id = await store.createUpload(KEY);
      const one = await store.putPart(KEY, id, 1, randomBytes(10));
      const two = await store.putPart(KEY, id, 2, randomBytes(10));

      await assert.rejects(store.completeUpload(KEY, id, [two, one]), hasKind("contract"));
      await assert.rejects(
        store.completeUpload(KEY, id, [{ ...one, etag: two.etag }]),
        hasKind("contract"),
      );
      await assert.rejects(store.completeUpload(KEY, id, []), hasKind("contract"));
      assert.equal(await store.head(KEY), undefined);
      await store.abortUpload(KEY, id);
      await assert.rejects(store.putPart(KEY, id, 1, bytes("x")), hasKind("missing"));
    });

    test("an upload is completed under a condition", async (t) => {
      const store = await open(t);
      const id = await store.createUpload(KEY);
      const parts = [await store.putPart(KEY, id, 1, bytes("late"))];
      await store.put(KEY, bytes("first"));

      await assert.rejects(
        store.completeUpload(KEY, id, parts, { ifMatch: null }),
        hasKind("conflict"),
      );
      assert.equal(textOf((await store.get(KEY)).body), "first");
    });

    test("a copy is an object of its own", async (t) => {
      const store = await open(t);
      const copy = parseObjectKey("copy");
      await store.put(KEY, bytes("one"));

      await store.copy(KEY, copy);
      await store.put(KEY, bytes("two"));

      assert.equal(textOf((await store.get(copy)).body), "one");
      await assert.rejects(store.copy(KEY, copy, { ifMatch: null }), hasKind("conflict"));
    });

    test("a delete under a condition that does not hold deletes nothing", async (t) => {
      const store = await open(t);
      const old = await store.put(KEY, bytes("one"));
      const current = await store.put(KEY, bytes("two"));

      await assert.rejects(store.delete(KEY, { ifMatch: old }), hasKind("conflict"));
      assert.equal(textOf((await store.get(KEY)).body), "two");
      await store.delete(KEY, { ifMatch: current });
      assert.equal(await store.head(KEY), undefined);
    });

    test("an aborted signal cancels before anything is written", async (t) => {
      const store = await open(t);
      const signal = AbortSignal.abort();

      await assert.rejects(store.put(KEY, bytes("x"), { signal }), hasKind("cancelled"));
      assert.equal(await store.head(KEY), undefined);
    });
  });
}
