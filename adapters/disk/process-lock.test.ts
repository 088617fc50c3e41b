import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { openProcessLock } from "./process-lock.ts";

test("holding the lock makes no file: each would be an inode made and deleted", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-lock-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const lock = openProcessLock(join(dir, ".lock"));
  t.after(() => lock.close());

  assert.deepEqual(
    lock.run(() => readdirSync(dir)),
    [".lock"],
  );
});
