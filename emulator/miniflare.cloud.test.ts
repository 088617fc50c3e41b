/**
 * The same conformance suite against Cloudflare's own simulator, so that the emulator does not
 * merely agree with itself. Where miniflare differs from R2's documentation, it is listed here; a
 * difference that has gone fails the test, too.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";

import { openR2Store } from "../adapters/r2/r2-store.ts";
import { describeObjectStore } from "../ports/object-store.contract.ts";
import { CASES } from "./s3-conformance-uploads.ts";
import type { S3UnderTest } from "./s3-conformance.ts";

const PACKAGE = join(import.meta.dirname, "..", ".tools", "miniflare", "node_modules", "miniflare");
const SKIP = existsSync(PACKAGE) ? false : "miniflare is not installed: make test-cloud";

/** What miniflare 4.20260730 does otherwise than R2's documentation says. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  "a key has at most 1,024 bytes": "its refusal is no XML",
  "parts that arrived are listed": "501: ListParts",
  "parts of different sizes are refused": "404 NoSuchUpload, where R2 says 400 InvalidPart",
  "an upload is completed under if-none-match": "the condition is ignored",
  "an aborted upload is gone": "501: ListParts",
  "the SDK's own stream, with a trailer, is stored without its framing": "aws-chunked is an error",
  "a checksum that fits is taken, one that does not is refused": "checksums are ignored",
  "a request without a signature is refused": "400, where R2 says 401 or 403",
};
/** The same, of the store's contract. */
const CONTRACT_DIFFERENCES: Readonly<Record<string, string>> = {
  "an upload in parts is resumed by its id, a part sent again replaces the first": "501: ListParts",
  "an upload is completed under a condition": "the condition is ignored",
  "a copy is an object of its own": "cf-copy-destination-if-* is ignored",
  "a delete under a condition that does not hold deletes nothing": "the condition is ignored",
};

interface Miniflare {
  ready: Promise<URL>;
  dispose(): Promise<void>;
}

async function startMiniflare(): Promise<{ miniflare: Miniflare; s3: S3UnderTest }> {
  const path = pathToFileURL(join(PACKAGE, "dist", "src", "index.js")).href;
  const { Miniflare: Server } = (await import(path)) as {
    Miniflare: new (options: object) => Miniflare;
  };
  const credentials = { accessKeyId: "local-key", secretAccessKey: "local-secret" };
  const miniflare = new Server({
    modules: true,
    script: "export default { fetch() { return new Response('clipscribe') } }",
    r2Buckets: { BUCKET: { id: "clipscribe", s3Credentials: credentials } },
    host: "127.0.0.1",
    port: 0,
  });
  const url = await miniflare.ready;
  const endpoint = new URL("/cdn-cgi/local/r2/s3", url).href;
  return { miniflare, s3: { endpoint, bucket: "clipscribe", ...credentials } };
}

if (SKIP === false) {
  describeObjectStore(
    "r2, against miniflare",
    async (t) => {
      const { miniflare, s3 } = await startMiniflare();
      const store = openR2Store({ ...s3, minWriteIntervalMs: 0, etags: "md5" });
      t.after(async () => {
        store[Symbol.dispose]();
        await miniflare.dispose();
      });
      return store;
    },
    CONTRACT_DIFFERENCES,
  );
}

describe("S3 conformance: miniflare", { skip: SKIP }, () => {
  let started: Awaited<ReturnType<typeof startMiniflare>> | undefined;
  before(async () => {
    started = await startMiniflare();
  });
  after(async () => started?.miniflare.dispose());
  for (const { name, run } of CASES) {
    test(name, async () => {
      if (started === undefined) throw new Error("miniflare did not start");
      const difference = DIFFERENCES[name];
      if (difference === undefined) await run(started.s3);
      else await assert.rejects(run(started.s3), Error, `no longer differs: ${difference}`);
    });
  }
});
