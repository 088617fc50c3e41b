/** The real rclone, with the settings that `clipscribe cloud rclone` writes and the flags of docs/rclone.md. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { openEmulator } from "../../emulator/emulator.ts";
import { main } from "../main.ts";
import { writeRcloneConf } from "./cloud-rclone.ts";
import { captureIo } from "../../samples/captured-io.ts";

/** What docs/rclone.md says that copies are made with. */
const QUIET = ["--checksum", "--no-update-modtime"];
const CREATED = ["PutObject", "CopyObject", "CompleteMultipartUpload"];

async function world(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-rclone-"));
  const emulator = await openEmulator({ dir: join(dir, "cloud") });
  t.after(async () => {
    await emulator[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const { address } = emulator;
  const place = {
    accountId: address.account_id,
    bucket: address.bucket,
    jurisdiction: "default" as const,
    endpoint: address.s3_endpoint,
    keys: { accessKeyId: address.access_key_id, secretAccessKey: address.secret_access_key },
  };
  const config = join(dir, "rclone.conf");
  /** `env`: what happens to be set in a person's shell. */
  const rclone = async (args: string[], env: Record<string, string> = {}) => {
    const child = spawn("rclone", ["--config", config, "--retries", "1", ...args], {
      env: { PATH: process.env["PATH"], HOME: dir, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, stdout, stderr };
  };
  const env = {
    HOME: dir,
    CLIPSCRIBE_STORE: `r2:${address.bucket}`,
    CLOUDFLARE_ACCOUNT_ID: address.account_id,
    R2_ENDPOINT: address.s3_endpoint,
    R2_ACCESS_KEY_ID: address.access_key_id,
    R2_SECRET_ACCESS_KEY: address.secret_access_key,
  };
  const write = async (args: string[]): Promise<number> =>
    main(["cloud", "rclone", "--out", config, ...args], captureIo({ env, cwd: dir }).io);
  const events = (): number =>
    CREATED.reduce((sum, action) => sum + (emulator.counts[`event:${action}`] ?? 0), 0);
  const from = join(dir, "from");
  mkdirSync(from);
  writeFileSync(join(from, "talk.mp4"), randomBytes(2_000));
  writeFileSync(join(from, "ü + one.mp4"), randomBytes(3_000));
  return { dir, from, config, place, rclone, write, events };
}

describe("rclone with the settings that are written for it", () => {
  test("ls clipscribe: shows the whole bucket, and only their owner reads the settings", async (t) => {
    const { from, config, rclone, write } = await world(t);
    assert.equal(await write([]), 0);
    assert.equal(statSync(config).mode & 0o777, 0o600);
    const copied = await rclone(["copy", ...QUIET, from, "clipscribe:drops/me"]);
    assert.equal(copied.code, 0, copied.stderr);

    const listed = await rclone(["ls", "clipscribe:"]);

    assert.equal(listed.code, 0, listed.stderr);
    const lines = listed.stdout
      .trim()
      .split("\n")
      .map((line) => line.trim())
      .toSorted();
    assert.deepEqual(lines, ["2000 drops/me/talk.mp4", "3000 drops/me/ü + one.mp4"]);
  });

  test("a second copy, and one of files with another time, make no event; without the flags they would", async (t) => {
    const { from, rclone, write, events } = await world(t);
    await write([]);
    await rclone(["copy", ...QUIET, from, "clipscribe:drops/me"]);
    assert.equal(events(), 2);
    const later = new Date(Date.now() - 5_000_000);
    utimesSync(join(from, "talk.mp4"), later, later);

    await rclone(["copy", ...QUIET, from, "clipscribe:drops/me"]);
    assert.equal(events(), 2);
    await rclone(["copy", from, "clipscribe:drops/me"]);
    assert.equal(events(), 3, "an object was copied onto itself to set its time");
  });

  test("AWS_… of a person's shell changes nothing", async (t) => {
    const { rclone, write } = await world(t);
    await write([]);
    const env = { AWS_ACCESS_KEY_ID: "wrong", AWS_SECRET_ACCESS_KEY: "wrong", AWS_PROFILE: "none" };

    const listed = await rclone(["ls", "clipscribe:"], env);

    assert.equal(listed.code, 0, listed.stderr);
  });

  test("a user sees their own folders under clipscribe:, and nothing else of the bucket", async (t) => {
    const { from, rclone, write, place } = await world(t);
    await write([]);
    await rclone(["copy", ...QUIET, from, "clipscribe:drops/bob"]);
    await rclone(["copy", ...QUIET, from, "clipscribe:results/anna/job/item"]);
    assert.equal(await write(["--user", "anna"]), 0);

    const top = await rclone(["lsf", "clipscribe:"]);
    assert.deepEqual(top.stdout.trim().split("\n").toSorted(), [
      "dead/",
      "drops/",
      "jobs/",
      "results/",
    ]);
    const mine = await rclone(["lsf", "-R", "--files-only", "clipscribe:results"]);
    assert.match(mine.stdout, /job\/item\/talk\.mp4/);
    const dropped = await rclone(["copy", ...QUIET, from, "clipscribe:drops"]);
    assert.equal(dropped.code, 0, dropped.stderr);
    for (const path of ["drops/bob", "", "sys", "pipelines"]) {
      const theirs = await rclone(["ls", `clipscribe-bucket:${place.bucket}/${path}`]);
      assert.notEqual(theirs.code, 0, path);
      assert.match(theirs.stderr, /AccessDenied/, path);
    }
  });

  test("keys that would begin a line of their own are refused, and so are missing ones", async (t) => {
    const { place } = await world(t);
    const flags = { user: null, ttlSeconds: 600 };
    const keys = { accessKeyId: "a\n[evil]", secretAccessKey: "b" };
    assert.throws(() => writeRcloneConf({ ...place, keys }, flags, new Date()), hasKind("config"));
    assert.throws(
      () => writeRcloneConf({ ...place, keys: null }, flags, new Date()),
      hasKind("config"),
    );
  });
});
