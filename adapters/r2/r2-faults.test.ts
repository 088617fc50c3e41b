import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { parseObjectKey } from "../../core/keys.ts";
import { openEmulator } from "../../emulator/emulator.ts";
import { openR2Store } from "./r2-store.ts";

const KEY = parseObjectKey("jobs/me/a.json");

async function storeAt(t: TestContext, answer: RequestListener) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const store = openR2Store({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket: "bucket",
    accessKeyId: "key",
    secretAccessKey: "secret",
    minWriteIntervalMs: 0,
    etags: "md5",
  });
  t.after(async () => {
    store[Symbol.dispose]();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return store;
}

describe("an S3 that misbehaves", () => {
  test("a clock that is an hour off is said to be that, not a wrong key", async (t) => {
    for (const offMs of [3_600_000, -3_600_000]) {
      const dir = mkdtempSync(join(tmpdir(), "clipscribe-skew-"));
      await using emulator = await openEmulator({ dir, now: () => Date.now() + offMs });
      const { address } = emulator;
      const store = openR2Store({
        endpoint: address.s3_endpoint,
        bucket: address.bucket,
        accessKeyId: address.access_key_id,
        secretAccessKey: address.secret_access_key,
        minWriteIntervalMs: 0,
        etags: "md5",
      });
      await assert.rejects(store.get(KEY), (error: Error & { hint?: string }) => {
        assert.ok(hasKind("denied")(error));
        assert.match(error.message, /^this machine's clock is wrong/);
        return true;
      });
      store[Symbol.dispose]();
      t.after(() => rmSync(dir, { recursive: true, force: true }));
    }
  });

  test("an upload that is refused inside of a 200 is no success", async (t) => {
    const store = await storeAt(t, (request, response) => {
      request.resume().on("end", () => {
        response
          .writeHead(200, { "content-type": "application/xml" })
          .end("<Error><Code>InternalError</Code><Message>try again</Message></Error>");
      });
    });
    const part = { partNumber: 1, etag: "e" as never, sizeBytes: 1 };

    await assert.rejects(store.completeUpload(KEY, "upload", [part]), hasKind("transient"));
  });

  test("an answer that is cut off is not a shorter object", async (t) => {
    const store = await storeAt(t, (_request, response) => {
      response.writeHead(200, { "content-length": 10, etag: '"e"' });
      response.write("12345", () => response.destroy());
    });

    await assert.rejects(store.get(KEY), hasKind("transient"));
    const { body } = await store.getStream(KEY);
    const read = async (): Promise<number> => {
      let bytes = 0;
      for await (const chunk of body) bytes += chunk.length;
      return bytes;
    };
    await assert.rejects(read(), hasKind("transient"));
  });

  test("streams that are left at once, or never begun, hold up nobody", async (t) => {
    const body = Buffer.alloc(4 * 1024 * 1024, 7);
    const store = await storeAt(t, (_request, response) => {
      response.writeHead(200, { "content-length": body.length, etag: '"e"' }).end(body);
    });

    // More of either than there are connections.
    for (let at = 0; at < 60; at++) {
      const { body: chunks } = await store.getStream(KEY);
      for await (const chunk of chunks) {
        assert.ok(chunk.length > 0);
        break;
      }
    }
    for (let at = 0; at < 20; at++) await store.getStream(KEY);

    assert.equal((await store.get(KEY)).body.length, body.length);
  });

  test("a get that is given up ends at once, though nobody answers", async (t) => {
    const asked = Promise.withResolvers<void>();
    const store = await storeAt(t, () => asked.resolve());
    const given = new AbortController();
    const { signal } = given;

    const whole = store.get(KEY, { signal });
    const streamed = store.getStream(KEY, { signal });
    const looked = store.head(KEY, { signal });
    await asked.promise;
    given.abort();

    for (const each of [whole, streamed, looked]) await assert.rejects(each, hasKind("cancelled"));
  });

  test("a portal's page in place of an answer is not an object", async (t) => {
    const store = await storeAt(t, (_request, response) => {
      response.writeHead(200, { "content-type": "text/html" }).end("<html>log in here</html>");
    });

    await assert.rejects(store.get(KEY), hasKind("transient"));
    await assert.rejects(store.head(KEY), hasKind("transient"));
  });

  test("a byte that is another than it was written is no answer, where the etag tells", async (t) => {
    const etags = {
      md5: '"6f9ecfe51d8a3de4e1ec87cea54f8d55"',
      "of parts": '"6f9ecfe51d8a3de4e1ec87cea54f8d55-2"',
    };
    for (const [what, etag] of Object.entries(etags)) {
      const store = await storeAt(t, (_request, response) => {
        response.writeHead(200, { etag }).end('{"run":3}');
      });
      if (what === "md5") await assert.rejects(store.get(KEY), hasKind("transient"));
      else assert.equal((await store.get(KEY)).body.length, 9);
    }
  });
});
