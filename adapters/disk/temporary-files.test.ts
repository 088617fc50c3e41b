import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { parseObjectKey } from "../../core/keys.ts";
import { realDiskFs } from "./disk-fs.ts";
import { openDiskStore } from "./disk-store.ts";
import { openTemporaryFiles } from "./temporary-files.ts";

const HOUR_MS = 60 * 60 * 1000;

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-temporary-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

describe("temporary files", () => {
  test("one that was prepared is taken once, and the next has a name of its own", (t) => {
    const files = openTemporaryFiles(realDiskFs, folder(t), () => new Date());
    files.prepare();
    files.prepare();

    const [first, second] = [files.takeMade(), files.takeMade()];

    assert.deepEqual([first.isMade, existsSync(first.path)], [true, true]);
    assert.deepEqual([second.isMade, existsSync(second.path)], [false, false]);
    assert.notEqual(first.path, second.path);
  });

  test("one that another process may sweep at any moment is not taken", (t) => {
    let nowMs = 0;
    const dir = folder(t);
    const files = openTemporaryFiles(realDiskFs, dir, () => new Date(nowMs));
    files.prepare();
    nowMs += 2 * HOUR_MS;

    assert.equal(files.takeMade().isMade, false);
    assert.deepEqual(readdirSync(dir), []);
  });

  test("where none can be made, the next one is made by whoever writes it", (t) => {
    const files = openTemporaryFiles(realDiskFs, join(folder(t), "gone"), () => new Date());

    files.prepare();

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
    for (const name of readdirSync(join(root, ".tmp"))) rmSync(join(root, ".tmp", name));

    await store.put(key, Buffer.from("two"));

    assert.equal(Buffer.from((await store.get(key)).body).toString(), "two");
    await store[Symbol.asyncDispose]();
  });
});
