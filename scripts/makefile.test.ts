import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

const ROOT = join(import.meta.dirname, "..");

describe("the Makefile", () => {
  test("a file's name is text: make runs nothing that stands in it", (t) => {
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-make-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const canary = join(dir, "canary");

    // Dry: the recipes are expanded, as far as make does, and not run.
    for (const name of [`x$(shell touch ${canary})`, "a`touch canary`b.mp4", "it's $HOME.mp4"]) {
      execFileSync("make", ["-n", "run", `FILE=${name}`], { cwd: ROOT, stdio: "ignore" });
      execFileSync("make", ["-n", "new-stage", `NAME=${name}`], { cwd: ROOT, stdio: "ignore" });
    }

    assert.equal(existsSync(canary), false);
  });
});
