import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  statSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openUploadBook } from "../adapters/ledger/upload-book.ts";
import { hasKind } from "../core/errors.ts";
import type { Etag, ObjectStore, UploadPart } from "../ports/object-store.ts";
import { MEBIBYTE, openUploadWorld } from "../samples/upload-world.ts";
import { openPartHasher } from "./hash-parts.ts";
import { hashSource } from "./hash-source.ts";
import { uploadSource } from "./upload-source.ts";
import type { Uploads } from "./uploads.ts";

const PART_BYTES = 5 * MEBIBYTE;
/** Four parts, the last one short. */
const LARGE_BYTES = 3 * PART_BYTES + MEBIBYTE;
const DAY_MS = 86_400_000;

async function world(t: TestContext, more: Parameters<typeof openUploadWorld>[0] = {}) {
  const opened = await openUploadWorld(more);
  t.after(async () => opened[Symbol.asyncDispose]());
  const { path, source, key } = opened.file("talk.mp4", LARGE_BYTES);
  const hashed = async (uploads: Uploads) =>
    hashSource(path, t.signal, { hashLarge: openPartHasher(uploads) });
  return { ...opened, path, source, key, hashed };
}

/** Whoever sends what was hashed with its parts has nothing to hash. */
function hashingNothing(uploads: Uploads): Uploads {
  return { ...uploads, openDigester: () => assert.fail("it is hashed again") };
}

/** One byte, and the file looks as it did. */
function changeUnnoticed(path: string, at: number): void {
  const { atime, mtime } = statSync(path);
  const file = openSync(path, "r+");
  const [before = 0] = readFileSync(path).subarray(at);
  writeSync(file, Uint8Array.of(before ^ 1), 0, 1, at);
  closeSync(file);
  utimesSync(path, atime, mtime);
}

describe("hashing a file that will be uploaded", () => {
  for (const size of [LARGE_BYTES, 4 * PART_BYTES, 23 * PART_BYTES + 1]) {
    test(`${size} bytes: finds the hash of the whole and of each part on one reading`, async (t) => {
      const { uploads, book, file } = await world(t);
      const { path, source } = file("other.mp4", size);

      const { sha256 } = await hashSource(path, t.signal, { hashLarge: openPartHasher(uploads) });

      assert.equal(sha256, source.sha256);
      const bytes = readFileSync(path);
      const md5s = Array.from({ length: Math.ceil(size / PART_BYTES) }, (_, at) =>
        createHash("md5")
          .update(bytes.subarray(at * PART_BYTES, (at + 1) * PART_BYTES))
          .digest("hex"),
      );
      assert.deepEqual(book.findDigests(sha256, PART_BYTES), md5s);
    });
  }

  test("a file that grows meanwhile has no hash", async (t) => {
    const { uploads, path } = await world(t);
    let asked = 0;
    const growing: Uploads = {
      ...uploads,
      room: {
        enter: async (...args) => {
          if (++asked === 2) appendFileSync(path, "more");
          return uploads.room.enter(...args);
        },
      },
    };

    const work = hashSource(path, t.signal, { hashLarge: openPartHasher(growing) });

    await assert.rejects(work, hasKind("contract"));
  });

  test("one that is told to stop stops, and leaves the room to others", async (t) => {
    const { uploads, path, source } = await world(t);
    const cut = new AbortController();
    const cutting: Uploads = {
      ...uploads,
      openDigester: (alone) => {
        const digester = uploads.openDigester(alone);
        return { ...digester, add: async (part) => (cut.abort(), digester.add(part)) };
      },
    };

    const work = hashSource(path, cut.signal, { hashLarge: openPartHasher(cutting) });

    await assert.rejects(work, hasKind("cancelled"));
    const { sha256 } = await hashSource(path, t.signal, { hashLarge: openPartHasher(uploads) });
    assert.equal(sha256, source.sha256);
  });

  test("another process finds the parts' digests, for some days", async (t) => {
    const { uploads, dir, path, source, file } = await world(t);
    let daysOn = 0;
    const clock = { ...uploads.clock, now: () => new Date(Date.now() + daysOn * DAY_MS) };
    const hashLarge = openPartHasher({ ...uploads, clock });
    await hashSource(path, t.signal, { hashLarge });

    using other = openUploadBook(join(dir, "ledger.db"), "test");
    assert.equal(other.findDigests(source.sha256, PART_BYTES)?.length, 4);
    assert.equal(other.findDigests(source.sha256, PART_BYTES + 1), undefined);
    daysOn = 8;
    await hashSource(file("later.mp4", LARGE_BYTES).path, t.signal, { hashLarge });

    assert.equal(other.findDigests(source.sha256, PART_BYTES), undefined);
  });
});

describe("sending what was hashed with its parts", () => {
  test("hashes nothing, and arrives whole", async (t) => {
    const { uploads, store, path, source, key, hashed } = await world(t);
    await hashed(uploads);
    const call = { path, source, uploads: hashingNothing(uploads), signal: t.signal };

    const sent = await uploadSource(store, key, call);

    assert.deepEqual(sent, { how: "sent", sentBytes: LARGE_BYTES });
    const { body } = await store.get(key);
    assert.equal(createHash("sha256").update(body).digest("hex"), source.sha256);
  });

  test("goes on with the parts that arrived, and sends again what is not what was meant", async (t) => {
    const { uploads, book, store, path, source, key, hashed } = await world(t);
    await hashed(uploads);
    const uploadId = await store.createUpload(key);
    const { sha256, size: sizeBytes } = source;
    const about = { key, uploadId, path, sha256, sizeBytes, partBytes: PART_BYTES };
    book.begin({ ...about, startedAt: new Date() });
    const bytes = readFileSync(path);
    await store.putPart(key, uploadId, 1, bytes.subarray(0, PART_BYTES));
    await store.putPart(key, uploadId, 2, Buffer.alloc(PART_BYTES, 7));
    await store.putPart(key, uploadId, 4, bytes.subarray(3 * PART_BYTES));
    const seen: number[] = [];

    const { sentBytes } = await uploadSource(store, key, {
      path,
      source,
      uploads: hashingNothing(uploads),
      signal: t.signal,
      onProgress: ({ doneBytes }) => void seen.push(doneBytes),
    });

    assert.equal(sentBytes, 2 * PART_BYTES);
    assert.equal(seen.at(-1), LARGE_BYTES);
    const { body } = await store.get(key);
    assert.equal(createHash("sha256").update(body).digest("hex"), sha256);
  });

  test("digests of parts of another size are of no use: it is hashed again", async (t) => {
    const { uploads, store, path, source, key, hashed } = await world(t);
    await hashed({ ...uploads, partBytes: PART_BYTES + MEBIBYTE });
    let opened = 0;
    const openDigester: Uploads["openDigester"] = (alone) => {
      opened++;
      return uploads.openDigester(alone);
    };

    await uploadSource(store, key, {
      path,
      source,
      uploads: { ...uploads, openDigester },
      signal: t.signal,
    });

    assert.equal(opened, 1);
  });
});

/** As a bucket that names parts as it likes, though its objects have MD5s: Cloudflare's simulator does. */
function namingParts(store: ObjectStore): ObjectStore {
  const named = (part: UploadPart): UploadPart => ({ ...part, etag: `part-${part.etag}` as Etag });
  return {
    ...store,
    putPart: async (...call) => named(await store.putPart(...call)),
    listParts: async (...call) => (await store.listParts(...call)).map(named),
    completeUpload: async (key, uploadId, parts, options) => {
      const etagOf = ({ etag }: UploadPart): Etag => etag.replace(/^part-/, "") as Etag;
      const plain = parts.map((part) => ({ ...part, etag: etagOf(part) }));
      return store.completeUpload(key, uploadId, plain, options);
    },
  };
}

describe("a bucket whose parts turn out to have etags that are no MD5s", () => {
  test("gets what is hashed as it is sent", async (t) => {
    const { uploads, store, path, source, key } = await world(t);
    const call = { path, source, uploads, signal: t.signal };

    const { sentBytes } = await uploadSource(namingParts(store), key, call);

    const { body } = await store.get(key);
    assert.equal(createHash("sha256").update(body).digest("hex"), source.sha256);
    // The first one, and those on their way with it, may go again.
    assert.ok(sentBytes <= 2 * LARGE_BYTES, `${sentBytes}`);
  });

  test("a byte that changed after the first reading is noticed there, too", async (t) => {
    const { uploads, store, path, source, key, hashed } = await world(t);
    await hashed(uploads);
    changeUnnoticed(path, PART_BYTES + 1);

    const work = uploadSource(namingParts(careless(store)), key, {
      path,
      source,
      uploads,
      signal: t.signal,
    });

    await assert.rejects(work, hasKind("contract"));
    assert.equal(await store.head(key), undefined);
    assert.deepEqual(uploads.book.list(), []);
  });
});

/** As a bucket that does not look at Content-MD5: it is told that of what it gets. */
function careless(store: ObjectStore): ObjectStore {
  return {
    ...store,
    putPart: async (key, uploadId, number, body, options = {}) =>
      store.putPart(key, uploadId, number, body, { ...options, digests: {} }),
  };
}

describe("a byte that changes between the hash and the sending, unnoticed by the file's times", () => {
  const stores: Record<string, [(store: ObjectStore) => ObjectStore, "md5" | "opaque"]> = {
    "a bucket that compares digests": [(store) => store, "md5"],
    "a bucket that does not compare them, by its etags": [careless, "md5"],
    "a store whose etags say nothing, as it is hashed again": [careless, "opaque"],
  };
  for (const [name, [decorate, etags]] of Object.entries(stores)) {
    for (const at of [17, 2 * PART_BYTES, LARGE_BYTES - 1]) {
      test(`is noticed with ${name}: nothing becomes visible (byte ${at})`, async (t) => {
        const { uploads, store, path, source, key, hashed, emulator } = await world(t, {
          r2: { etags },
        });
        await hashed(uploads);
        changeUnnoticed(path, at);

        const work = uploadSource(decorate(store), key, {
          path,
          source,
          uploads,
          signal: t.signal,
        });

        await assert.rejects(work, hasKind("contract"));
        assert.equal(await store.head(key), undefined);
        assert.deepEqual(uploads.book.list(), []);
        assert.equal(emulator.counts["s3:free:delete:sources"], 1, "its parts are given up");
      });
    }
  }
});
