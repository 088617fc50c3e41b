import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { parseObjectKey } from "../../core/keys.ts";
import { realDiskFs } from "./disk-fs.ts";
import { openDiskStore } from "./disk-store.ts";
import { openTemporaryFiles } from "./temporary-files.ts";
import type { TemporaryFiles } from "./temporary-files.ts";

const HOUR_MS = 60 * 60 * 1000;

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-temporary-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** What is made ahead in a moment's rest. */
async function takeAll(files: TemporaryFiles): Promise<string[]> {
  files.noteWrite();
  const made: string[] = [];
  for (let tries = 0; made.length === 0 && tries < 200; tries++) {
    await delay(25);
    for (let each = files.takeMade(); each.isMade; each = files.takeMade()) made.push(each.path);
  }
  return made;
}

describe("temporary files", () => {
  test("those that were made ahead are taken once each, and the next has a name of its own", async (t) => {
    const files = openTemporaryFiles(realDiskFs, folder(t), () => new Date());
    t.after(() => files.close());
    const made = await takeAll(files);

    const next = files.takeMade();

    assert.ok(made.length > 1 && made.every((path) => existsSync(path)));
    assert.deepEqual([next.isMade, existsSync(next.path)], [false, false]);
    assert.equal(new Set([...made, next.path]).size, made.length + 1);
  });

  test("one that another process may sweep at any moment is not taken", async (t) => {
    let nowMs = 0;
    const dir = folder(t);
    const files = openTemporaryFiles(realDiskFs, dir, () => new Date(nowMs));
    t.after(() => files.close());
    files.noteWrite();
    while (readdirSync(dir).length < 4) await delay(5);
    await delay(20);
    nowMs += 2 * HOUR_MS;

    assert.equal(files.takeMade().isMade, false);
    assert.deepEqual(readdirSync(dir), []);
  });

  test("none is made while something is written", async (t) => {
    const dir = folder(t);
    let isResting = false;
    const files = openTemporaryFiles(
      realDiskFs,
      dir,
      () => new Date(),
      () => isResting,
    );
    t.after(() => files.close());
    files.noteWrite();
    await delay(50);
    assert.deepEqual(readdirSync(dir), []);

    isResting = true;

    assert.ok((await takeAll(files)).length > 1);
  });

  test("where none can be made, the next one is made by whoever writes it", async (t) => {
    const files = openTemporaryFiles(realDiskFs, join(folder(t), "gone"), () => new Date());
    t.after(() => files.close());
    files.noteWrite();
    await delay(30);

    assert.equal(files.takeMade().isMade, false);
  });

  test("a store that writes one object after another leaves nothing behind when it is closed", async (t) => {
    const root = join(folder(t), "store");
    const store = openDiskStore({ root });
    const key = parseObjectKey("jobs/me/a.json");
    for (const text of ["one", "two, which is longer", "3"])
      await store.put(key, Buffer.from(text));

    assert.equal(Buffer.from((await store.get(key)).body).toString(), "3");
    await store[Symbol.asyncDispose]();

    assert.deepEqual(readdirSync(join(root, ".tmp")), []);
  });

  test("a prepared file that was swept all the same is made again by the put", async (t) => {
    const root = join(folder(t), "store");
    const store = openDiskStore({ root });
    const key = parseObjectKey("jobs/me/a.json");
    await store.put(key, Buffer.from("one"));
    while (readdirSync(join(root, ".tmp")).length === 0) await delay(5);
    await delay(20);
    for (const name of readdirSync(join(root, ".tmp"))) rmSync(join(root, ".tmp", name));

    await store.put(key, Buffer.from("two"));

    assert.equal(Buffer.from((await store.get(key)).body).toString(), "two");
    await store[Symbol.asyncDispose]();
  });
});
