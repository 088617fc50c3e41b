import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { openWriters } from "./open-writers.ts";

describe("who has a file open for writing", () => {
  test("another process that writes is seen, one that reads is not, and an end is an end", async (t) => {
    if (process.platform !== "linux") return t.skip("by /proc");
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-writers-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const path = join(dir, "a b\nc.mp4");
    writeFileSync(path, "x");
    let nowMs = 0;
    const writers = openWriters("linux", { nowMs: () => (nowMs += 1_000) });
    const hold = async (redirect: string): Promise<() => Promise<void>> => {
      const child = spawn("bash", ["-c", `exec 9${redirect}"$0"; echo open; read -r _`, path], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      await new Promise((resolve) => child.stdout.once("data", resolve));
      return async () => {
        const ended = new Promise((resolve) => child.once("close", resolve));
        child.stdin.end();
        await ended;
      };
    };

    const reader = await hold("<");
    assert.equal(await writers.has(path, 0), false);
    await reader();
    const writer = await hold(">>");
    assert.equal(await writers.has(path, 0), true);
    assert.equal(await writers.has(join(dir, "other.mp4"), 0), false);
    await writer();
    assert.equal(await writers.has(path, 0), false);
  });

  test("one walk answers for many", async () => {
    let walks = 0;
    const walkProc = (): Set<string> => {
      walks++;
      return new Set(["/in/a"]);
    };
    const writers = openWriters("linux", { nowMs: () => 0, walkProc });

    assert.deepEqual(
      await Promise.all(["/in/a", "/in/b", "/in/c"].map((path) => writers.has(path, 0))),
      [true, false, false],
    );
    assert.equal(walks, 1);
  });

  test("a walk from before the file was there is none", async () => {
    let nowMs = 100;
    const open = new Set<string>();
    const writers = openWriters("linux", { nowMs: () => nowMs, walkProc: () => new Set(open) });
    assert.equal(await writers.has("/in/a", 50), false);

    nowMs = 110;
    open.add("/in/b");
    nowMs = 120;

    assert.equal(await writers.has("/in/b", 115), true);
  });

  test("on a Mac lsof tells; elsewhere nobody does", async () => {
    const says = (stdout: string) => openWriters("darwin", { lsof: () => Promise.resolve(stdout) });
    assert.equal(await says("p17\nf3\naw\n").has("/in/a", 0), true);
    assert.equal(await says("p17\nf3\nau\n").has("/in/a", 0), true);
    assert.equal(await says("p17\nf3\nar\n").has("/in/a", 0), false);
    const none = openWriters("darwin", { lsof: () => Promise.reject(new Error("exit 1")) });
    assert.equal(await none.has("/in/a", 0), false);
    assert.equal(await openWriters("win32").has("/in/a", 0), false);
  });
});
