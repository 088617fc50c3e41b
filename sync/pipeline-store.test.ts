import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { sha256Of } from "../core/digest.ts";
import { hasKind } from "../core/errors.ts";
import { systemKeys } from "../core/keys.ts";
import { findEarlier, isSignedBy, movePointer, signPipeline } from "../core/pushed-pipeline.ts";
import type { PipelineChange, PipelineIndex } from "../core/pushed-pipeline.ts";
import { failing } from "../ports/failing.ts";
import { putPipeline, readPipeline, readPointer, swapPointer } from "./pipeline-store.ts";

const CODE = Buffer.from("export default {}");
const INDEX: PipelineIndex = {
  schema: 1,
  digest: sha256Of("one"),
  name: "test",
  yaml: "pipeline: test",
  stages: { "stages/only.ts": sha256Of(CODE) },
  shared: [],
  texts: {},
  clipscribe_version: "0.1.0",
};
const PARCEL = { index: INDEX, bundles: new Map([[`${sha256Of(CODE)}.mjs`, CODE]]) };

function change(name: string): PipelineChange {
  const at = "2026-11-25T10:00:00.000Z";
  return { digest: sha256Of(name), name: "test", action: "push", at, by: "desk", changes: [] };
}

describe("pushed pipelines in the store", () => {
  test("of two pushes at once one is in force, and the other is told", async () => {
    const store = openMemoryStore();
    const before = await readPointer(store);

    const ends = await Promise.allSettled([
      swapPointer(store, before, change("one")),
      swapPointer(store, before, change("two")),
    ]);

    assert.deepEqual(ends.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    const lost = ends.find(({ status }) => status === "rejected") as PromiseRejectedResult;
    assert.ok(hasKind("conflict")(lost.reason));
    assert.equal((await readPointer(store))?.pointer.history.length, 1);
  });

  test("a torn pointer is told as that, with the way out", async () => {
    const store = openMemoryStore();
    await store.put(systemKeys.pipelineCurrent, Buffer.from("{"));

    const reading = readPointer(store);

    await assert.rejects(
      reading,
      (error) => hasKind("contract")(error) && /pipeline push/.test(error.hint ?? ""),
    );
    await store.delete(systemKeys.pipelineCurrent);
    await swapPointer(store, await readPointer(store), change("one"));
  });

  test("a push whose answer was lost is known to be in force", async () => {
    const store = openMemoryStore();
    const lossy = failing(store, { at: 1, mode: "lost-answer" });

    const pointer = await swapPointer(lossy, undefined, change("one"));

    assert.deepEqual((await readPointer(store))?.pointer, pointer);
  });

  test("a pipeline is read whole, or not at all", async () => {
    const store = openMemoryStore();
    await putPipeline(store, PARCEL, () => null);
    const { index, bundles } = await readPipeline(store, INDEX.digest);
    assert.deepEqual([index, [...bundles.keys()]], [INDEX, [...PARCEL.bundles.keys()]]);
    const [file = ""] = bundles.keys();

    await store.put(systemKeys.pipeline(INDEX.digest, file), Buffer.from("damaged"));

    await assert.rejects(readPipeline(store, INDEX.digest), hasKind("missing"));
  });

  test("the same pipeline with other comments keeps its first index, and that is what is signed", async () => {
    const store = openMemoryStore();
    await putPipeline(store, PARCEL, () => null);
    const signed: PipelineIndex[] = [];
    const commented = { ...INDEX, yaml: "pipeline: test # a comment" };

    await putPipeline(store, { ...PARCEL, index: commented }, (each) => {
      signed.push(each);
      return null;
    });

    assert.deepEqual(signed, [INDEX]);
    assert.deepEqual((await readPipeline(store, INDEX.digest)).index, INDEX);
  });
});

describe("a pushed pipeline's pointer and signature", () => {
  test("a rollback goes to the one before, or to the one that is named, never to nowhere", () => {
    const two = movePointer(movePointer(undefined, change("one")), change("two"));

    assert.equal(findEarlier(two, undefined).digest, sha256Of("one"));
    assert.equal(findEarlier(two, sha256Of("two").slice(0, 8)).digest, sha256Of("two"));
    assert.throws(() => findEarlier(two, "abc"), hasKind("config"));
    assert.throws(
      () => findEarlier(movePointer(undefined, change("one")), undefined),
      hasKind("config"),
    );
  });

  test("a signature holds for the very index, and for the key that made it", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
    const other = generateKeyPairSync("ed25519").publicKey;
    const signature = signPipeline(
      privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      INDEX,
    );

    assert.ok(isSignedBy(pem, INDEX, signature));
    const changed = { ...INDEX, texts: { "templates/report.md": "other words" } };
    assert.ok(!isSignedBy(pem, changed, signature));
    assert.ok(
      !isSignedBy(other.export({ type: "spki", format: "pem" }).toString(), INDEX, signature),
    );
  });

  test("a key that is none is a matter of configuration", () => {
    assert.throws(() => signPipeline("not a key", INDEX), hasKind("config"));
  });
});
