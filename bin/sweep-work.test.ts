import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { sweepWork } from "./sweep-work.ts";

test("scratch folders of killed runners are removed, those of living ones and others stay", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-work-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const name of ["my-host-11-0123abcd", "my-host-22-0123abcd", "other-11-0123abcd", "notes"]) {
    mkdirSync(join(dir, name, "job.item.1.1"), { recursive: true });
    writeFileSync(join(dir, name, "job.item.1.1", "audio.ogg"), "x");
  }

  sweepWork(dir, "my-host", (pid) => pid === 22);
  sweepWork(join(dir, "none"), "my-host", () => false);

  assert.deepEqual(readdirSync(dir).toSorted(), [
    "my-host-22-0123abcd",
    "notes",
    "other-11-0123abcd",
  ]);
});
