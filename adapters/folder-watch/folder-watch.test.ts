import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import type { watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import type { FolderWatch, WatchMode } from "../../ports/folder-watch.ts";
import { openFolderWatch } from "./folder-watch.ts";
import type { FolderWatchOptions } from "./folder-watch.ts";
import { networkFileSystemOf } from "./mount-kind.ts";

interface Watched {
  root: string;
  hints: Map<string, number>;
  modes: WatchMode[];
  troubles: (Error | null)[];
  watch: FolderWatch;
  until(condition: () => boolean): Promise<void>;
}

async function watching(
  t: TestContext,
  options: FolderWatchOptions = {},
  prepare: (root: string) => void = () => undefined,
): Promise<Watched> {
  const root = mkdtempSync(join(tmpdir(), "clipscribe-watch-"));
  prepare(root);
  const hints = new Map<string, number>();
  const modes: WatchMode[] = [];
  const troubles: (Error | null)[] = [];
  const opened = openFolderWatch(
    root,
    {
      onHint: (path) => hints.set(path, (hints.get(path) ?? 0) + 1),
      onMode: (mode) => modes.push(mode),
      onTrouble: (error) => troubles.push(error),
    },
    options,
  );
  t.after(async () => {
    await opened[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });
  await opened.ready;
  return {
    root,
    hints,
    modes,
    troubles,
    watch: opened,
    async until(condition) {
      for (let tries = 0; tries < 500 && !condition(); tries++) await delay(10);
      assert.ok(condition(), `hinted: ${[...hints.keys()].slice(0, 20).join(", ")}`);
    },
  };
}

/** Only events: no rescan within the time of a test. */
const EVENTS: FolderWatchOptions = { rescanMs: 600_000 };
/** A system that sends no events, or loses them all. */
const deaf = (() => ({ on: () => undefined, close: () => undefined })) as unknown as typeof watch;

describe("watching a folder", () => {
  test("what is there at the start counts, in folders too", async (t) => {
    const { hints } = await watching(t, EVENTS, (root) => {
      mkdirSync(join(root, "talks", "day 1"), { recursive: true });
      writeFileSync(join(root, "a.mp4"), "a");
      writeFileSync(join(root, "talks", "day 1", "b.mp4"), "b");
    });

    assert.deepEqual([...hints.keys()].toSorted(), [
      "a.mp4",
      "talks",
      "talks/day 1",
      "talks/day 1/b.mp4",
    ]);
  });

  test("events tell of new, renamed, grown and removed files, and of what comes into new folders", async (t) => {
    const w = await watching(t, EVENTS);

    writeFileSync(join(w.root, "a.mp4"), "a");
    await w.until(() => w.hints.has("a.mp4"));
    renameSync(join(w.root, "a.mp4"), join(w.root, "b.mp4"));
    await w.until(() => w.hints.has("b.mp4"));
    const before = w.hints.get("b.mp4") ?? 0;
    writeFileSync(join(w.root, "b.mp4"), "more", { flag: "a" });
    await w.until(() => (w.hints.get("b.mp4") ?? 0) > before);
    mkdirSync(join(w.root, "new", "deep"), { recursive: true });
    writeFileSync(join(w.root, "new", "deep", "c.mp4"), "c");
    await w.until(() => w.hints.has("new/deep/c.mp4"));
    writeFileSync(join(w.root, "new", "deep", "later.mp4"), "d");
    await w.until(() => w.hints.has("new/deep/later.mp4"));
  });

  test("a folder that is replaced by another of its name is watched like the first", async (t) => {
    const w = await watching(t, EVENTS, (root) => mkdirSync(join(root, "talks")));
    const aside = mkdtempSync(join(tmpdir(), "clipscribe-aside-"));
    t.after(() => rmSync(aside, { recursive: true, force: true }));

    renameSync(join(w.root, "talks"), join(aside, "old"));
    mkdirSync(join(aside, "new"));
    writeFileSync(join(aside, "new", "a.mp4"), "a");
    renameSync(join(aside, "new"), join(w.root, "talks"));
    await w.until(() => w.hints.has("talks/a.mp4"));
    writeFileSync(join(w.root, "talks", "b.mp4"), "b");

    await w.until(() => w.hints.has("talks/b.mp4"));
  });

  test("without a single event the rescan finds what came, went and changed into a folder", async (t) => {
    const w = await watching(t, { watchFolder: deaf, rescanMs: 20 }, (root) => {
      mkdirSync(join(root, "talks"));
      writeFileSync(join(root, "old.mp4"), "o");
      writeFileSync(join(root, "talks", "x.mp4"), "x");
    });
    w.hints.clear();

    writeFileSync(join(w.root, "talks", "y.mp4"), "y");
    rmSync(join(w.root, "old.mp4"));
    mkdirSync(join(w.root, "more"));
    writeFileSync(join(w.root, "more", "z.mp4"), "z");

    await w.until(() =>
      ["talks/y.mp4", "old.mp4", "more", "more/z.mp4"].every((path) => w.hints.has(path)),
    );
    assert.ok(!w.hints.has("talks/x.mp4"));
  });

  test("a file system that keeps no time of change of folders is listed whole", async (t) => {
    const w = await watching(t, { watchFolder: deaf, rescanMs: 20, fullRescanMs: 40 });
    const hourAgo = new Date(Date.now() - 3_600_000);
    utimesSync(w.root, hourAgo, hourAgo);
    await delay(60);

    writeFileSync(join(w.root, "a.mp4"), "a");
    utimesSync(w.root, hourAgo, hourAgo);

    await w.until(() => w.hints.has("a.mp4"));
  });

  test("a network file system is scanned, and events are not even asked for", async (t) => {
    let asked = 0;
    const watchFolder = (() => {
      asked++;
      return { on: () => undefined, close: () => undefined };
    }) as unknown as typeof watch;
    const w = await watching(t, { network: "SMB", rescanMs: 20, watchFolder });

    writeFileSync(join(w.root, "a.mp4"), "a");

    await w.until(() => w.hints.has("a.mp4"));
    assert.equal(asked, 0);
    assert.deepEqual(w.watch.mode, { by: "scanning", why: "it lies on SMB" });
  });

  for (const code of ["ENOSPC", "EMFILE"]) {
    test(`at the limit (${code}) it falls back to scanning, says so once, and misses nothing`, async (t) => {
      const watchFolder = (() => {
        throw Object.assign(new Error(code), { code });
      }) as unknown as typeof watch;
      const w = await watching(t, { rescanMs: 20, watchFolder }, (root) => {
        mkdirSync(join(root, "one"));
        mkdirSync(join(root, "two"));
      });

      writeFileSync(join(w.root, "one", "a.mp4"), "a");

      await w.until(() => w.hints.has("one/a.mp4"));
      assert.equal(w.modes.length, 1);
      assert.match(JSON.stringify(w.modes), new RegExp(code));
    });
  }

  test("a burst of files at once is hinted whole", async (t) => {
    const w = await watching(t);

    for (let at = 0; at < 5_000; at++) writeFileSync(join(w.root, `${at}.mp4`), "");

    await w.until(() => w.hints.size >= 5_000);
  });

  test("a folder that goes and comes back is said to be unreadable once, and watched again", async (t) => {
    const w = await watching(t, { rescanMs: 20 });

    rmSync(w.root, { recursive: true });
    await w.until(() => w.troubles.length === 1);
    mkdirSync(w.root);
    writeFileSync(join(w.root, "a.mp4"), "a");

    await w.until(() => w.hints.has("a.mp4") && w.troubles.length === 2);
    assert.equal(w.troubles[1], null);
  });

  test("where one handle watches a whole tree, folders need none of their own", async (t) => {
    const asked: string[] = [];
    const watchFolder = ((path: string, { recursive }: { recursive: boolean }) => {
      asked.push(`${path} ${recursive}`);
      return { on: () => undefined, close: () => undefined };
    }) as unknown as typeof watch;
    const { root } = await watching(t, { ...EVENTS, platform: "darwin", watchFolder }, (dir) =>
      mkdirSync(join(dir, "talks")),
    );

    assert.deepEqual(asked, [`${root} true`]);
  });
});

describe("the kind of a mount", () => {
  const linux = (type: number) => ({
    platform: "linux" as const,
    typeOf: async () => Promise.resolve(type),
    listMounts: async () => Promise.resolve(""),
  });
  const mac = {
    platform: "darwin" as const,
    typeOf: async () => Promise.resolve(0),
    listMounts: async () =>
      Promise.resolve(
        "/dev/disk3s1s1 on / (apfs, sealed, local)\n//me@nas/media on /Volumes/My media (smbfs, nodev)\n",
      ),
  };

  test("Linux: by the type that statfs gives", async () => {
    assert.equal(await networkFileSystemOf("/inbox", linux(0x6969)), "NFS");
    assert.equal(await networkFileSystemOf("/inbox", linux(0xfe534d42)), "SMB");
    assert.equal(await networkFileSystemOf("/inbox", linux(0xef53)), null);
  });

  test("macOS: by the mount that a path lies on", async () => {
    assert.equal(await networkFileSystemOf("/Volumes/My media/inbox", mac), "smbfs");
    assert.equal(await networkFileSystemOf("/Users/me/ClipScribe/inbox", mac), null);
  });

  test("where nothing tells, it counts as local", async () => {
    const broken = { ...linux(0), typeOf: async () => Promise.reject(new Error("EIO")) };
    assert.equal(await networkFileSystemOf("/inbox", broken), null);
  });
});
