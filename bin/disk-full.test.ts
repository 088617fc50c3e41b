import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

const ROOT = join(import.meta.dirname, "..");
const ENTRY = join(ROOT, "bin", "clipscribe.ts");
const SAMPLE = join(ROOT, "samples", "council-meeting.mp4");
const MARK = "=====";

/** A disk of that size in a mount namespace of its own, as a folder that goes with it. */
const canMount = (dir: string): boolean =>
  spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir]).status === 0;

describe("a disk that fills up", () => {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-full-"));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const skip = canMount(dir) ? false : "no mount namespace here";
  for (const size of ["600k", "3m"]) {
    test(`of ${size} ends the run at once and says so; with room it goes on`, { skip }, () => {
      const run = `"${process.execPath}" "${ENTRY}" run --plain "${SAMPLE}"`;
      const script = `mount -t tmpfs -o size=${size} tmpfs "$0"
        ${run}; echo "exit $?"; echo ${MARK}
        mount -o remount,size=60m "$0"
        ${run}; echo "exit $?"; echo ${MARK}; ls "$0/home/work" | wc -l`;
      const startedAt = performance.now();
      const { stdout, stderr } = spawnSync(
        "unshare",
        ["-rm", "/bin/sh", "-c", `exec 2>&1; ${script}`, dir],
        {
          encoding: "utf8",
          cwd: ROOT,
          env: { PATH: process.env["PATH"], HOME: dir, CLIPSCRIBE_HOME: join(dir, "home") },
        },
      );
      const [full = "", roomy = "", left = ""] = stdout.split(`${MARK}\n`);

      assert.match(
        full,
        /^error: the disk is full.*\n {2}free some space, then run again: nothing is lost\n/m,
        stderr,
      );
      assert.match(full, /^exit 8$/m);
      // Not one line for each write that failed.
      assert.ok(
        full.split("\n").filter((line) => /disk is full|ENOSPC/.test(line)).length <= 4,
        full,
      );
      assert.match(roomy, /^1 complete, \$0$[^]*^exit 0$/m, roomy);
      if (size === "3m") assert.match(roomy, /= probe +reused/);
      assert.equal(left.trim(), "0");
      assert.ok(performance.now() - startedAt < 60_000);
    });
  }
});
