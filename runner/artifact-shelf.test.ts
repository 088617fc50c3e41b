import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { KEYS } from "../bench/campaign-engine.ts";
import { sha256Of } from "../core/digest.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { CachedArtifact } from "../core/records.ts";
import type { Retention } from "../core/retention.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { INLINE_BYTES, openArtifactShelf } from "./artifact-shelf.ts";
import { ALL_DEFENCES } from "./defences.ts";

const { signal } = new AbortController();
const TEXT = "evidence ".repeat(INLINE_BYTES);
const ARTIFACT: CachedArtifact = {
  sha256: sha256Of(TEXT),
  size: TEXT.length,
  media_type: "text/plain",
  file_name: null,
  inline: null,
};
const MADE = {
  sha256: ARTIFACT.sha256,
  sizeBytes: TEXT.length,
  mediaType: "text/plain",
  fileName: null,
  content: { kind: "text" as const, text: TEXT },
};

/** A shelf on which the blob lies since so many days. */
async function shelfOf(days: number, blob = TEXT, hasClock = true, retention?: Retention) {
  const memory = openMemoryStore();
  const key = KEYS.blob(ARTIFACT.sha256);
  await memory.put(key, Buffer.from(blob));
  const writes: ObjectKey[] = [];
  const store: ObjectStore = {
    ...memory,
    async put(...call) {
      const etag = await memory.put(...call);
      writes.push(call[0]);
      return etag;
    },
    async putStream(...call) {
      const etag = await memory.putStream(...call);
      writes.push(call[0]);
      return etag;
    },
  };
  const now = (): Date => new Date(Date.now() + days * 24 * 3_600_000);
  const ageing = hasClock ? { now, retention: () => retention } : undefined;
  const shelf = openArtifactShelf(store, KEYS, ALL_DEFENCES, ageing);
  return { shelf, store, key, writes };
}

describe("a blob that a bucket deletes by its age", () => {
  test("is as old as the pipeline in force says", async () => {
    for (const [days, times] of [
      [9, 0],
      [11, 1],
    ] as const) {
      const retention = { sourceDays: 2, blobDays: 20 };
      const { shelf, writes } = await shelfOf(days, TEXT, true, retention);

      await shelf.has(ARTIFACT, signal);

      assert.equal(writes.length, times);
    }
  });

  test("is written again where it is used in the second half of its time, and not before", async () => {
    for (const [days, times] of [
      [44, 0],
      [46, 1],
    ] as const) {
      const { shelf, store, key, writes } = await shelfOf(days);
      assert.equal(await shelf.has(ARTIFACT, signal), true);
      assert.equal(writes.length, times);
      assert.equal(Buffer.from((await store.get(key)).body).toString(), TEXT);
    }
  });

  test("is written again where a stage makes the same bytes anew", async () => {
    for (const [days, times] of [
      [44, 0],
      [46, 1],
    ] as const) {
      const { shelf, writes } = await shelfOf(days);
      await shelf.keep(MADE, signal);
      assert.equal(writes.length, times);
    }
  });

  test("is missing, and not made young, where its bytes are others than its name says", async () => {
    const { shelf, writes } = await shelfOf(46, TEXT.replace("evidence", "Evidence"));

    assert.equal(await shelf.has(ARTIFACT, signal), false);
    assert.deepEqual(writes, []);
  });

  test("is left as it is in a folder of this machine, however old", async () => {
    const { shelf, writes } = await shelfOf(1_000, TEXT, false);

    assert.equal(await shelf.has(ARTIFACT, signal), true);
    assert.deepEqual(writes, []);
  });
});
