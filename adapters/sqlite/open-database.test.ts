import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

const OPENER = JSON.stringify(join(import.meta.dirname, "open-database.ts"));

describe("opening a database that others share", () => {
  test("processes that make a new one at the same moment all have it", async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-ledger-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const startAt = Date.now() + 1_500;
    const script = `import { openDatabase } from ${OPENER};
      while (Date.now() < ${startAt});
      for (let n = 0; n < 20; n++) openDatabase(${JSON.stringify(dir)} + "/" + n + ".db", "PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS a (b)").close();`;

    const codes = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
          stdio: ["ignore", "ignore", "inherit"],
        });
        return new Promise((resolve) => child.on("close", resolve));
      }),
    );

    assert.deepEqual(codes, [0, 0, 0, 0]);
  });
});
