import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { describe, test } from "node:test";

import { main } from "./main.ts";
import { captureIo } from "../samples/captured-io.ts";

async function print(...argv: string[]): Promise<string> {
  const heard = captureIo({ env: { HOME: tmpdir() }, cwd: tmpdir() });
  assert.equal(await main(argv, heard.io), 0);
  return heard.stdout;
}

/** What bash would offer after these words, the last of which is being typed. */
function complete(script: string, words: readonly string[]): string[] {
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const ask = `COMP_WORDS=(clipscribe ${quoted}); COMP_CWORD=${words.length}; _clipscribe; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const said = execFileSync("bash", ["-c", `${script}\n${ask}`], { encoding: "utf8" });
  return said.split("\n").filter(Boolean);
}

describe("shell completion", () => {
  test("bash is offered verbs, verbs below verbs, and the options of just that one", async () => {
    const script = await print("completion", "bash");

    assert.deepEqual(complete(script, ["bat"]), ["batch"]);
    assert.deepEqual(complete(script, ["batch", "st"]), ["status"]);
    assert.deepEqual(complete(script, ["batch", "status", "7f3a", "--wa"]), ["--watch"]);
    assert.deepEqual(complete(script, ["batch", "--json", "fetch", "--out"]), ["--output-dir"]);
    assert.deepEqual(complete(script, ["batch", "fetch", "--wa"]), []);
    assert.ok(complete(script, ["status", "--profile", "x", "ba"]).length <= 1);
  });

  test("zsh and fish get scripts that name every verb, and no quote breaks out", async () => {
    for (const shell of ["zsh", "fish"]) {
      const script = await print("completion", shell);

      for (const words of ["batch fetch", "batch status", "completion"]) {
        assert.ok(script.includes(words), `${shell}: ${words}`);
      }
      assert.equal(script.split("'").length % 2, 1, `${shell}: quotes are not in pairs`);
    }
  });

  test("the manual page has the verbs below verbs", async () => {
    assert.match(await print("man"), /\.SS batch fetch/);
  });

  test("help fits a terminal of 80 columns, and each verb of a batch has an example", async () => {
    const verbs = ["submit", "list", "status", "fetch", "cancel", "pause", "resume", "approve"];
    for (const path of [...verbs.map((verb) => ["batch", verb]), ["batch"], ["init"]]) {
      const help = await print(...path, "--help");

      const wide = help.split("\n").filter((line) => line.length > 80);
      assert.deepEqual(wide, [], path.join(" "));
      if (path[1] !== "list") assert.match(help, /Examples?:\n {2}clipscribe/);
    }
  });
});
