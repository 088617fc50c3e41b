import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { openEmulator } from "../../emulator/emulator.ts";

/** What people have set for other programs. */
const HOSTILE = {
  AWS_CA_BUNDLE: "/nowhere/ca.pem",
  AWS_REGION: "mars-1",
  AWS_PROFILE: "nobody",
  AWS_ENDPOINT_URL: "http://127.0.0.1:9",
  AWS_ENDPOINT_URL_S3: "http://127.0.0.1:9",
  AWS_ACCESS_KEY_ID: "another",
  AWS_SECRET_ACCESS_KEY: "another",
  AWS_SESSION_TOKEN: "another",
  AWS_USE_FIPS_ENDPOINT: "true",
  AWS_USE_DUALSTACK_ENDPOINT: "true",
  AWS_REQUEST_CHECKSUM_CALCULATION: "WHEN_SUPPORTED",
  HTTPS_PROXY: "http://127.0.0.1:9",
  HTTP_PROXY: "http://127.0.0.1:9",
};

const PROGRAM = `
import { openR2Store } from ${JSON.stringify(join(import.meta.dirname, "r2-store.ts"))};
using store = openR2Store(JSON.parse(process.argv[1]));
await store.put("jobs/me/a.json", Buffer.from("one"));
const upload = await store.createUpload("jobs/me/b.json");
const part = await store.putPart("jobs/me/b.json", upload, 1, Buffer.from("two"));
await store.completeUpload("jobs/me/b.json", upload, [part]);
const found = [];
for await (const { key } of store.list("jobs/")) found.push(key);
console.log(found.join(), Buffer.from((await store.get("jobs/me/a.json")).body).toString());
`;

describe("the bucket and this machine's environment", () => {
  test("AWS_… and proxies that are set for others change nothing", async (t) => {
    const dir = await mkdtemp(join(tmpdir(), "clipscribe-r2-env-"));
    const { address, ...emulator } = await openEmulator({ dir });
    t.after(async () => {
      await emulator[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    });
    const options = {
      endpoint: address.s3_endpoint,
      bucket: address.bucket,
      accessKeyId: address.access_key_id,
      secretAccessKey: address.secret_access_key,
      minWriteIntervalMs: 0,
      etags: "md5",
    };
    const args = ["--input-type=module-typescript", "-e", PROGRAM, JSON.stringify(options)];

    const child = spawn(process.execPath, args, {
      env: { PATH: process.env["PATH"], HOME: dir, ...HOSTILE },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let stdout = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));

    assert.equal(code, 0);
    assert.equal(stdout.trim(), "jobs/me/a.json,jobs/me/b.json one");
  });
});
