import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { captureIo } from "../samples/captured-io.ts";
import { makeTinyProject } from "../samples/tiny-project.ts";
import type { ClipscribeError } from "../core/errors.ts";
import { systemKeys } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { putPipeline, readPointer, swapPointer } from "../sync/pipeline-store.ts";
import { loadPipeline } from "./load-pipeline.ts";
import { openPipelinesInForce } from "./pipelines-in-force.ts";
import { readSettings } from "./settings.ts";

const POLL_MS = 5_000;

/** A store that everybody works on, and one desk that pushes to it. */
async function office(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-force-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const write = makeTinyProject(dir);
  const env = { HOME: dir, CLIPSCRIBE_POLL_MS: String(POLL_MS) };
  const { io } = captureIo({ env, cwd: dir });
  const store = openMemoryStore();
  write("pipeline.yaml", 0);
  const push = async (ms: number): Promise<string> => {
    const file = write("pushed.yaml", ms);
    const { index, bundles } = await loadPipeline(file, join(dir, "desk"));
    const files = new Map(bundles.map((path) => [basename(path), readFileSync(path)]));
    await putPipeline(store, { index, bundles: files }, () => null);
    const { digest, name } = index;
    const at = "2026-11-25T10:00:00.000Z";
    const change = { digest, name, action: "push" as const, at, by: "desk", changes: [] };
    await swapPointer(store, await readPointer(store), change);
    return digest;
  };
  const settings = await readSettings(io);
  const open = async (on: ObjectStore, said: ClipscribeError[] = []) =>
    openPipelinesInForce({ io, settings, store: on, isShared: true, named: undefined }, new Set(), {
      onChange: () => undefined,
      onRefused: (error) => void said.push(error),
    });
  return { store, push, open };
}

/** The poll only begins a look: what it fetches is files. */
async function settled(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo() && performance.now() < deadline) await new Promise(setImmediate);
  assert.ok(isSo());
}

/** A look at the pointer that finds nothing usable ends within a few turns of the event loop. */
async function poll(t: TestContext): Promise<void> {
  t.mock.timers.tick(POLL_MS);
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
}

describe("the pipeline that is in force on a bucket", () => {
  test("is another one after one poll, and until then the one before", async (t) => {
    const { store, push, open } = await office(t);
    const first = await push(1);
    t.mock.timers.enable({ apis: ["setInterval"] });
    using pipelines = await open(store);

    const second = await push(2);
    t.mock.timers.tick(POLL_MS - 1);
    await new Promise(setImmediate);
    const before = pipelines.current().digest;
    t.mock.timers.tick(1);
    await settled(() => pipelines.current().digest === second);

    assert.equal(before, first);
    assert.equal((await pipelines.find(pipelines.current().digest))?.digest, second);
    const earlier = await pipelines.find(first as typeof before);
    assert.equal(earlier?.digest, first, "what was dropped before finds its own");
  });

  test("is the first that is pushed, one poll after it, where a file held before", async (t) => {
    const { store, push, open } = await office(t);
    t.mock.timers.enable({ apis: ["setInterval"] });
    using pipelines = await open(store);
    const file = pipelines.current().digest;

    const first = await push(1);
    t.mock.timers.tick(POLL_MS);
    await settled(() => pipelines.current().digest === first);

    assert.notEqual(file, first);
    assert.equal((await pipelines.find(file))?.digest, file);
  });

  test("stays where the pointer is torn or points at nothing; each is said once, and the next push holds", async (t) => {
    const { store, push, open } = await office(t);
    const first = await push(1);
    const said: ClipscribeError[] = [];
    t.mock.timers.enable({ apis: ["setInterval"] });
    using pipelines = await open(store, said);
    const { pointer } = (await readPointer(store)) ?? {};

    for (const text of [JSON.stringify({ ...pointer, digest: "0".repeat(64) }), "{"]) {
      await store.put(systemKeys.pipelineCurrent, Buffer.from(text));
      const count = said.length;
      for (let polls = 0; polls < 3; polls++) await poll(t);
      assert.equal(said.length, count + 1);
      assert.equal(pipelines.current().digest, first);
    }
    await store.delete(systemKeys.pipelineCurrent);
    const second = await push(2);
    await poll(t);

    await settled(() => pipelines.current().digest === second);
    assert.deepEqual(
      said.map(({ kind }) => kind),
      ["missing", "contract"],
    );
  });
});
