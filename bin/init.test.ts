import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openEmulator } from "../emulator/emulator.ts";

const CLI = join(import.meta.dirname, "clipscribe.ts");

function person(t: TestContext) {
  const home = mkdtempSync(join(tmpdir(), "clipscribe-init-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const config = join(home, ".config", "clipscribe", "config.yaml");
  const bin = join(home, "bin");
  mkdirSync(bin);
  async function run(
    args: readonly string[],
    {
      env = {},
      terminal = null,
    }: { env?: Record<string, string>; terminal?: string[] | null } = {},
  ): Promise<{ code: number | null; said: string }> {
    const all = { HOME: home, PATH: `${bin}:${process.env["PATH"]}`, NO_COLOR: "1", ...env };
    const line = [process.execPath, CLI, "init", ...args];
    const child =
      terminal === null
        ? spawn(line[0] ?? "", line.slice(1), { cwd: home, env: all })
        : spawn("script", ["-qec", line.join(" "), "/dev/null"], { cwd: home, env: all });
    let said = "";
    const answers = [...(terminal ?? [])];
    const onData = (chunk: Buffer): void => {
      said += chunk.toString();
      // One answer a question: a terminal would echo what is typed ahead.
      if (said.endsWith(": ") && answers.length > 0) child.stdin.write(`${answers.shift()}\r`);
    };
    child.stdout.on("data", onData);
    child.stderr.on("data", onData);
    if (terminal === null) child.stdin.end();
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, said };
  }
  /** A program of the system that only notes how it was called. */
  const fake = (name: string, exit = 0): string => {
    const calls = join(home, `${name}.calls`);
    writeFileSync(join(bin, name), `#!/bin/sh\necho "$@" >> ${calls}\nexit ${exit}\n`);
    chmodSync(join(bin, name), 0o755);
    return calls;
  };
  return { home, config, run, fake };
}

describe("clipscribe init", () => {
  test("without a terminal says what to pass; with --yes it writes, makes folders, and is content the second time", async (t) => {
    const { home, config, run } = person(t);

    const mute = await run([]);
    const first = await run(["--yes", "--home", "Videos/Clip", "--user", "ann"]);
    const second = await run(["--yes"]);

    assert.deepEqual([mute.code, existsSync(join(home, "Videos/Clip/inbox"))], [2, true]);
    assert.match(mute.said, /--yes.*--home/);
    assert.equal(first.code, 0, first.said);
    assert.match(first.said, /\+ CLIPSCRIBE_USER: ann/);
    assert.match(first.said, /store +good: a folder of this computer/);
    assert.match(readFileSync(config, "utf8"), new RegExp(`CLIPSCRIBE_HOME: ${home}/Videos/Clip`));
    assert.match(second.said, /stays as it is/);
    assert.equal(statSync(config).mode & 0o777, 0o600);
  });

  test("what a person wrote stays, comments too; the difference is shown, a secret's value is not", async (t) => {
    const { config, run } = person(t);
    mkdirSync(join(config, ".."), { recursive: true });
    writeFileSync(config, "# mine\nCLIPSCRIBE_USER: me # short\nXAI_API_KEY: canary-old\n");

    const { code, said } = await run(["--yes", "--user", "ann"], {
      env: { MISTRAL_API_KEY: "canary-new" },
    });

    const text = readFileSync(config, "utf8");
    assert.equal(code, 0, said);
    assert.match(text, /# mine\nCLIPSCRIBE_USER: ann # short\nXAI_API_KEY: canary-old\n/);
    assert.match(said, /- CLIPSCRIBE_USER: me # short\n +\+ CLIPSCRIBE_USER: ann # short/);
    assert.doesNotMatch(said + text.replace("canary-old", ""), /canary/);
    const key = join(config, "..", "keys", "MISTRAL_API_KEY");
    assert.equal(readFileSync(key, "utf8"), "canary-new\n");
    assert.equal(statSync(key).mode & 0o777, 0o600);
    assert.match(said, /\+ MISTRAL_API_KEY: \{ file: keys\/MISTRAL_API_KEY \}/);
  });

  test("a bucket is tried: reachable, allowed, and heeding conditions; what is missing is named at once", async (t) => {
    const { config, run } = person(t);
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-init-cloud-"));
    const emulator = await openEmulator({ dir });
    t.after(async () => {
      await emulator[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    });
    const { address } = emulator;
    const keys = {
      R2_ACCESS_KEY_ID: address.access_key_id,
      R2_SECRET_ACCESS_KEY: address.secret_access_key,
    };
    const args = [
      "--yes",
      "--cloud",
      "--bucket",
      address.bucket,
      "--endpoint",
      address.s3_endpoint,
    ];

    const none = await run(["--yes", "--cloud"]);
    const wasWritten = existsSync(config);
    const wrong = await run(args, { env: { ...keys, R2_SECRET_ACCESS_KEY: "canary-wrong" } });
    const right = await run(args, { env: keys });
    const later = await run(["--json"]);

    assert.deepEqual([none.code, wasWritten], [2, false]);
    assert.match(none.said, /--bucket NAME, --account ID .*, R2_ACCESS_KEY_ID in the environment/);
    assert.equal(wrong.code, 8, wrong.said);
    assert.doesNotMatch(wrong.said, /canary/);
    assert.equal(right.code, 0, right.said);
    assert.match(right.said, /its conditions hold/);
    assert.equal(later.code, 0, later.said);
    const script = join(dir, "credentials");
    // As AWS's credential_process prints them.
    const printed = {
      Version: 1,
      AccessKeyId: address.access_key_id,
      SecretAccessKey: address.secret_access_key,
      SessionToken: "for-a-while",
      Expiration: new Date(Date.now() + 3_600_000).toISOString(),
    };
    writeFileSync(script, `#!/bin/sh\ntouch ${script}.ran\necho '${JSON.stringify(printed)}'\n`, {
      mode: 0o755,
    });
    const lent = await run([...args, "--profile", "lent", "--credentials-command", script]);
    // The emulator lends none, so it refuses these; but they were asked for, and no key was.
    assert.match(lent.said, /the bucket refuses these credentials/);
    assert.ok(existsSync(`${script}.ran`));
    assert.deepEqual(JSON.parse(later.said).store, { state: "good" });
  });

  test("the login service is written, started, and taken away again; one that can't start says how", async (t) => {
    const { home, run, fake } = person(t);
    const calls = fake("systemctl");
    const unit = join(home, ".config/systemd/user/clipscribe-desk.service");

    const made = await run(["--yes", "--service", "--profile", "desk"]);
    const text = readFileSync(unit, "utf8");
    const gone = await run(["--remove-service", "--profile", "desk"]);
    const unitAfter = existsSync(unit);
    fake("systemctl", 1);
    const stuck = await run(["--yes", "--service"]);

    assert.equal(made.code, 0, made.said);
    assert.match(text, /"--profile" "desk" "up"/);
    assert.match(readFileSync(calls, "utf8"), /--user enable clipscribe-desk\.service/);
    assert.deepEqual([gone.code, unitAfter], [0, false]);
    assert.match(readFileSync(calls, "utf8"), /--user disable --now clipscribe-desk\.service/);
    assert.equal(stuck.code, 8, stuck.said);
    assert.match(stuck.said, /start it by hand: systemctl --user/);
  });

  test(
    "at a terminal it asks, hides what is secret, asks again what can't be, and shows before it writes",
    { skip: process.platform !== "linux" },
    async (t) => {
      const { home, config, run } = person(t);

      const { code, said } = await run([], {
        terminal: ["~/Clips", "Not A Name", "ann", "n", "canary-mistral", "", "n", "y"],
      });

      assert.equal(code, 0, said);
      assert.match(said, /Folder for inbox and results \[~\/ClipScribe\]/);
      assert.match(said, /use a-z, 0-9 and -/);
      assert.doesNotMatch(said, /canary/);
      assert.match(readFileSync(config, "utf8"), /CLIPSCRIBE_USER: ann/);
      assert.deepEqual(readdirSync(join(config, "..", "keys")), ["MISTRAL_API_KEY"]);
      assert.ok(existsSync(join(home, "Clips", "inbox")));
    },
  );

  test(
    "Ctrl-C and a no leave everything as it was",
    { skip: process.platform !== "linux" },
    async (t) => {
      const { config, run } = person(t);

      const stopped = await run([], { terminal: ["~/Clips", "\u0003"] });
      const refused = await run([], { terminal: ["", "", "n", "", "", "n", "n"] });

      assert.deepEqual([stopped.code, refused.code, existsSync(config)], [130, 130, false]);
    },
  );
});
