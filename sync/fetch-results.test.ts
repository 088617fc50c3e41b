import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, hasKind } from "../core/errors.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Etag, GetOptions, ObjectStore, StoredStream } from "../ports/object-store.ts";
import { JOB, USER, publishItem } from "../samples/publish-item.ts";
import { fetchResults } from "./fetch-results.ts";
import { replaceFolder, sweepIncoming } from "./results-folder.ts";

const MEBIBYTE = 1024 * 1024;
const text = (value: string): Uint8Array => Buffer.from(value);

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-fetch-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Counts what is read, and can break a stream off, or damage it, a number of times. */
function watched(store: ObjectStore) {
  const seen = { bytes: 0, deletes: 0, cutAfter: Infinity, damage: 0 };
  const spoil = (body: Uint8Array): Uint8Array => {
    seen.bytes += body.length;
    if (seen.damage-- <= 0) return body;
    const copy = Uint8Array.from(body);
    copy[0] = (copy[0] ?? 0) ^ 1;
    return copy;
  };
  async function* stream({ body }: StoredStream): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      if (seen.bytes >= seen.cutAfter) throw new ClipscribeError("transient", "cut off");
      yield spoil(chunk);
    }
  }
  const changed: Partial<ObjectStore> = {
    async getStream(key, options) {
      const found = await store.getStream(key, options);
      return { ...found, body: stream(found) };
    },
    get: (async (key: ObjectKey, options: GetOptions = {}) => {
      const found = await store.get(key, options);
      // Of a file's bytes, that is: the manifest is asked for as a whole.
      if (options.range === undefined || found === undefined) return found;
      return { ...found, body: spoil(found.body) };
    }) as ObjectStore["get"],
    async delete(key, options) {
      seen.deletes++;
      await store.delete(key, options);
    },
  };
  return { seen, store: { ...store, ...changed } };
}

/** What is left of a publish when its blobs have expired. */
async function loseBlobs(
  store: ObjectStore,
  { job_id, item_id, manifest }: Awaited<ReturnType<typeof publishItem>>,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<void> {
  const keys = keysOf(USER);
  const named = Object.entries(files).map(([path, body]) => [path, sha256Of(body)] as const);
  if (manifest !== null) named.push(["manifest.json", manifest.sha256]);
  for (const [path, sha256] of named) {
    await store.copy(keys.blob(sha256), keys.result(job_id, item_id, path));
    await store.delete(keys.blob(sha256));
  }
}

describe("fetching results", () => {
  test("brings every file under its name, once", async (t) => {
    const dir = folder(t);
    const store = openMemoryStore();
    const files = { "report.md": text("# Report"), "clips/one.vtt": text("WEBVTT") };
    const state = await publishItem(store, "talk", files);

    const first = await fetchResults(store, USER, state, dir);
    const second = await fetchResults(store, USER, state, dir);

    assert.equal(first.folder, join(dir, JOB, "talk"));
    assert.deepEqual([first.isNew, second.isNew], [true, false]);
    assert.equal(readFileSync(join(first.folder, "clips", "one.vtt"), "utf8"), "WEBVTT");
    assert.deepEqual(readdirSync(join(dir, JOB)), ["talk"]);
  });

  test("takes the published copies where blobs are gone with their age", async (t) => {
    const dir = folder(t);
    const store = openMemoryStore();
    const files = { "report.md": text("# Report"), "sound.m4a": randomBytes(MEBIBYTE) };
    const state = await publishItem(store, "talk", files);
    await loseBlobs(store, state, files);

    const { folder: fetched } = await fetchResults(store, USER, state, dir);

    assert.equal(readFileSync(join(fetched, "report.md"), "utf8"), "# Report");
    assert.deepEqual(readFileSync(join(fetched, "sound.m4a")), files["sound.m4a"]);
  });

  test("a copy that is no longer one counts for nothing", async (t) => {
    const dir = folder(t);
    const store = openMemoryStore();
    for (const [item, name, body] of [
      ["small", "report.md", text("# Report")],
      ["large", "sound.m4a", randomBytes(MEBIBYTE)],
    ] as const) {
      const state = await publishItem(store, item, { [name]: body });
      await loseBlobs(store, state, { [name]: body });
      const key = keysOf(USER).result(state.job_id, state.item_id, name);
      await store.put(key, Buffer.from(body).fill(120));

      await assert.rejects(fetchResults(store, USER, state, dir), hasKind("missing"));
      assert.deepEqual(readdirSync(join(dir, JOB)), []);
    }
  });

  test("goes on in the middle of a file where it was cut off", async (t) => {
    const dir = folder(t);
    const { seen, store } = watched(openMemoryStore());
    const audio = randomBytes(8 * MEBIBYTE);
    const state = await publishItem(store, "talk", { "audio.m4a": audio });
    seen.cutAfter = 5 * MEBIBYTE;
    await assert.rejects(fetchResults(store, USER, state, dir), hasKind("transient"));
    assert.ok(!existsSync(join(dir, JOB, "talk")));
    seen.cutAfter = Infinity;
    seen.bytes = 0;

    const { folder: place } = await fetchResults(store, USER, state, dir);

    assert.equal(seen.bytes, 3 * MEBIBYTE);
    assert.deepEqual(readFileSync(join(place, "audio.m4a")), audio);
  });

  test("goes on where a process that died had come to, and trusts none of its bytes", async (t) => {
    const dir = folder(t);
    const { seen, store } = watched(openMemoryStore());
    const [whole, half, wrong] = [randomBytes(1_000), randomBytes(1_000), randomBytes(1_000)];
    const files = { "a.bin": whole, "b.bin": half, "c.bin": wrong };
    const state = await publishItem(store, "talk", files);
    const left = join(dir, JOB, ".incoming-4711-talk");
    mkdirSync(left, { recursive: true });
    writeFileSync(join(left, "a.bin"), whole);
    writeFileSync(join(left, "b.bin"), half.subarray(0, 400));
    writeFileSync(join(left, "c.bin"), Buffer.alloc(900));
    writeFileSync(join(left, "stranger.bin"), "of another publish");

    await sweepIncoming(dir, (pid) => pid === 4711);
    const { folder: place } = await fetchResults(store, USER, state, dir);

    assert.equal(seen.bytes, 600 + 100 + 1_000);
    for (const [name, body] of Object.entries(files)) {
      assert.deepEqual(readFileSync(join(place, name)), body);
    }
    assert.deepEqual(readdirSync(place).toSorted(), ["a.bin", "b.bin", "c.bin", "manifest.json"]);
  });

  test("a file that was damaged on its way is read once more, and the store's is left alone", async (t) => {
    const dir = folder(t);
    const { seen, store } = watched(openMemoryStore());
    const state = await publishItem(store, "talk", { "report.md": text("# Report") });
    seen.damage = 1;

    const { folder: place } = await fetchResults(store, USER, state, dir);

    assert.equal(readFileSync(join(place, "report.md"), "utf8"), "# Report");
    assert.equal(seen.deletes, 0);
  });

  test("one that is damaged in the store is given up and removed there; the earlier results stay", async (t) => {
    const dir = folder(t);
    const store = openMemoryStore();
    const before = await publishItem(store, "talk", { "report.md": text("before") });
    const { folder: place } = await fetchResults(store, USER, before, dir);
    const state = await publishItem(store, "talk", { "report.md": text("after") });
    const key = keysOf(USER).blob(sha256Of(text("after")));
    await store.put(key, text("AFTER"));

    await assert.rejects(fetchResults(store, USER, state, dir), hasKind("contract"));

    assert.equal(readFileSync(join(place, "report.md"), "utf8"), "before");
    assert.equal(await store.head(key), undefined);
    assert.deepEqual(readdirSync(join(dir, JOB)), ["talk"]);
  });

  test("a body without an end does not fill the disk", async (t) => {
    const dir = folder(t);
    const inner = openMemoryStore();
    const state = await publishItem(inner, "talk", { "audio.m4a": randomBytes(MEBIBYTE) });
    let written = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; written < 64 * MEBIBYTE; written += MEBIBYTE) yield Buffer.alloc(MEBIBYTE);
    }
    const store: ObjectStore = {
      ...inner,
      getStream: async (key) => ({
        key,
        etag: "x" as unknown as Etag,
        sizeBytes: 8,
        modifiedAt: new Date(),
        body: endless(),
      }),
    };

    await assert.rejects(fetchResults(store, USER, state, dir), hasKind("contract", "conflict"));

    assert.ok(written < 4 * MEBIBYTE);
  });
});

describe("results from a bucket that others write", () => {
  const names = [
    "../x",
    "../../x",
    "/etc/x",
    "C:\\x",
    "a/../../x",
    "a\\..\\x",
    "a\u0000b",
    ".hidden",
    "manifest.json",
    "Manifest.JSON",
    "",
    "a//b",
    "a/b/c/d",
  ];
  for (const name of names) {
    test(`a file called ${JSON.stringify(name)} is refused, and nothing is written`, async (t) => {
      const dir = folder(t);
      const store = openMemoryStore();
      const files = { "report.md": text("# Report") };
      const state = await publishItem(store, "talk", files, (manifest) => ({
        ...manifest,
        files: manifest.files.map((file) => ({ ...file, path: name })),
      }));

      await assert.rejects(fetchResults(store, USER, state, dir), hasKind("contract"));

      assert.deepEqual(readdirSync(dir, { recursive: true }), []);
    });
  }

  for (const pair of [
    ["a.md", "A.md"],
    ["a.md", "a.md/b.md"],
    ["clips/b.md", "clips"],
  ]) {
    test(`${pair.join(" and ")}, which some disks can't tell apart, are refused`, async (t) => {
      const dir = folder(t);
      const store = openMemoryStore();
      const files = Object.fromEntries(pair.map((name) => [name, text(name)]));
      const state = await publishItem(store, "talk", files);

      await assert.rejects(fetchResults(store, USER, state, dir), hasKind("contract"));
    });
  }

  test("a manifest that is another item's is refused", async (t) => {
    const dir = folder(t);
    const store = openMemoryStore();
    const other = await publishItem(store, "other", { "report.md": text("# Report") });
    const state = await publishItem(store, "talk", { "report.md": text("# Report") });

    const work = fetchResults(store, USER, { ...state, manifest: other.manifest }, dir);

    await assert.rejects(work, hasKind("contract"));
  });

  test("a manifest that is no JSON is refused", async (t) => {
    const dir = folder(t);
    const store = openMemoryStore();
    const state = await publishItem(store, "talk", {});
    const body = text("<html>Sign in to the network</html>");
    await store.put(keysOf(USER).blob(sha256Of(body)), body);
    const manifest = { sha256: sha256Of(body), size: body.length, run: 1 };

    const work = fetchResults(store, USER, { ...state, manifest }, dir);

    await assert.rejects(work, hasKind("contract"));
  });
});

describe("what a person changed in a results folder", () => {
  async function published(t: TestContext) {
    const dir = folder(t);
    const store = openMemoryStore();
    const first = await publishItem(store, "talk", { "report.md": text("first") });
    const { folder: place } = await fetchResults(store, USER, first, dir);
    const next = await publishItem(store, "talk", { "report.md": text("second") });
    return { dir, store, place, next };
  }

  test("stays beside the new results, and each time under a name of its own", async (t) => {
    const { dir, store, place, next } = await published(t);
    writeFileSync(join(place, "report.md"), "mine");

    const { keptAs } = await fetchResults(store, USER, next, dir);

    assert.equal(keptAs, `${place}.mine`);
    assert.equal(readFileSync(join(place, "report.md"), "utf8"), "second");
    assert.equal(readFileSync(join(`${place}.mine`, "report.md"), "utf8"), "mine");
    writeFileSync(join(place, "notes.txt"), "a file of my own");
    const third = await publishItem(store, "talk", { "report.md": text("third") });
    assert.equal((await fetchResults(store, USER, third, dir)).keptAs, `${place}.mine-2`);
  });

  test("a change in the last moment is seen: it is looked for after the folder was moved", async (t) => {
    const { dir, place } = await published(t);
    const incoming = join(dir, JOB, ".incoming-1-talk");
    mkdirSync(incoming);
    const open = join(place, "report.md");
    writeFileSync(open, "first, and then some");

    const keptAs = await replaceFolder(incoming, place);

    assert.equal(readFileSync(join(keptAs ?? "", "report.md"), "utf8"), "first, and then some");
  });

  test("comes back where the process died between the two renames", async (t) => {
    const { dir, place } = await published(t);
    writeFileSync(join(place, "report.md"), "mine");
    renameSync(place, join(dir, JOB, ".outgoing-4711-talk"));

    await sweepIncoming(dir, () => true);

    assert.equal(readFileSync(join(place, "report.md"), "utf8"), "mine");
  });

  test("is kept where the process died after them, and what nobody changed goes", async (t) => {
    const { dir, store, place, next } = await published(t);
    writeFileSync(join(place, "report.md"), "mine");
    renameSync(place, join(dir, JOB, ".outgoing-4711-talk"));
    await fetchResults(store, USER, next, dir);

    await sweepIncoming(dir, () => true);

    assert.equal(readFileSync(join(`${place}.mine`, "report.md"), "utf8"), "mine");
    renameSync(place, join(dir, JOB, ".outgoing-4712-talk"));
    await fetchResults(store, USER, next, dir);
    await sweepIncoming(dir, () => true);
    assert.deepEqual(readdirSync(join(dir, JOB)).toSorted(), ["talk", "talk.mine"]);
  });

  test("what a living process is at is left alone", async (t) => {
    const { dir } = await published(t);
    const name = ".incoming-4711-talk";
    mkdirSync(join(dir, JOB, name));

    await sweepIncoming(dir, () => false);

    assert.ok(readdirSync(join(dir, JOB)).includes(name));
  });

  test("what was half fetched is still there after any number of starts", async (t) => {
    const { dir } = await published(t);
    mkdirSync(join(dir, JOB, ".incoming-4711-other"));
    writeFileSync(join(dir, JOB, ".incoming-4711-other", "audio.m4a"), "half");

    for (let start = 0; start < 3; start++) await sweepIncoming(dir, () => true);

    const left = join(dir, JOB, ".incoming-0-other", "audio.m4a");
    assert.equal(readFileSync(left, "utf8"), "half");
  });
});
