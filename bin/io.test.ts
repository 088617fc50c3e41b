import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";

describe("what a command writes", () => {
  test("may be read as far as somebody wants: a reader that goes is no error", async (t) => {
    const entry = join(import.meta.dirname, "clipscribe.ts");
    // More than a pipe holds, so that the reader goes while there is something to write.
    const child = spawn(process.execPath, [entry, "man"], { signal: t.signal });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdout.destroy();

    const [code] = (await once(child, "close")) as [number | null];

    assert.equal(stderr, "");
    assert.equal(code, 0);
  });
});
