import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import fc from "fast-check";

import { hasKind } from "../../core/errors.ts";
import { parseObjectKey } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";
import { describeObjectStore } from "../../ports/object-store.contract.ts";
import { realDiskFs } from "./disk-fs.ts";
import type { DiskFs } from "./disk-fs.ts";
import { openDiskStore } from "./disk-store.ts";
import type { DiskStore } from "./disk-store.ts";
import { pathOfKey } from "./key-path.ts";
import { openPowerLossFs } from "./power-loss-fs.ts";

const KEY = parseObjectKey("jobs/me/a.json");
const SELF = JSON.stringify(join(import.meta.dirname, "disk-store.ts"));

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "clipscribe-disk-"));
  t.after(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

async function open(t: TestContext): Promise<DiskStore> {
  const store = openDiskStore({ root: join(await folder(t), "store") });
  t.after(() => store[Symbol.asyncDispose]());
  return store;
}

describeObjectStore("disk", open);

async function listed(store: DiskStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

function runChild(
  script: string,
): Promise<{ code: number | null; signal: string | null; out: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.on("close", (code, signal) => resolve({ code, signal, out }));
  });
}

describe("the disk store", () => {
  test("an ordinary key is its file's path, so that a person can `ls` the state", () => {
    const key = parseObjectKey("inbox/urgent/me/run-talk-1a2b/talk.1.json");

    assert.equal(pathOfKey(key), "inbox/urgent/me/run-talk-1a2b/talk.1.json");
  });

  test("a stream that is refused leaves no file open", async (t) => {
    let opened = 0;
    const fs = {
      ...realDiskFs,
      async openRead(path: string) {
        const handle = await realDiskFs.openRead(path);
        opened++;
        const close = handle.close.bind(handle);
        handle.close = async () => {
          opened--;
          return close();
        };
        return handle;
      },
    };
    const store = openDiskStore({ root: join(await folder(t), "store"), fs });
    t.after(() => store[Symbol.asyncDispose]());
    await store.put(KEY, Buffer.from("four"));
    const other = await store.put(parseObjectKey("jobs/me/b.json"), Buffer.from("other"));

    await assert.rejects(store.getStream(KEY, { range: { start: 9 } }), hasKind("contract"));
    await assert.rejects(store.getStream(KEY, { ifMatch: other }), hasKind("conflict"));
    assert.equal(opened, 0);
  });

  test("no two keys share a path, even where case and Unicode form are ignored", () => {
    const segment = fc.string({ unit: "grapheme", minLength: 1, maxLength: 300 });
    const keys = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        let one: ObjectKey;
        let two: ObjectKey;
        try {
          [one, two] = [parseObjectKey(a), parseObjectKey(b)];
        } catch {
          return;
        }
        const plain = (key: ObjectKey): string => pathOfKey(key).toLowerCase().normalize("NFD");
        assert.equal(plain(one) === plain(two), a === b);
        assert.ok(
          pathOfKey(one)
            .split("/")
            .every((name) => name.length <= 255 && name !== ".."),
        );
      }),
    );
  });

  test("one job's objects are listed without reading the names of all jobs", async (t) => {
    const root = join(await folder(t), "store");
    const read: string[] = [];
    const fs = {
      ...realDiskFs,
      async names(path: string) {
        read.push(relative(root, path));
        return realDiskFs.names(path);
      },
    };
    const store = openDiskStore({ root, fs });
    for (const job of ["one", "two", "three"])
      await store.put(parseObjectKey(`jobs/me/${job}/items/a.json`), Buffer.from("x"));
    read.length = 0;

    const found = await listed(store, "jobs/me/two/");

    assert.deepEqual(found, ["jobs/me/two/items/a.json"]);
    assert.deepEqual(read, ["jobs/me/two", "jobs/me/two/items"]);
    assert.deepEqual(await listed(store, "jobs/me/four/"), []);
    await store[Symbol.asyncDispose]();
  });

  test("a listing has exactly the keys that begin with its prefix, in order, whatever their names", async (t) => {
    const part = fc.constantFrom(
      "a",
      "ab",
      "B",
      "é",
      ".x",
      "a.b",
      "%",
      "l".repeat(160),
      "m".repeat(300),
    );
    const key = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key, { minLength: 1, maxLength: 8 }),
        fc.nat(),
        async (texts, at) => {
          const store = openDiskStore({ root: await mkdtemp(join(await folder(t), "store-")) });
          for (const text of texts)
            await store.put(parseObjectKey(text), Buffer.from("x"), { durability: "recomputable" });
          const some = texts[at % texts.length] ?? "";
          const prefix = [...some].slice(0, at % ([...some].length + 1)).join("");

          const wanted = texts
            .filter((text) => text.startsWith(prefix))
            .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
          assert.deepEqual(await listed(store, prefix), wanted);
          await store[Symbol.asyncDispose]();
        },
      ),
      { numRuns: 60 },
    );
  });

  test("a process killed in the middle of a put leaves nothing visible", async (t) => {
    const root = join(await folder(t), "store");
    const script = `import { openDiskStore } from ${SELF};
      const store = openDiskStore({ root: ${JSON.stringify(root)} });
      async function* slow() { for (;;) { yield Buffer.alloc(1 << 20); await new Promise((r) => setTimeout(r, 5)); console.log("."); } }
      process.stdout.on("error", () => {});
      setTimeout(() => process.kill(process.pid, "SIGKILL"), 200);
      await store.putStream("jobs/me/a.json", slow());`;

    const { signal, out } = await runChild(script);

    assert.equal(signal, "SIGKILL");
    assert.match(out, /\./);
    const store = openDiskStore({ root });
    assert.equal(await store.head(KEY), undefined);
    await store.put(KEY, Buffer.from("x"), { ifMatch: null });
    await store[Symbol.asyncDispose]();
  });

  test("two processes that count up one object by compare-and-swap lose no step", async (t) => {
    const root = join(await folder(t), "store");
    const store = openDiskStore({ root });
    await store.put(KEY, Buffer.from("0"));
    const script = `import { openDiskStore } from ${SELF};
      const store = openDiskStore({ root: ${JSON.stringify(root)} });
      for (let done = 0; done < 100; ) {
        const { body, etag } = await store.get("jobs/me/a.json");
        const next = Buffer.from(String(Number(Buffer.from(body)) + 1));
        await store.put("jobs/me/a.json", next, { ifMatch: etag, durability: "recomputable" }).then(() => done++, (error) => { if (error.kind !== "conflict") throw error; });
      }`;

    const ends = await Promise.all([runChild(script), runChild(script)]);

    assert.deepEqual(
      ends.map(({ code }) => code),
      [0, 0],
    );
    assert.equal(Buffer.from((await store.get(KEY)).body).toString(), "200");
    await store[Symbol.asyncDispose]();
  });

  test("a job's folder goes with its last object, and comes again with the next", async (t) => {
    const root = join(await folder(t), "store");
    const store = openDiskStore({ root });
    const [first, second] = ["first", "second"].map((name) =>
      parseObjectKey(`inbox/batch/me/a-job/${name}.1.json`),
    ) as [ObjectKey, ObjectKey];
    const shown = (): string[] => readdirSync(join(root, "inbox", "batch", "me"));
    await store.put(first, Buffer.from("1"));
    await store.put(second, Buffer.from("2"));

    await store.delete(first);
    assert.deepEqual(shown(), ["a-job"]);
    await store.delete(second);
    assert.deepEqual(shown(), []);
    await store.put(first, Buffer.from("3"), { ifMatch: null });

    assert.equal(Buffer.from((await store.get(first)).body).toString(), "3");
    await store[Symbol.asyncDispose]();
  });

  test("an object is told of once it can be read, while its name is still being flushed", async (t) => {
    const told = Promise.withResolvers<string>();
    const flushed: string[] = [];
    const fs: DiskFs = {
      ...realDiskFs,
      async syncFolder(path) {
        await told.promise;
        flushed.push(basename(path));
        return realDiskFs.syncFolder(path);
      },
    };
    const store = openDiskStore({ root: join(await folder(t), "store"), fs });
    const read = async (): Promise<string> => Buffer.from((await store.get(KEY)).body).toString();

    await store.put(KEY, Buffer.from("here"), { onVisible: () => told.resolve(read()) });

    assert.equal(await told.promise, "here");
    assert.ok(flushed.includes("me"));
    await store[Symbol.asyncDispose]();
  });

  test("a folder that is made while its parent is flushed for another has its name flushed, too", async (t) => {
    const root = join(await folder(t), "store");
    const first = Promise.withResolvers<void>();
    const flushes: string[][] = [];
    const fs: DiskFs = {
      ...realDiskFs,
      async syncFolder(path) {
        if (basename(path) === "me") {
          // What is there when a flush begins is what it is good for.
          flushes.push(readdirSync(path));
          if (flushes.length === 1) await first.promise;
        }
        return realDiskFs.syncFolder(path);
      },
    };
    const store = openDiskStore({ root, fs });
    const [one, two] = ["one", "two"].map((job) =>
      parseObjectKey(`inbox/batch/me/${job}/a.1.json`),
    );
    assert.ok(one && two);

    const puts = [store.put(one, Buffer.from("1"))];
    while (flushes.length === 0) await new Promise((resolve) => setImmediate(resolve));
    puts.push(store.put(two, Buffer.from("2")));
    await new Promise((resolve) => setImmediate(resolve));
    first.resolve();
    await Promise.all(puts);

    assert.deepEqual(flushes, [["one"], ["one", "two"]]);
    await store[Symbol.asyncDispose]();
  });

  test("what is copied again to where it is leaves nothing beside it", async (t) => {
    const root = join(await folder(t), "store");
    const store = openDiskStore({ root });
    const copy = parseObjectKey("results/me/job/item/out.txt");
    await store.put(KEY, Buffer.from("said"));

    for (const durability of ["recomputable", "recomputable", "synced"] as const) {
      await store.copy(KEY, copy, { durability });
    }
    const { etag } = (await store.head(copy)) ?? {};
    assert.ok(etag);
    await store.copy(KEY, copy, { ifMatch: etag });

    assert.equal(Buffer.from((await store.get(copy)).body).toString(), "said");
    await store[Symbol.asyncDispose]();
    assert.deepEqual(readdirSync(join(root, ".tmp")), []);
  });

  test("puts that come while their folder is flushed share the next flush, and none returns before it", async (t) => {
    const first = Promise.withResolvers<void>();
    const flushes: string[][] = [];
    const fs: DiskFs = {
      ...realDiskFs,
      async syncFolder(path) {
        if (basename(path) !== "items") return realDiskFs.syncFolder(path);
        flushes.push(readdirSync(path));
        if (flushes.length === 1) await first.promise;
      },
    };
    const store = openDiskStore({ root: join(await folder(t), "store"), fs });
    const ended: string[] = [];
    const put = async (name: string): Promise<void> => {
      await store.put(parseObjectKey(`jobs/me/job/items/${name}.json`), Buffer.from(name));
      ended.push(name);
    };

    const puts = [put("a")];
    while (flushes.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const name of ["b", "c", "d"]) {
      puts.push(put(name));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.deepEqual([flushes, ended], [[["a.json"]], []]);
    first.resolve();
    await Promise.all(puts);

    assert.deepEqual(flushes, [["a.json"], ["a.json", "b.json", "c.json", "d.json"]]);
    await store[Symbol.asyncDispose]();
  });

  test("processes that put and delete in one folder at once never find it gone", async (t) => {
    const root = join(await folder(t), "store");
    const script = (name: string): string => `import { openDiskStore } from ${SELF};
      const store = openDiskStore({ root: ${JSON.stringify(root)} });
      const key = "outbox/me/a-job/${name}.json";
      for (let turn = 0; turn < 300; turn++) {
        const durability = turn % 10 === 0 ? "synced" : "recomputable";
        await store.put(key, Buffer.from("x"), { durability, ...(turn % 2 && { ifMatch: null }) });
        if ((await store.head(key)) === undefined) throw new Error("lost");
        await store.delete(key, { durability });
      }`;

    const ends = await Promise.all(["one", "two", "three"].map((name) => runChild(script(name))));

    assert.deepEqual(
      ends.map(({ code }) => code),
      [0, 0, 0],
    );
    assert.deepEqual(readdirSync(join(root, "outbox", "me")), []);
  });

  test("after a power cut, what was put into a folder that had been taken away is there", async (t) => {
    const root = join(await folder(t), "store");
    const power = openPowerLossFs(realDiskFs, root);
    const store = openDiskStore({ root, fs: power.fs });
    const key = parseObjectKey("outbox/me/a-job/message.json");
    await store.put(key, Buffer.from("first"));
    await store.delete(key, { durability: "recomputable" });
    await store.put(key, Buffer.from("second"));

    power.crash();

    const after = openDiskStore({ root });
    assert.equal(Buffer.from((await after.get(key)).body).toString(), "second");
    await after[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });

  test("after a power cut, what was put synced is there, and nothing under a key is torn", async (t) => {
    const dir = await folder(t);
    const root = join(dir, "store");
    const power = openPowerLossFs(realDiskFs, root);
    const store = openDiskStore({ root, fs: power.fs });
    await store.put(KEY, Buffer.from("evidence"));
    const job = parseObjectKey("jobs/me/new-job/items/b.json");
    await store.put(job, Buffer.from("deep"));
    await store.put(job, Buffer.from("deeper"), { ifMatch: (await store.get(job)).etag });

    power.crash();

    const after = openDiskStore({ root });
    assert.equal(Buffer.from((await after.get(KEY)).body).toString(), "evidence");
    assert.equal(Buffer.from((await after.get(job)).body).toString(), "deeper");
    await after[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });

  test("after a power cut, a swap that was to be whole is the new version or the old one", async (t) => {
    const root = join(await folder(t), "store");
    const power = openPowerLossFs(realDiskFs, root);
    const store = openDiskStore({ root, fs: power.fs });
    const old = await store.put(KEY, Buffer.from("queued"));
    await store.put(KEY, Buffer.from("claimed"), { ifMatch: old, durability: "whole" });

    power.crash();

    const after = openDiskStore({ root });
    const found = Buffer.from((await after.get(KEY)).body).toString();
    assert.ok(["queued", "claimed"].includes(found), found);
    await after[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });

  test("after a power cut, a recomputable object is whole, old, or gone", async (t) => {
    const root = join(await folder(t), "store");
    const power = openPowerLossFs(realDiskFs, root);
    const store = openDiskStore({ root, fs: power.fs });
    await store.put(KEY, Buffer.from("anything"), { durability: "recomputable" });

    power.crash();

    const after = openDiskStore({ root });
    const found = await after.head(KEY);
    assert.ok(found === undefined || found.sizeBytes === 0 || found.sizeBytes === 8);
    await after[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });

  const codes: [code: string, kind: "transient" | "denied"][] = [
    ["ENOSPC", "transient"],
    ["EDQUOT", "transient"],
    ["EROFS", "denied"],
    ["EACCES", "denied"],
    ["EIO", "transient"],
    ["EMFILE", "transient"],
  ];
  for (const [code, kind] of codes) {
    test(`${code} in a put is ${kind}, says what to do, and leaves the old object`, async (t) => {
      const root = join(await folder(t), "store");
      let isBroken = false;
      const fs = {
        ...realDiskFs,
        async writeNew(path: string, body: Uint8Array, ...how: [boolean, boolean?]): Promise<void> {
          await realDiskFs.writeNew(path, isBroken ? body.subarray(0, 1) : body, ...how);
          if (isBroken) throw Object.assign(new Error(code), { code });
        },
      };
      const store = openDiskStore({ root, fs });
      await store.put(KEY, Buffer.from("old"));
      isBroken = true;

      const put = store.put(KEY, Buffer.from("new"));

      await assert.rejects(put, (error) => hasKind(kind)(error) && error.hint !== undefined);
      assert.equal(Buffer.from((await store.get(KEY)).body).toString(), "old");
      await store[Symbol.asyncDispose]();
      assert.deepEqual(readdirSync(join(root, ".tmp")), []);
    });
  }

  test("a root that can't be a folder says so", async (t) => {
    const dir = await folder(t);
    await writeFile(join(dir, "file"), "in the way");

    assert.throws(
      () => openDiskStore({ root: join(dir, "file", "store") }),
      hasKind("config", "denied"),
    );
  });
});
