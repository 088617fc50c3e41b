/** rclone, which people already have, puts, checks, copies and lists through the emulator. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { rcloneEnv } from "../bench/peers/rclone.ts";
import { runTimed } from "../bench/peers/timed-child.ts";
import { openEmulator } from "./emulator.ts";

async function world(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-rclone-"));
  const emulator = await openEmulator({ dir: join(dir, "cloud") });
  t.after(async () => {
    await emulator[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const { address } = emulator;
  const rclone = async (...args: string[]): Promise<string> => {
    // Nothing of AWS_…: rclone reads it, and fails on what it does not like.
    const child = spawn("rclone", args, {
      env: {
        PATH: process.env["PATH"],
        HOME: dir,
        RCLONE_CONFIG: join(dir, "none.conf"),
        RCLONE_CONFIG_R2_TYPE: "s3",
        RCLONE_CONFIG_R2_PROVIDER: "Cloudflare",
        RCLONE_CONFIG_R2_ENDPOINT: address.s3_endpoint,
        RCLONE_CONFIG_R2_ACCESS_KEY_ID: address.access_key_id,
        RCLONE_CONFIG_R2_SECRET_ACCESS_KEY: address.secret_access_key,
        RCLONE_CONFIG_R2_REGION: "auto",
        RCLONE_CONFIG_R2_NO_CHECK_BUCKET: "true",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    assert.equal(code, 0, `rclone ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const bucket = `r2:${address.bucket}`;
  return { dir, emulator, rclone, bucket };
}

describe("rclone through the emulator", () => {
  test("a folder of odd names is copied, checked, listed and read back", async (t) => {
    const { dir, rclone, bucket } = await world(t);
    const from = join(dir, "from");
    mkdirSync(join(from, "sub folder"), { recursive: true });
    for (const name of ["plain.txt", "ü ö.txt", "a+b&c.txt", "sub folder/deep.bin"]) {
      writeFileSync(join(from, name), randomBytes(1_000));
    }
    await rclone("copy", "--checksum", from, `${bucket}/drops/me`);
    await rclone("check", from, `${bucket}/drops/me`);
    const listed = JSON.parse(
      await rclone("lsjson", "-R", "--files-only", `${bucket}/drops/me`),
    ) as {
      Path: string;
      Size: number;
    }[];
    assert.deepEqual(
      listed.map(({ Path }) => Path).toSorted(),
      ["a+b&c.txt", "plain.txt", "sub folder/deep.bin", "ü ö.txt"].toSorted(),
    );
    await rclone("copy", `${bucket}/drops/me`, join(dir, "back"));
    assert.deepEqual(
      readFileSync(join(dir, "back", "ü ö.txt")),
      readFileSync(join(from, "ü ö.txt")),
    );
  });

  test("a large file goes in parts, and moves without coming back", async (t) => {
    const { dir, emulator, rclone, bucket } = await world(t);
    const file = join(dir, "large.bin");
    writeFileSync(file, randomBytes(17 * 1024 * 1024));
    const parts = ["--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M"];
    await rclone("copyto", ...parts, file, `${bucket}/drops/me/large.bin`);
    await rclone("moveto", `${bucket}/drops/me/large.bin`, `${bucket}/drops/me/moved.bin`);
    await rclone("copyto", `${bucket}/drops/me/moved.bin`, join(dir, "back.bin"));

    assert.ok(readFileSync(file).equals(readFileSync(join(dir, "back.bin"))));
    assert.equal(emulator.counts["event:CompleteMultipartUpload"], 1);
    assert.ok((emulator.counts["s3:A:multipart:drops"] ?? 0) >= 6);
  });

  test("AWS_CA_BUNDLE of this machine, on which it would end at once, does not reach it", async (t) => {
    const { dir, emulator } = await world(t);
    const before = process.env["AWS_CA_BUNDLE"];
    process.env["AWS_CA_BUNDLE"] = join(dir, "no-such-bundle.pem");
    t.after(() => {
      if (before === undefined) delete process.env["AWS_CA_BUNDLE"];
      else process.env["AWS_CA_BUNDLE"] = before;
    });
    const { address } = emulator;
    const env = rcloneEnv(
      {
        endpoint: address.s3_endpoint,
        bucket: address.bucket,
        accessKeyId: address.access_key_id,
        secretAccessKey: address.secret_access_key,
      },
      dir,
    );
    const list = ["rclone", "lsf", `r2:${address.bucket}`];

    await runTimed(list, env);
    // What it is kept from.
    const inherited = { ...env, AWS_CA_BUNDLE: process.env["AWS_CA_BUNDLE"] };
    await assert.rejects(runTimed(list, inherited), /ustom/);
  });
});
