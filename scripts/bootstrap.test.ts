import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

/** Brings what it is asked for, slowly, and complains where two of it work at once. */
const NPM = `#!/bin/bash
mkdir "$PLACE/busy" 2>/dev/null || { echo "two at once" >> "$PLACE/calls"; exit 1; }
echo "$1" >> "$PLACE/calls"
/bin/sleep 0.4
if [ "$1" = install ]; then
  rm -rf "$3/node_modules"; mkdir -p "$3/node_modules/node/bin"; cp "$PLACE/good-node" "$3/node_modules/node/bin/node"
else
  rm -rf node_modules; mkdir node_modules
fi
rmdir "$PLACE/busy"
`;

function checkout(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-bootstrap-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const bin = join(dir, "bin");
  for (const folder of ["scripts", "bin", ".tools"]) mkdirSync(join(dir, folder));
  copyFileSync(join(import.meta.dirname, "bootstrap"), join(dir, "scripts", "bootstrap"));
  writeFileSync(join(dir, "package-lock.json"), "{}\n");
  const program = (path: string, text: string): void => {
    writeFileSync(path, text);
    chmodSync(path, 0o755);
  };
  program(join(bin, "npm"), NPM);
  // The one on PATH is too old, the one that is brought is not.
  program(join(bin, "node"), "#!/bin/sh\nexit 1\n");
  program(join(dir, "good-node"), "#!/bin/sh\nexit 0\n");
  const calls = (): string[] =>
    existsSync(join(dir, "calls"))
      ? readFileSync(join(dir, "calls"), "utf8").trim().split("\n")
      : [];
  const run = async (): Promise<{ code: number | null; stderr: string }> => {
    const env = { PATH: `${bin}:/usr/bin:/bin`, HOME: dir, PLACE: dir };
    const child = spawn("/bin/bash", [join(dir, "scripts", "bootstrap")], { env });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, stderr };
  };
  return { dir, run, calls };
}

describe("the bootstrap", () => {
  test("two first runs at once bring Node and the packages once, and both end well", async (t) => {
    const { run, calls } = checkout(t);
    const ends = await Promise.all([run(), run(), run()]);

    assert.deepEqual(
      ends.map(({ code }) => code),
      [0, 0, 0],
      ends.map(({ stderr }) => stderr).join(),
    );
    assert.deepEqual(calls(), ["install", "ci"]);
    assert.equal((await run()).stderr, "");
    assert.deepEqual(calls(), ["install", "ci"]);
  });

  test("goes on where one was killed with the lock in hand", async (t) => {
    const { dir, run, calls } = checkout(t);
    const dead = spawn("/bin/sh", ["-c", "exit 0"]);
    await new Promise((resolve) => dead.on("close", resolve));
    mkdirSync(join(dir, ".tools", "install.lock"));
    writeFileSync(join(dir, ".tools", "install.lock", "pid"), `${dead.pid}\n`);
    const { code, stderr } = await run();

    assert.equal(code, 0, stderr);
    assert.deepEqual(calls(), ["install", "ci"]);
    assert.equal(existsSync(join(dir, ".tools", "install.lock")), false);
  });
});
