import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { systemClock } from "../adapters/system/system-clock.ts";
import { hasKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { failing } from "../ports/failing.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { retrying } from "../ports/retrying.ts";
import { MEBIBYTE, openUploadWorld } from "../samples/upload-world.ts";
import { abandonUploads } from "./abandon-uploads.ts";
import { uploadSource } from "./upload-source.ts";

/** Four parts, the last one short. */
const PART_BYTES = 5 * MEBIBYTE;
const LARGE_BYTES = 3 * PART_BYTES + MEBIBYTE;

async function world(t: TestContext, more: Parameters<typeof openUploadWorld>[0] = {}) {
  const opened = await openUploadWorld(more);
  t.after(async () => opened[Symbol.asyncDispose]());
  return opened;
}

async function sha256In(store: ObjectStore, key: ObjectKey): Promise<string> {
  const hash = createHash("sha256");
  const { body } = await store.getStream(key);
  for await (const chunk of body) hash.update(chunk);
  return hash.digest("hex");
}

/** Calls `then` when so many parts have arrived. */
function afterParts(store: ObjectStore, count: number, then: () => void): ObjectStore {
  let arrived = 0;
  return {
    ...store,
    async putPart(...args) {
      const part = await store.putPart(...args);
      if (++arrived === count) then();
      return part;
    },
  };
}

describe("uploading a file", () => {
  for (const size of [1, 4096, PART_BYTES, PART_BYTES + 1, LARGE_BYTES]) {
    test(`${size} bytes arrive as they are, and are sent once`, async (t) => {
      const { store, uploads, file } = await world(t);
      const { path, source, key } = file("talk.mp4", size);
      const { signal } = t;

      const first = await uploadSource(store, key, { path, source, uploads, signal });
      const again = await uploadSource(store, key, { path, source, uploads, signal });

      assert.deepEqual(first, { how: "sent", sentBytes: size });
      // A small file is not asked about first: a put that finds it there costs as much.
      assert.equal(again.how, "kept");
      assert.equal(await sha256In(store, key), source.sha256);
      assert.deepEqual(uploads.book.list(), []);
    });
  }

  test("the same bytes under two names at once go once", async (t) => {
    const { store, uploads, file } = await world(t);
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    const call = { path, source, uploads, signal: t.signal };

    const both = await Promise.all([
      uploadSource(store, key, call),
      uploadSource(store, key, { ...call, source: { ...source, filename: "other.mp4" } }),
    ]);

    assert.deepEqual(both.map(({ how }) => how).toSorted(), ["kept", "sent"]);
    assert.equal(both[0].sentBytes + both[1].sentBytes, LARGE_BYTES);
  });

  test("progress grows to the size of the file, and never past it", async (t) => {
    const { store, uploads, file } = await world(t);
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    const seen: number[] = [];
    const onProgress = (progress: { doneBytes: number }): void =>
      void seen.push(progress.doneBytes);

    await uploadSource(store, key, { path, source, uploads, signal: t.signal, onProgress });

    assert.equal(seen.at(-1), LARGE_BYTES);
    assert.ok(seen.every((bytes, at) => bytes >= (seen[at - 1] ?? 0) && bytes <= LARGE_BYTES));
    assert.ok(seen.length > 20);
  });

  test("what is in the bucket for half of its time there is sent again", async (t) => {
    const DAY_MS = 86_400_000;
    let daysOn = 0;
    const clock = { ...systemClock, now: () => new Date(Date.now() + daysOn * DAY_MS) };
    const { store, uploads, file } = await world(t, { clock });
    for (const size of [4096, LARGE_BYTES]) {
      const { path, source, key } = file("talk.mp4", size);
      const call = { path, source, uploads, signal: t.signal };
      daysOn = 0;
      await uploadSource(store, key, call);

      daysOn = 14;
      assert.equal((await uploadSource(store, key, call)).how, "kept");
      daysOn = 16;
      assert.equal((await uploadSource(store, key, call)).how, "sent");
    }
  });

  test("an object of another size under its name is replaced", async (t) => {
    const { store, uploads, file } = await world(t);
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    await store.put(key, Buffer.from("half of it"));

    await uploadSource(store, key, { path, source, uploads, signal: t.signal });

    assert.equal(await sha256In(store, key), source.sha256);
  });

  test("small files overtake a large one that has begun", async (t) => {
    const { store, uploads, file } = await world(t);
    const { signal } = t;
    const large = file("large.mp4", 20 * PART_BYTES);
    const small = Array.from({ length: 8 }, (_, at) => file(`small-${at}.mp4`, MEBIBYTE));
    const ended: string[] = [];

    await Promise.all(
      [large, ...small].map(async ({ path, source, key }) => {
        await uploadSource(store, key, { path, source, uploads, signal });
        ended.push(source.filename);
      }),
    );

    assert.equal(ended.at(-1), "large.mp4");
  });

  test("a limited line is not used beyond its limit", async (t) => {
    const { store, reopen, file } = await world(t);
    const { path, source, key } = file("talk.mp4", 6 * MEBIBYTE);
    const uploads = reopen(4 * MEBIBYTE);
    const before = performance.now();

    await uploadSource(store, key, { path, source, uploads, signal: t.signal });

    // A burst of a quarter of a second is allowed.
    assert.ok(performance.now() - before >= 1_200);
  });

  test("a store whose etags say nothing gets the same bytes", async (t) => {
    const { uploads, file } = await world(t);
    const store = openMemoryStore();
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);

    await uploadSource(store, key, { path, source, uploads, signal: t.signal });

    assert.equal(await sha256In(store, key), source.sha256);
  });
});

describe("a file that is touched while it is sent", () => {
  const touches: Record<string, (path: string) => void> = {
    "that grows": (path) => appendFileSync(path, "more"),
    "that is cut": (path) => truncateSync(path, 1_000),
    "that is renamed": (path) => renameSync(path, `${path}.away`),
    "that is deleted": (path) => rmSync(path),
    "that is replaced by another of the same size": (path) => {
      writeFileSync(`${path}.new`, Buffer.alloc(LARGE_BYTES, 1));
      renameSync(`${path}.new`, path);
    },
    "that is changed in the middle of what was sent": (path) => {
      const file = openSync(path, "r+");
      writeSync(file, "changed", 5_000);
      closeSync(file);
    },
    "that is changed in its last byte": (path) => {
      const file = openSync(path, "r+");
      writeSync(file, "x", LARGE_BYTES - 1);
      closeSync(file);
    },
  };
  for (const [name, touch] of Object.entries(touches)) {
    test(`a file ${name} is given up before it is visible, and nothing of it stays`, async (t) => {
      const opened = await world(t);
      const { uploads, file } = opened;
      const { path, source, key } = file("talk.mp4", LARGE_BYTES);
      const store = afterParts(opened.store, 1, () => touch(path));

      const work = uploadSource(store, key, { path, source, uploads, signal: t.signal });

      await assert.rejects(work, hasKind("contract"));
      assert.equal(await store.head(key), undefined);
      assert.deepEqual(uploads.book.list(), []);
      assert.equal(opened.emulator.counts["s3:free:delete:sources"], 1);
    });
  }

  test("a small file that is not the one that was hashed is not sent", async (t) => {
    const { store, uploads, file } = await world(t);
    const { path, source, key } = file("talk.mp4", 4096);
    writeFileSync(path, Buffer.alloc(4096, 1));

    const work = uploadSource(store, key, { path, source, uploads, signal: t.signal });

    await assert.rejects(work, hasKind("contract"));
    assert.equal(await store.head(key), undefined);
  });

  test("a file that is gone is missing", async (t) => {
    const { store, uploads, file } = await world(t);
    const { path, source, key } = file("talk.mp4", 4096);
    rmSync(path);

    const work = uploadSource(store, key, { path, source, uploads, signal: t.signal });

    await assert.rejects(work, hasKind("missing"));
  });
});

describe("an upload that is cut off", () => {
  test("goes on with the parts that arrived", async (t) => {
    const opened = await world(t);
    const { store, reopen, file } = opened;
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    const cut = new AbortController();
    const cutting = afterParts(store, 2, () => cut.abort());
    const first = uploadSource(cutting, key, {
      path,
      source,
      uploads: opened.uploads,
      signal: cut.signal,
    });
    await assert.rejects(first, hasKind("cancelled"));
    const { uploadId } = opened.book.find(key) ?? { uploadId: "none" };
    const listed = await store.listParts(key, uploadId);
    const kept = listed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

    const second = await uploadSource(store, key, {
      path,
      source,
      uploads: reopen(),
      signal: t.signal,
    });

    assert.ok(kept > 0);
    // One more may have arrived after it was given up.
    assert.ok(second.sentBytes <= LARGE_BYTES - kept);
    assert.equal(await sha256In(store, key), source.sha256);
  });

  test("trusts no part that is not what the file has there today", async (t) => {
    const { store, book, uploads, file } = await world(t);
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    const uploadId = await store.createUpload(key);
    const bytes = await readFile(path);
    const partBytes = PART_BYTES;
    const about = { key, uploadId, path, sha256: source.sha256, sizeBytes: source.size, partBytes };
    book.begin({ ...about, startedAt: new Date() });
    await store.putPart(key, uploadId, 1, bytes.subarray(0, partBytes));
    const wrong = await store.putPart(key, uploadId, 2, Buffer.alloc(partBytes, 7));
    book.addPart(uploadId, { ...wrong, digest: "0".repeat(32) });

    const { sentBytes } = await uploadSource(store, key, {
      path,
      source,
      uploads,
      signal: t.signal,
    });

    assert.equal(sentBytes, LARGE_BYTES - partBytes);
    assert.equal(await sha256In(store, key), source.sha256);
  });

  test("begins anew where the bucket has forgotten it", async (t) => {
    const { store, book, uploads, file } = await world(t);
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    const partBytes = PART_BYTES;
    const about = { key, path, sha256: source.sha256, sizeBytes: source.size, partBytes };
    book.begin({ ...about, uploadId: "forgotten", startedAt: new Date() });

    await uploadSource(store, key, { path, source, uploads, signal: t.signal });

    assert.equal(await sha256In(store, key), source.sha256);
    assert.deepEqual(book.list(), []);
  });

  test("is finished by whoever comes next, if the answer to Complete was lost", async (t) => {
    const { store, uploads, file } = await world(t);
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    // head, createUpload, four parts, completeUpload
    const lossy = failing(store, { at: 7, mode: "lost-answer" });

    const { how } = await uploadSource(lossy, key, { path, source, uploads, signal: t.signal });

    assert.equal(how, "sent");
    assert.equal(await sha256In(store, key), source.sha256);
  });

  test("is aborted once nobody wants it any more, and not before", async (t) => {
    const { store, book, file } = await world(t);
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    const uploadId = await store.createUpload(key);
    const about = { key, uploadId, path, sha256: source.sha256, sizeBytes: source.size };
    book.begin({ ...about, partBytes: PART_BYTES, startedAt: new Date() });
    const options = { clock: systemClock, signal: t.signal };

    assert.equal(await abandonUploads(store, book, { ...options, isWanted: () => true }), 0);
    await store.listParts(key, uploadId);
    assert.equal(await abandonUploads(store, book, { ...options, isWanted: () => false }), 1);

    await assert.rejects(store.listParts(key, uploadId), hasKind("missing"));
    assert.deepEqual(book.list(), []);
  });
});

describe("a bucket in trouble", () => {
  for (const share of [0.01, 0.1, 0.5]) {
    test(`at ${share * 100} % of errors and cut connections an upload ends whole`, async (t) => {
      const opened = await world(t);
      const { uploads, file } = opened;
      const { path, source, key } = file("talk.mp4", LARGE_BYTES);
      const tries = { attempts: 30, baseMs: 1, maxMs: 20 };
      const store = retrying(opened.store, { ...tries, clock: systemClock, random: Math.random });
      const each = share / 4;
      await opened.setFaults({ s3: { "429": each, "500": each, "503": each, reset: each } });
      const fast = { ...uploads, clock: { ...systemClock, sleep: async () => undefined } };

      await uploadSource(store, key, { path, source, uploads: fast, signal: t.signal });

      await opened.setFaults({});
      assert.equal(await sha256In(opened.store, key), source.sha256);
    });
  }
});
