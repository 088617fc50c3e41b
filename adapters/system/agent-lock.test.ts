import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { hasKind } from "../../core/errors.ts";
import { acquireAgentLock, findAgent } from "./agent-lock.ts";

const HOLDER = `
  import { acquireAgentLock } from ${JSON.stringify(join(import.meta.dirname, "agent-lock.ts"))};
  const lock = acquireAgentLock(process.argv[1], "up", new Date());
  process.stdout.write("held\\n");
  setInterval(() => lock, 1000);
`;

describe("the lock of a folder", () => {
  test("is refused to a second agent, which says who has it; kill -9 of the first frees it", async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-lock-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    assert.equal(findAgent(dir), undefined);
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", HOLDER, dir], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    await new Promise((resolve) => child.stdout.once("data", resolve));

    assert.equal(findAgent(dir)?.pid, child.pid);
    assert.throws(
      () => acquireAgentLock(dir, "up", new Date()),
      (error: Error) =>
        hasKind("conflict")(error) && error.message.includes(`process ${child.pid}`),
    );
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
    await delay(1);

    assert.equal(findAgent(dir), undefined);
    using _lock = acquireAgentLock(dir, "up", new Date());
    assert.ok(existsSync(join(dir, ".clipscribe-lock.json")));
    assert.equal(findAgent(dir)?.role, "up");
  });
});
