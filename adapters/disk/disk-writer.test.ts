import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { pathToFileURL } from "node:url";

import { sha256Of } from "../../core/digest.ts";
import { hasKind } from "../../core/errors.ts";
import { parseObjectKey } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";
import type { PutOptions } from "../../ports/object-store.ts";
import { openDiskStore } from "./disk-store.ts";
import type { DiskStore } from "./disk-store.ts";

const THREAD = join(import.meta.dirname, "write-thread.ts");
const AT_ONCE = 16;

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-writer-"));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

/** The thread, with a line before it that it carries out first. */
function threadAfter(dir: string, line: string): string {
  const path = join(dir, "thread.mjs");
  const imports = `import { appendFileSync } from "node:fs"; import { parentPort } from "node:worker_threads";`;
  writeFileSync(path, `${imports}\n${line}\nawait import(${JSON.stringify(THREAD)});\n`);
  return path;
}

function open(t: TestContext, dir: string, threadPath: string): DiskStore {
  const store = openDiskStore({ root: join(dir, "store"), threadPath });
  t.after(() => store[Symbol.asyncDispose]());
  return store;
}

/** Puts by content, as many at once as a busy runner; returns what should be there. */
async function putMany(
  store: DiskStore,
  count: number,
  options: PutOptions = { ifMatch: null },
): Promise<Map<ObjectKey, string>> {
  const made = new Map<ObjectKey, string>();
  const queue = Array.from({ length: count }, (_, at) => `content ${at} of ${count}`).values();
  const worker = async (): Promise<void> => {
    for (const text of queue) {
      const key = parseObjectKey(`blobs/me/${sha256Of(text)}`);
      await store.put(key, Buffer.from(text), options);
      made.set(key, text);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return made;
}

async function assertThere(store: DiskStore, made: ReadonlyMap<ObjectKey, string>): Promise<void> {
  for (const [key, text] of made) {
    const { body, etag } = await store.get(key);
    assert.deepEqual([Buffer.from(body).toString(), (await store.head(key))?.etag], [text, etag]);
  }
}

describe("the disk store's thread", () => {
  test("takes part under load, and what it puts is there: new, unconditional and linked", async (t) => {
    const dir = folder(t);
    const orders = join(dir, "orders");
    const note = `parentPort.on("message", ({ orders }) => appendFileSync(${JSON.stringify(orders)}, JSON.stringify(orders) + "\\n"));`;
    const store = open(t, dir, threadAfter(dir, note));

    const flushed = await putMany(store, 900);
    const cached = await putMany(store, 400, { durability: "recomputable" });
    const links = [...flushed].slice(0, 200);
    const load = putMany(store, 64);
    for (const [key, text] of links) {
      const to = parseObjectKey(`results/me/job/${sha256Of(text).slice(0, 8)}/out.txt`);
      await store.copy(key, to, { durability: "recomputable" });
      assert.equal(Buffer.from((await store.get(to)).body).toString(), text);
    }
    await load;

    await assertThere(store, flushed);
    await assertThere(store, cached);
    const taken = readFileSync(orders, "utf8");
    for (const kind of ['"isNew":true', '"isNew":false', '"linkOf"']) {
      assert.ok(taken.includes(kind), `an order with ${kind}`);
    }
    assert.deepEqual(readdirSync(join(dir, "store", ".tmp")).length < 5, true);
  });

  test("of twenty that put one key under load one wins, and its bytes are there", async (t) => {
    const dir = folder(t);
    const store = open(t, dir, THREAD);
    const load = putMany(store, 2_000);
    await putMany(store, 600);

    for (let round = 0; round < 5; round++) {
      const key = parseObjectKey(`inbox/batch/me/job/item-${round}.1.json`);
      const tries = await Promise.allSettled(
        Array.from({ length: 20 }, (_, at) =>
          store.put(key, Buffer.from(`${at}`), { ifMatch: null }),
        ),
      );
      const winners = [...tries.keys()].filter((at) => tries[at]?.status === "fulfilled");
      assert.equal(winners.length, 1);
      assert.equal(Buffer.from((await store.get(key)).body).toString(), `${winners[0]}`);
      const lost = tries.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
      assert.ok(lost.every((reason) => hasKind("conflict")(reason)));
    }
    await assertThere(store, await load);
  });

  test("one that ends leaves nothing undone", async (t) => {
    const dir = folder(t);
    const store = open(
      t,
      dir,
      threadAfter(dir, `parentPort.once("message", () => process.exit(1));`),
    );

    await assertThere(store, await putMany(store, 1_200));
  });

  test("a folder that goes while it is written into comes again", async (t) => {
    const dir = folder(t);
    const store = open(t, dir, THREAD);
    const load = putMany(store, 3_000);
    await putMany(store, 600);
    const keys = Array.from({ length: 100 }, (_, at) => parseObjectKey(`outbox/me/job/${at}.json`));

    // Each deletion of the last object takes the folder away, between the puts.
    await Promise.all(
      keys.map(async (key) => {
        await store.put(key, Buffer.from(key), { ifMatch: null, durability: "recomputable" });
        await store.delete(key);
        await store.put(key, Buffer.from(key), { ifMatch: null, durability: "recomputable" });
      }),
    );

    for (const key of keys) assert.equal(Buffer.from((await store.get(key)).body).toString(), key);
    await load;
  });

  test("killed in the middle, it leaves whole objects or none", async (t) => {
    const dir = folder(t);
    const root = join(dir, "store");
    const self = pathToFileURL(join(import.meta.dirname, "disk-store.ts")).href;
    const script = `
      import { createHash } from "node:crypto";
      import { openDiskStore } from ${JSON.stringify(self)};
      const store = openDiskStore({ root: ${JSON.stringify(root)}, threadPath: ${JSON.stringify(THREAD)} });
      let count = 0;
      const worker = async () => {
        for (;;) {
          const text = "x".repeat(2000) + count++;
          const sha = createHash("sha256").update(text).digest("hex");
          await store.put("blobs/me/" + sha, Buffer.from(text), { ifMatch: null });
          if (count === 1500) console.log("busy");
        }
      };
      for (let at = 0; at < 16; at++) void worker();
    `;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const closed = new Promise((resolve) => child.once("close", resolve));
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGKILL");
    await closed;

    const blobs = join(root, "blobs", "me");
    const names = readdirSync(blobs);
    assert.ok(names.length >= 1_000 && existsSync(blobs));
    for (const name of names) {
      assert.equal(`${sha256Of(readFileSync(join(blobs, name)))}%`, name);
    }
  });
});
