import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { describe as describeLook, dropFiles, translate } from "./drop-files.ts";

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-files-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

describe("the shared folders", () => {
  test("tell files, folders, links and other things apart, and follow nothing", async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, "file"), "x");
    mkdirSync(join(dir, "folder"));
    symlinkSync("/etc/passwd", join(dir, "link"));
    execFileSync("mkfifo", [join(dir, "pipe")]);

    const kinds = Object.fromEntries(
      (await dropFiles.list(dir)).map(({ name, kind }) => [name, kind]),
    );

    assert.deepEqual(kinds, { file: "file", folder: "folder", link: "link", pipe: "other" });
    assert.equal(dropFiles.look(join(dir, "link"))?.kind, "link");
    assert.equal(dropFiles.look(join(dir, "nothing")), undefined);
    for (const name of ["folder", "link", "pipe"]) {
      await assert.rejects(dropFiles.open(join(dir, name)), hasKind("contract"), name);
    }
  });

  test("an open file is looked at itself, whatever its name is by now", async (t) => {
    const dir = folder(t);
    const path = join(dir, "a.mp4");
    writeFileSync(path, "first");
    const before = dropFiles.look(path);
    await using file = await dropFiles.open(path);
    rmSync(path);
    writeFileSync(path, "second and longer");

    assert.deepEqual(await file.look(), before);
    assert.equal(Buffer.from(await file.read(0, 100)).toString(), "first");
    assert.equal(Buffer.from(await file.read(3, 100)).toString(), "st");
  });

  test("a last name that is taken is refused, and both files stay", async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, ".clipscribe-1"), "mine");
    writeFileSync(join(dir, "talk.mp4"), "theirs");
    mkdirSync(join(dir, ".clipscribe-2"));
    mkdirSync(join(dir, "talks"));

    for (const [from, to] of [
      [".clipscribe-1", "talk.mp4"],
      [".clipscribe-2", "talks"],
    ] as const) {
      await assert.rejects(dropFiles.nameNew(join(dir, from), join(dir, to)), hasKind("conflict"));
    }
    await assert.rejects(dropFiles.writeNew(join(dir, "talk.mp4"), "x"), hasKind("conflict"));

    assert.equal(readFileSync(join(dir, "talk.mp4"), "utf8"), "theirs");
    assert.equal(readFileSync(join(dir, ".clipscribe-1"), "utf8"), "mine");
  });

  test("to another file system a file is copied, compared, and only then removed", async (t) => {
    const dir = folder(t);
    if (!existsSync("/dev/shm")) return t.skip("there is no second file system here");
    const other = mkdtempSync("/dev/shm/clipscribe-files-");
    t.after(() => rmSync(other, { recursive: true, force: true }));
    const body = Buffer.alloc(3_000_000, 7);
    writeFileSync(join(dir, "a.mp4"), body);
    const before = dropFiles.look(join(dir, "a.mp4"));

    await dropFiles.rename(join(dir, "a.mp4"), join(other, ".clipscribe-1"));

    assert.deepEqual(readdirSync(dir), []);
    assert.deepEqual(readFileSync(join(other, ".clipscribe-1")), body);
    const after = dropFiles.look(join(other, ".clipscribe-1"));
    // A copy is given its time to the millisecond.
    const apartNs = (after?.mtimeNs ?? 0n) - (before?.mtimeNs ?? 0n);
    assert.ok(apartNs > -2_000_000n && apartNs < 2_000_000n, `${apartNs} ns apart`);
  });

  test("a file that iCloud has taken off a Mac's disk is a placeholder; a hole elsewhere is none", (t) => {
    const path = join(folder(t), "hole.mp4");
    writeFileSync(path, "");
    truncateSync(path, 1_000_000);
    const info = statSync(path, { bigint: true });

    assert.equal(describeLook(info, "darwin").isPlaceholder, true);
    assert.equal(describeLook(info, "linux").isPlaceholder, false);
    writeFileSync(path, "bytes");
    assert.equal(describeLook(statSync(path, { bigint: true }), "darwin").isPlaceholder, false);
  });

  test("what may not be read is denied, what is gone is missing, a full disk passes", async (t) => {
    const dir = folder(t);
    await assert.rejects(dropFiles.open(join(dir, "gone")), hasKind("missing"));
    await assert.rejects(dropFiles.list(join(dir, "gone")), hasKind("missing"));
    const kinds = Object.fromEntries(
      ["ENOSPC", "EDQUOT", "EIO", "EACCES", "EROFS", "ELOOP", "EEXIST"].map((code) => [
        code,
        translate(Object.assign(new Error(code), { code }), "/x").kind,
      ]),
    );
    assert.deepEqual(kinds, {
      ENOSPC: "transient",
      EDQUOT: "transient",
      EIO: "transient",
      EACCES: "denied",
      EROFS: "denied",
      ELOOP: "contract",
      EEXIST: "conflict",
    });
    if (process.getuid?.() === 0) return;
    writeFileSync(join(dir, "secret"), "x");
    chmodSync(join(dir, "secret"), 0);
    await assert.rejects(dropFiles.open(join(dir, "secret")), hasKind("denied"));
  });
});
