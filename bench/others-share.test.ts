import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { describe, test } from "node:test";

import { openOthersShare } from "./others-share.ts";

const BUSY_S = 1.5;
const BUSY = `const end = Date.now() + ${BUSY_S * 1000}; while (Date.now() < end);`;
const skip = existsSync("/proc/self/stat") ? false : "no /proc here";

/** By a shell that hands it on, and another that does not wait for it: nobody has it in his account. */
async function busy(): Promise<void> {
  const child = spawn("sh", ["-c", `(sleep 0.4; "${process.execPath}" -e '${BUSY}') & sleep 1`], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await new Promise((resolve) => child.once("close", resolve));
}

describe("how much others take of the processor", { skip }, () => {
  test("what a child left behind does is ours, and what a stranger does is theirs", async () => {
    const all = availableParallelism();
    using before = openOthersShare();
    // It is no descendant of who looks in here: it was left behind before that.
    const child = spawn("sh", ["-c", `(sleep 0.3; "${process.execPath}" -e '${BUSY}') & `], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    await new Promise((resolve) => child.once("exit", resolve));
    using theirs = openOthersShare();
    await new Promise((resolve) => child.once("close", resolve));
    const besideTheirs = theirs.read();
    assert.ok(before.read() >= 0);

    using ours = openOthersShare();
    await busy();
    const besideOurs = ours.read();

    // Whatever else this machine does is in both.
    assert.ok(besideTheirs > 0.3 / all, `theirs: ${besideTheirs}`);
    assert.ok(besideOurs <= 1 - 0.3 / all, `ours: ${besideOurs}`);
  });
});
