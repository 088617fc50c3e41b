import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { mintSessionCredentials } from "../core/session-credentials.ts";
import { openEmulator } from "../emulator/emulator.ts";
import { makeOwnProject } from "../samples/own-project.ts";
import { chatReply, heardReply, openTestWorld } from "../samples/test-world.ts";
import { fetchSound, refuseLikeMistral } from "../stand-ins/provider-server.ts";
import type { Received, Reply } from "../stand-ins/provider-server.ts";

/** A bucket and a provider over real HTTP; the provider fetches what it is pointed to. */
async function world(
  t: TestContext,
  { transcriber = "{ provider: mistral/voxtral-mini-2602 }", canFetch = true } = {},
) {
  const fetched: { status: number; bytes: number; sha256: string }[] = [];
  const hear = async (request: Received): Promise<Reply> => {
    const refused = refuseLikeMistral(request, "m");
    if (refused !== null) return refused;
    if (!request.fields.some(({ name }) => name === "file_url")) return heardReply(["We meet."]);
    const address = request.fields.find(({ name }) => name === "file_url")?.value ?? "";
    const got = canFetch ? await fetchSound(request) : { status: 403, bytes: 0, sha256: "" };
    fetched.push(got);
    if (got.status === 200) return heardReply(["We meet."]);
    const message = `could not fetch ${address}`;
    return { status: 400, body: { object: "error", message, raw_status_code: 400 } };
  };
  const { dir, server, clipscribe, tone } = await openTestWorld(t, (request) =>
    request.path.endsWith("/transcriptions")
      ? hear(request)
      : chatReply({ summary: { text: "They met.", evidence: [] } }),
  );
  const emulator = await openEmulator({ dir: join(dir, "cloud") });
  t.after(async () => emulator[Symbol.asyncDispose]());
  const { address } = emulator;
  makeOwnProject(dir, (text) => text.replace("{ provider: auto }", transcriber));
  const bucket = {
    CLIPSCRIBE_STORE: `s3:${address.bucket}`,
    CLIPSCRIBE_QUEUE: "poll",
    CLIPSCRIBE_SWEEP_MS: "200",
    R2_ENDPOINT: address.s3_endpoint,
    R2_ACCESS_KEY_ID: address.access_key_id,
    R2_SECRET_ACCESS_KEY: address.secret_access_key,
  };
  const talk = tone();
  const run = async (env: Record<string, string>) => {
    const ended = await clipscribe(["run", "--json", talk], env);
    assert.equal(ended.code, 0, ended.stderr + ended.stdout);
    const folder = ended.end.items[0]?.path ?? "";
    const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as {
      stages: { id: string; usage: Record<string, number> }[];
    };
    const { usage } = manifest.stages.find(({ id }) => id === "transcript") ?? {};
    return { ...ended, usage };
  };
  const sent = () =>
    server.received
      .filter(({ path }) => path.endsWith("/transcriptions"))
      .map(({ fields }) => fields.map(({ name }) => name));
  return { dir, fetched, bucket, run, sent, server, address };
}

const OPEN = { CLIPSCRIBE_ALLOW_PRIVATE: "store" };
/** All that a runner touches. */
const PREFIXES = "inbox sources jobs results cache blobs dead outbox budgets pipelines sys drops"
  .split(" ")
  .map((name) => `${name}/`);
const BY_ADDRESS = ["model", "timestamp_granularities", "diarize", "file_url"];
const BY_UPLOAD = ["model", "timestamp_granularities", "diarize", "file"];

/** The text of everything below a folder. */
function* texts(dir: string): Generator<[file: string, text: string]> {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (name === "node_modules") continue;
    if (statSync(path).isDirectory()) yield* texts(path);
    else yield [path, readFileSync(path, "latin1")];
  }
}

/** The lines that say how sound was sent, wherever they are kept. */
function logOf(dir: string): string {
  return [...texts(dir)]
    .flatMap(([, text]) => text.split("\n"))
    .filter((line) => line.includes("sound goes by"))
    .join("\n");
}

describe("sound whose store is a bucket", () => {
  test("goes by an address that the provider fetches, with no file beside it", async (t) => {
    const { dir, bucket, fetched, run, sent, server } = await world(t);
    const { usage } = await run({ ...bucket, ...OPEN });

    assert.deepEqual(sent(), [BY_ADDRESS]);
    assert.deepEqual(
      fetched.map(({ status }) => status),
      [200],
    );
    assert.ok((fetched[0]?.bytes ?? 0) > 1_000);
    assert.equal(usage?.["sent_by_address"], 1);
    assert.match(logOf(dir), /sound goes by address.*fetches it from the bucket/);
    const address = new URL(server.received[0]?.fields.at(-1)?.value ?? "");
    assert.ok(Number(address.searchParams.get("X-Amz-Expires")) <= 900);
  });

  test("is uploaded where the provider can't fetch it, and no address that opens it is kept", async (t) => {
    const { dir, bucket, run, sent } = await world(t, { canFetch: false });
    const { usage, stdout, stderr } = await run({ ...bucket, ...OPEN });

    assert.deepEqual(sent(), [BY_ADDRESS, BY_UPLOAD]);
    assert.equal(usage?.["sent_by_upload"], 1);
    assert.match(
      logOf(dir),
      /by address it was refused: mistral answered 400: could not fetch http/,
    );
    const signature = /X-Amz-Signature=[0-9a-f]{8}/;
    for (const [file, text] of texts(dir)) assert.doesNotMatch(text, signature, file);
    assert.doesNotMatch(stdout + stderr, signature);
  });

  test("is uploaded where the endpoint is private", async (t) => {
    const { dir, bucket, run, sent } = await world(t);
    const { usage } = await run(bucket);

    assert.deepEqual(sent(), [BY_UPLOAD]);
    assert.equal(usage?.["sent_by_upload"], 1);
    assert.match(logOf(dir), /the bucket's endpoint is not https/);
  });

  test("is uploaded where a session token makes the address too long", async (t) => {
    const { dir, bucket, run, sent, address } = await world(t);
    const session = mintSessionCredentials({
      endpoint: address.s3_endpoint,
      accountId: address.account_id,
      parent: { accessKeyId: address.access_key_id, secretAccessKey: address.secret_access_key },
      bucket: address.bucket,
      scope: "object-read-write",
      // What a token opens is written into it: one with many prefixes is long.
      prefixes: Array.from({ length: 80 }, (_, at) => `more-${at}/`).concat(PREFIXES),
      ttlSeconds: 3_600,
      now: new Date(),
    });
    const { usage } = await run({
      ...bucket,
      ...OPEN,
      R2_ACCESS_KEY_ID: session.accessKeyId,
      R2_SECRET_ACCESS_KEY: session.secretAccessKey,
      R2_SESSION_TOKEN: session.sessionToken,
    });

    assert.deepEqual(sent(), [BY_UPLOAD]);
    assert.equal(usage?.["sent_by_upload"], 1);
    assert.match(logOf(dir), /its address has \d+ characters, and .* takes 2083/);
  });
});

test("sound in a folder of this machine is uploaded, whatever is allowed", async (t) => {
  const { dir, run, sent } = await world(t);
  const { usage } = await run(OPEN);

  assert.deepEqual(sent(), [BY_UPLOAD]);
  assert.equal(usage?.["sent_by_upload"], 1);
  assert.match(logOf(dir), /the store is a folder of this machine/);
});
