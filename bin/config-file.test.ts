import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../core/errors.ts";
import type { Io } from "./io.ts";
import { main } from "./main.ts";
import { readSettings } from "./settings.ts";
import { captureIo } from "../samples/captured-io.ts";

function person(t: TestContext, files: Record<string, string>) {
  const home = mkdtempSync(join(tmpdir(), "clipscribe-config-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  mkdirSync(join(home, ".config/clipscribe/keys"), { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(home, ".config/clipscribe", name), text);
  }
  const heard = captureIo({ env: { HOME: home, PATH: process.env["PATH"] }, cwd: home });
  return { home, io: heard.io, said: () => heard.stdout + heard.stderr };
}

describe("a person's settings", () => {
  test("profiles have a file and a home of their own; the flag counts more than the variable", async (t) => {
    const { home, io, said } = person(t, {
      "config.yaml": "CLIPSCRIBE_USER: me\n",
      "config-desk.yaml": "CLIPSCRIBE_USER: desk\n",
      "config-anna.yaml": "CLIPSCRIBE_USER: anna\nCLIPSCRIBE_HOME: ~/Anna\n",
    });
    const withProfile = (name: string): Io => ({
      ...io,
      env: { ...io.env, CLIPSCRIBE_PROFILE: name },
    });

    const plain = await readSettings(io);
    const desk = await readSettings(withProfile("desk"));
    const anna = await readSettings(withProfile("anna"));
    const shown = await main(["config", "show", "--profile", "anna"], withProfile("desk"));

    assert.deepEqual([plain.user, plain.home], ["me", join(home, "ClipScribe")]);
    assert.deepEqual([desk.user, desk.home], ["desk", join(home, "ClipScribe-desk")]);
    assert.deepEqual([anna.user, anna.home], ["anna", join(home, "Anna")]);
    assert.equal(shown, 0);
    assert.match(said(), /profile +anna\nconfig file .*config-anna\.yaml\n/);
  });

  test("a profile that there is not is refused, and one that climbs out of its folder", async (t) => {
    const { io, said } = person(t, {});

    assert.equal(await main(["--profile", "nobody", "config"], io), 2);
    assert.equal(await main(["--profile", "../x", "config"], io), 2);
    assert.match(said(), /clipscribe init --profile nobody/);
  });

  test("is read by the bundle, too, which is what people start", async (t) => {
    const { home } = person(t, { "config.yaml": "CLIPSCRIBE_USER: anna\n" });
    const program = join(import.meta.dirname, "clipscribe");

    const shown = execFileSync(program, ["config", "show"], {
      cwd: home,
      env: { HOME: home, PATH: process.env["PATH"] },
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });

    assert.match(shown, /CLIPSCRIBE_USER +anna +\(config\.yaml\)/);
  });

  test("a secret may be kept in a file or a keychain, and is never shown", async (t) => {
    const { io, said } = person(t, {
      "config.yaml":
        "XAI_API_KEY: { file: keys/xai }\nMISTRAL_API_KEY: { command: [printf, 'canary-%s', two] }\n",
      "keys/xai": "canary-one\n",
    });

    const { all } = await readSettings(io);
    await main(["config", "show"], io);

    assert.equal(all.get("XAI_API_KEY")?.value, "canary-one");
    assert.equal(all.get("MISTRAL_API_KEY")?.value, "canary-two");
    assert.match(said(), /XAI_API_KEY +\(set, hidden\) +\(config\.yaml\)/);
    assert.doesNotMatch(said(), /canary/);
  });

  for (const [what, text] of [
    ["a file that is gone", "XAI_API_KEY: { file: keys/gone }"],
    ["a program that fails", "XAI_API_KEY: { command: ['false'] }"],
    ["a reference of another kind", "XAI_API_KEY: { url: https://example.org }"],
  ] as const) {
    test(`${what} is said with the setting's name`, async (t) => {
      const { io } = person(t, { "config.yaml": text });

      await assert.rejects(readSettings(io), (error) => {
        assert.ok(hasKind("config")(error));
        assert.match((error as Error).message, /XAI_API_KEY/);
        return true;
      });
    });
  }
});
