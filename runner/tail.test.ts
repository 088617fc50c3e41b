import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { ITEM, JOB, KEYS, engineWorld, submit, ticketOf } from "../bench/campaign-engine.ts";
import { sha256Of } from "../core/digest.ts";
import { Manifest } from "../core/records.ts";
import type { ItemState } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { readItem } from "./item-record.ts";
import { openJobMetadata } from "./job-metadata.ts";
import { openJobRows } from "./job-rows.ts";
import { openRunner } from "./runner.ts";
import { runTail } from "./tail.ts";

const FILE = "one.json";
const MANIFEST = "manifest.json";
const DEAD = KEYS.dead(JOB, ITEM);

/** A publish of its own words by each run. */
async function publish(store: ObjectStore, run: number, files: Record<string, string>) {
  const key = KEYS.item(JOB, ITEM);
  const found = await readItem(store, key);
  assert.ok(found);
  const keep = async (text: string) => {
    const sha256 = sha256Of(text);
    await store.put(KEYS.blob(sha256), Buffer.from(text));
    return { sha256, size: Buffer.byteLength(text) };
  };
  const named = [];
  for (const [path, text] of Object.entries(files)) {
    named.push({ path, ...(await keep(text)), media_type: "text/plain", stage: "only" });
  }
  const manifest = Manifest.parse({
    schema: 1,
    job_id: JOB,
    item_id: ITEM,
    run,
    outcome: "complete",
    missing: [],
    absent: [],
    clipscribe_version: "0",
    pipeline: { name: "campaign", digest: found.state.pipeline_digest },
    source: ticketOf().source,
    info: ticketOf().info,
    files: named,
    stages: [],
    cost_usd: 0,
    published_at: new Date().toISOString(),
  });
  const ref = { ...(await keep(JSON.stringify(manifest))), run };
  const state: ItemState = { ...found.state, run, status: "complete", manifest: ref, owner: null };
  const etag = await store.put(key, Buffer.from(JSON.stringify(state)));
  return { state, etag, manifest, ref };
}

async function failure(store: ObjectStore, run: number) {
  const key = KEYS.item(JOB, ITEM);
  const found = await readItem(store, key);
  assert.ok(found);
  const error = { kind: "contract" as const, message: "no sound", hint: null, cause: [] };
  const state: ItemState = { ...found.state, run, status: "failed", owner: null, error };
  return { state, etag: await store.put(key, Buffer.from(JSON.stringify(state))) };
}

async function tail(store: ObjectStore, ended: { state: ItemState; manifest?: Manifest }) {
  const world = engineWorld({ store });
  const rows = openJobRows({
    store,
    keys: KEYS,
    jobs: openJobMetadata(store, KEYS),
    clock: world.clock,
  });
  await runTail(world, KEYS, rows, ticketOf(ended.state.run), ended);
}

async function shown(store: ObjectStore): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for await (const { key } of store.list(KEYS.results(JOB, ITEM))) {
    files[key.slice(KEYS.results(JOB, ITEM).length)] = Buffer.from(
      (await store.get(key)).body,
    ).toString();
  }
  return files;
}

describe("a tail", () => {
  test("that a newer publish overtakes copy by copy leaves the newer one's files", async () => {
    const memory = openMemoryStore();
    await submit(memory);
    const old = await publish(memory, 1, { [FILE]: "of run 1", "gone.json": "of run 1 only" });
    const newer = await publish(memory, 2, { [FILE]: "of run 2" });
    const isOldShown = Promise.withResolvers<void>();
    const isNewCopied = Promise.withResolvers<void>();
    const ofNewer: ObjectStore = {
      ...memory,
      async copy(from, to, options) {
        if (to.endsWith(MANIFEST)) {
          isNewCopied.resolve();
          await isOldShown.promise;
        }
        return memory.copy(from, to, options);
      },
    };
    let newTail: Promise<void> | undefined;
    const ofOld: ObjectStore = {
      ...memory,
      async copy(from, to, options) {
        newTail ??= tail(ofNewer, newer);
        await isNewCopied.promise;
        const etag = await memory.copy(from, to, options);
        if (from === KEYS.blob(old.ref.sha256)) {
          isOldShown.resolve();
          await newTail;
        }
        return etag;
      },
    };
    await tail(ofOld, old);

    const files = await shown(memory);
    assert.deepEqual(Object.keys(files).toSorted(), [MANIFEST, FILE]);
    assert.equal(files[FILE], "of run 2");
    assert.equal(sha256Of(files[MANIFEST] ?? ""), newer.ref.sha256);
  });

  test("that died while it was overtaken is made good by whoever meets its ticket", async () => {
    const store = openMemoryStore();
    const ticket = await submit(store);
    const old = await publish(store, 1, { [FILE]: "of run 1", "gone.json": "of run 1 only" });
    const newer = await publish(store, 2, { [FILE]: "of run 2" });
    await tail(store, newer);
    for (const { path, sha256 } of old.manifest.files) {
      await store.copy(KEYS.blob(sha256), KEYS.result(JOB, ITEM, path));
    }

    const gone = Promise.withResolvers<void>();
    const watched: ObjectStore = {
      ...store,
      async delete(key, options) {
        await store.delete(key, options);
        if (key === ticket) gone.resolve();
      },
    };
    await using runner = await openRunner(engineWorld({ store: watched }), {
      sweepPrefix: "inbox/",
      accepts: () => true,
    });
    runner.hint(ticket);
    await gone.promise;

    const files = await shown(store);
    assert.deepEqual(Object.keys(files).toSorted(), [MANIFEST, FILE]);
    assert.equal(files[FILE], "of run 2");
  });

  test("of an older run is over, too, where the blobs of what is published have expired", async () => {
    const store = openMemoryStore();
    const ticket = await submit(store);
    const { ref, manifest } = await publish(store, 2, { [FILE]: "of run 2" });
    for (const { sha256 } of [ref, ...manifest.files]) await store.delete(KEYS.blob(sha256));
    await using runner = await openRunner(engineWorld({ store }), {
      sweepPrefix: "inbox/",
      accepts: () => true,
    });
    runner.hint(ticket);
    for (let look = 0; look < 500 && (await store.head(ticket)) !== undefined; look++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }

    assert.equal(await store.head(ticket), undefined);
  });

  test("of a run that ends well takes away what dead/ says of the one before", async () => {
    const store = openMemoryStore();
    await submit(store);
    await tail(store, await failure(store, 1));
    assert.notEqual(await store.head(DEAD), undefined);

    await tail(store, await publish(store, 2, { [FILE]: "of run 2" }));

    assert.equal(await store.head(DEAD), undefined);
  });

  test("of a failure that was slow to be told leaves nothing in dead/ of an item that has not failed", async () => {
    const memory = openMemoryStore();
    await submit(memory);
    const failed = await failure(memory, 1);
    const slow: ObjectStore = {
      ...memory,
      async put(key, body, options) {
        if (key === DEAD) await tail(memory, await publish(memory, 2, { [FILE]: "of run 2" }));
        return memory.put(key, body, options);
      },
    };

    await tail(slow, failed);

    assert.equal(await memory.head(DEAD), undefined);
  });
});
