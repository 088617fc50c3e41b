import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { ERROR_KINDS } from "../core/errors.ts";
import { EXIT, exitCodeOfKind, exitCodeOfStatuses } from "../core/exit-codes.ts";
import { main } from "./main.ts";
import { captureIo } from "../samples/captured-io.ts";

const ROOT = join(import.meta.dirname, "..");

async function call(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const heard = captureIo({ env: { HOME: tmpdir() }, cwd: ROOT });
  const code = await main(argv, heard.io);
  return { code, stdout: heard.stdout, stderr: heard.stderr };
}

describe("documents", () => {
  test("docs/errors.md has every kind and every exit code", () => {
    const text = readFileSync(join(ROOT, "docs", "errors.md"), "utf8");

    for (const kind of ERROR_KINDS) assert.ok(text.includes(`| \`${kind}\` |`), kind);
    for (const code of Object.values(EXIT)) assert.ok(text.includes(`| ${code} |`), String(code));
  });

  test("every kind has an exit code, and the worst of several statuses counts", () => {
    for (const kind of ERROR_KINDS) assert.ok(Object.values(EXIT).includes(exitCodeOfKind(kind)));
    assert.equal(exitCodeOfStatuses(["complete", "partial", "held"]), EXIT.held);
    assert.equal(exitCodeOfStatuses(["failed", "held"]), EXIT.failed);
    assert.equal(exitCodeOfStatuses([]), EXIT.complete);
  });

  test(
    "the tour's commands work from first to last, in a copy of this checkout",
    { timeout: 180_000 },
    (t) => {
      const dir = mkdtempSync(join(tmpdir(), "clipscribe-tour-"));
      t.after(() => rmSync(dir, { recursive: true, force: true }));
      for (const name of readdirSync(ROOT)) {
        if (["node_modules", ".git", ".clipscribe", "dist", ".tools"].includes(name)) continue;
        cpSync(join(ROOT, name), join(dir, name), { recursive: true });
      }
      symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
      symlinkSync(join(ROOT, ".tools"), join(dir, ".tools"));
      const tour = readFileSync(join(ROOT, "docs", "tour.md"), "utf8");
      const commands = [...tour.matchAll(/```sh\n([^]*?)```/g)].map(([, block]) => block ?? "");
      const env = { PATH: process.env["PATH"], HOME: dir };

      let output = "";
      for (const command of commands) {
        output = execFileSync("bash", ["-euo", "pipefail", "-c", command], {
          cwd: dir,
          env,
          encoding: "utf8",
        });
      }

      assert.ok(commands.length >= 5);
      assert.match(output, /"Elena Vasquez": \d+/);
    },
  );
});

describe("the command line", () => {
  test("help lists the commands; a slip is answered with what was meant, and exit code 2", async () => {
    assert.match((await call("--help")).stdout, /run .*process files/);
    const slip = await call("rnu", "x");
    assert.deepEqual([slip.code, /Did you mean run\?/.test(slip.stderr)], [2, true]);
    assert.equal((await call("run")).code, 2);
    assert.equal((await call("run", "--nonsense", "x")).code, 2);
  });

  test("completion and manual know every command", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      assert.match((await call("completion", shell)).stdout, /new-stage/);
    }
    assert.match((await call("man")).stdout, /\.SS run/);
    assert.equal((await call("completion", "cmd")).code, 2);
  });

  test("a stage's name is checked, and nothing is overwritten", async () => {
    assert.equal((await call("new-stage", "../evil")).code, 2);
    assert.equal((await call("new-stage", "probe")).code, 2);
  });
});
