/** What goes wrong between here and the bucket, with real sockets and real processes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, createServer as createTcpServer } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openUploadBook } from "../adapters/ledger/upload-book.ts";
import { openDigestThreads } from "../adapters/system/digest-threads.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { openR2Store } from "../adapters/r2/r2-store.ts";
import { hasKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { retrying } from "../ports/retrying.ts";
import { MEBIBYTE, openUploadWorld, r2Options } from "../samples/upload-world.ts";
import { openPartHasher } from "./hash-parts.ts";
import { hashSource } from "./hash-source.ts";
import { uploadSource } from "./upload-source.ts";

const PART_BYTES = 5 * MEBIBYTE;
const LARGE_BYTES = 2 * PART_BYTES + MEBIBYTE;
const THREAD = join(import.meta.dirname, "..", "adapters", "system", "digest-thread.ts");

async function world(t: TestContext) {
  const opened = await openUploadWorld();
  t.after(async () => opened[Symbol.asyncDispose]());
  const clock = { ...systemClock, sleep: async () => undefined };
  return { ...opened, uploads: { ...opened.uploads, clock } };
}

async function sha256In(store: ObjectStore, key: ObjectKey): Promise<string> {
  const hash = createHash("sha256");
  const { body } = await store.getStream(key);
  for await (const chunk of body) hash.update(chunk);
  return hash.digest("hex");
}

/** A line to a server that can be made to take no more. */
async function openLine(t: TestContext, endpoint: string) {
  const target = new URL(endpoint);
  const sockets = new Set<Socket>();
  let isDead = false;
  let damages = 0;
  const server = createTcpServer((near) => {
    const far = connect(Number(target.port), "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    }
    near.on("data", (chunk: Buffer) => {
      // Long enough to be of a body.
      if (damages > 0 && chunk.length > 32_768) {
        damages--;
        chunk[20_000] = (chunk[20_000] ?? 0) ^ 1;
      }
      if (isDead) near.pause();
      else if (!far.write(chunk)) near.pause();
    });
    far.on("drain", () => !isDead && near.resume());
    far.on("data", (chunk: Buffer) => !isDead && near.write(chunk));
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    die: () => (isDead = true),
    damage: (times: number) => (damages = times),
    get damagesLeft() {
      return damages;
    },
    revive: () => {
      isDead = false;
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe("an upload and its line", () => {
  test("a line on which nothing moves is given up, and the next call goes on", async (t) => {
    const { emulator, uploads, file } = await world(t);
    const line = await openLine(t, emulator.address.s3_endpoint);
    const options = { ...r2Options(emulator.address), endpoint: line.endpoint, stallMs: 2_500 };
    using raw = openR2Store(options);
    const tries = { attempts: 4, baseMs: 10, maxMs: 50 };
    using patient = openR2Store({ ...options, stallMs: 60_000 });
    const store = retrying(patient, { ...tries, clock: systemClock, random: Math.random });
    const { path, source, key } = file("talk.mp4", 12 * PART_BYTES);
    const call = { path, source, uploads, signal: t.signal };
    const onProgress = (): void => {
      const { uploadId = "none" } = uploads.book.find(key) ?? {};
      if (uploads.book.parts(uploadId).length >= 2) line.die();
    };
    const before = performance.now();

    const first = uploadSource(raw, key, { ...call, onProgress });

    await assert.rejects(first, hasKind("transient"));
    assert.ok(performance.now() - before < 30_000);
    line.revive();
    const { sentBytes } = await uploadSource(store, key, call);
    assert.ok(sentBytes < 12 * PART_BYTES, `${sentBytes / PART_BYTES} parts were sent again`);
    assert.equal(await sha256In(store, key), source.sha256);
  });

  test("a line that is only slow is never given up", async (t) => {
    const { emulator, reopen, file } = await world(t);
    using store = openR2Store({ ...r2Options(emulator.address), stallMs: 150 });
    const { path, source, key } = file("talk.mp4", MEBIBYTE);
    const uploads = reopen(MEBIBYTE / 2);

    await uploadSource(store, key, { path, source, uploads, signal: t.signal });

    assert.equal(await sha256In(store, key), source.sha256);
  });

  test("what is damaged on the way is refused and sent again", async (t) => {
    const { emulator, uploads, file } = await world(t);
    const line = await openLine(t, emulator.address.s3_endpoint);
    using raw = openR2Store({ ...r2Options(emulator.address), endpoint: line.endpoint });
    const tries = { attempts: 4, baseMs: 10, maxMs: 50 };
    const store = retrying(raw, { ...tries, clock: systemClock, random: Math.random });
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    const call = { path, source, uploads, signal: t.signal };
    line.damage(1);
    await assert.rejects(uploadSource(raw, key, call), hasKind("transient"));
    assert.equal(await store.head(key), undefined);
    const hashLarge = openPartHasher(uploads);
    await hashSource(path, t.signal, { hashLarge });
    line.damage(2);

    await uploadSource(store, key, call);

    assert.equal(line.damagesLeft, 0);
    assert.equal(await sha256In(store, key), source.sha256);
  });

  test("where nobody listens it is transient, and says where to look", async (t) => {
    const { emulator, uploads, file } = await world(t);
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const endpoint = `http://127.0.0.1:${port}`;
    using store = openR2Store({ ...r2Options(emulator.address), endpoint });
    for (const size of [1_000, LARGE_BYTES]) {
      const { path, source, key } = file("talk.mp4", size);

      const work = uploadSource(store, key, { path, source, uploads, signal: t.signal });

      await assert.rejects(work, hasKind("transient"));
    }
  });
});

describe("a bucket that says what is not so", () => {
  for (const size of [1_000, LARGE_BYTES]) {
    test(`an etag that is not that of the ${size} bytes counts as not stored`, async (t) => {
      const { store, uploads, file, setFaults } = await world(t);
      const { path, source, key } = file("talk.mp4", size);
      const call = { path, source, uploads, signal: t.signal };
      await setFaults({ s3: { wrong_etag: 1 } });

      await assert.rejects(uploadSource(store, key, call), hasKind("transient"));

      await setFaults({});
      await uploadSource(store, key, call);
      assert.equal(await sha256In(store, key), source.sha256);
    });

    test(`a page to sign in is not taken for an answer (${size} bytes)`, async (t) => {
      const { store, uploads, file, setFaults } = await world(t);
      const { path, source, key } = file("talk.mp4", size);
      const call = { path, source, uploads, signal: t.signal };
      await setFaults({ s3: { portal: 1 } });

      await assert.rejects(uploadSource(store, key, call), hasKind("transient"));
      await assert.rejects(store.get(key), hasKind("transient"));
      await assert.rejects(store.head(key), hasKind("transient"));
      const listed = store.list("sources/")[Symbol.asyncIterator]();
      await assert.rejects(listed.next(), hasKind("transient"));

      await setFaults({});
      await uploadSource(store, key, call);
      assert.equal(await sha256In(store, key), source.sha256);
    });
  }

  test("a Complete that answers 200 with an error in it has completed nothing", async (t) => {
    const { store, uploads, file, setFaults } = await world(t);
    const { path, source, key } = file("talk.mp4", LARGE_BYTES);
    const call = { path, source, uploads, signal: t.signal };
    await setFaults({ s3: { complete_error: 1 } });

    await assert.rejects(uploadSource(store, key, call), hasKind("transient"));
    assert.equal(await store.head(key), undefined);

    await setFaults({});
    const { sentBytes } = await uploadSource(store, key, call);
    assert.equal(sentBytes, 0, "all parts were there");
    assert.equal(await sha256In(store, key), source.sha256);
  });
});

describe("the process that uploads", () => {
  test("killed with -9 in the middle, another goes on with what arrived", async (t) => {
    const { dir, emulator, store, file } = await world(t);
    const { address } = emulator;
    using book = openUploadBook(join(dir, "ledger.db"), address.s3_endpoint);
    const { path, source, key } = file("talk.mp4", 128 * MEBIBYTE);
    const plan = join(dir, "plan.json");
    const write = (limit: number | null): void => {
      const where = r2Options(address);
      writeFileSync(plan, JSON.stringify({ ...where, files: [path], home: dir, limit }));
    };
    const start = () => {
      const child = join(import.meta.dirname, "..", "bench", "upload-child.ts");
      return spawn(process.execPath, [child, plan], { stdio: ["ignore", "pipe", "inherit"] });
    };
    // On a slow line, so that there is a middle.
    write(40 * MEBIBYTE);
    const first = start();
    const killed = once(first, "close");
    const arrived = async (): Promise<void> => {
      const { uploadId = "none" } = book.find(key) ?? {};
      assert.ok((await store.listParts(key, uploadId)).length > 0);
    };
    await t.waitFor(arrived, { timeout: 30_000, interval: 50 });
    first.kill("SIGKILL");
    await killed;
    assert.equal(await store.head(key), undefined);
    const upload = book.find(key);
    assert.ok(upload !== undefined, "the intent was noted");

    write(null);
    const second = start();
    let stdout = "";
    second.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    await once(second, "close");

    const { sentBytes } = JSON.parse(stdout) as { sentBytes: number };
    assert.ok(sentBytes < source.size, `${sentBytes} bytes were sent again`);
    assert.equal(await sha256In(store, key), source.sha256);
    assert.deepEqual(book.list(), []);
    await assert.rejects(store.listParts(key, upload.uploadId), hasKind("missing"));
  });
});

describe("digests in threads", () => {
  test("are those of the parts, and of the whole in the order of the parts", async () => {
    await using threads = openDigestThreads(THREAD);
    for (const alone of ["md5", "sha256"] as const) {
      const parts = ["one", "two", "three"].map((text) => Buffer.from(text.repeat(1_000)));
      const digester = threads.open(alone);
      const other = threads.open(alone);
      const digests = await Promise.all(parts.map(async (part) => digester.add(part)));
      await other.add(Buffer.from("another file in between"));

      const expected = parts.map((part) => createHash(alone).update(part).digest("hex"));
      assert.deepEqual(digests, expected);
      const whole = createHash("sha256").update(Buffer.concat(parts)).digest("hex");
      assert.equal(await digester.finish(), whole);
      other.drop();
    }
  });

  test("are the same for parts that are digested together, of two files at once", async () => {
    await using threads = openDigestThreads(THREAD);
    for (const alone of ["md5", "sha256"] as const) {
      // More than go together, and a last one that is shorter.
      const files = ["one", "two"].map((name) =>
        Array.from({ length: 21 }, (_, at) =>
          Buffer.alloc(at === 20 ? 333 : 70_000, `${name} ${at} `),
        ),
      );
      const digesters = files.map(() => threads.open(alone));

      const found = await Promise.all(
        files.flatMap((parts, at) => parts.map(async (part) => digesters[at]?.add(part))),
      );

      const expected = files.flat().map((part) => createHash(alone).update(part).digest("hex"));
      assert.deepEqual(found, expected);
      for (const [at, parts] of files.entries()) {
        const whole = createHash("sha256").update(Buffer.concat(parts)).digest("hex");
        assert.equal(await digesters[at]?.finish(), whole);
      }
    }
  });

  test("a thread that can't start is told to who waits", async () => {
    await using threads = openDigestThreads(`${THREAD}.missing`);

    await assert.rejects(threads.open("md5").add(Buffer.from("x")), hasKind("transient"));
  });
});
