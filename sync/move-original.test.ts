import assert from "node:assert/strict";
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { dropFiles } from "../adapters/drop-files/drop-files.ts";
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { DropFiles } from "../ports/drop-files.ts";
import { fileFingerprint } from "./fingerprint.ts";
import { companionName, moveOriginal, versionName } from "./move-original.ts";
import type { Moved } from "./move-original.ts";

function world(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-move-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const [inbox, done] = [join(dir, "inbox"), join(dir, "done")];
  for (const folder of [inbox, done]) mkdirSync(folder);
  const path = join(inbox, "talk.mp4");
  writeFileSync(path, "talk");
  const look = dropFiles.look(path);
  assert.ok(look);
  const fingerprint = fileFingerprint(look);
  let target: string | null = null;
  const move = async (files: DropFiles = dropFiles, companions: string[] = []): Promise<Moved> =>
    moveOriginal({
      files,
      id: 7,
      from: path,
      folder: done,
      fingerprint,
      sha256: sha256Of("talk"),
      companions,
      target,
      noteTarget: (name) => (target = name),
      signal: t.signal,
    });
  return { dir, inbox, done, path, move };
}

describe("moving an original", () => {
  test("gives it its name in done; a name that is taken is never written over", async (t) => {
    const w = world(t);
    writeFileSync(join(w.done, "talk.mp4"), "an older talk");

    const moved = await w.move();

    assert.deepEqual(moved, { result: "moved", target: join(w.done, "talk (2).mp4") });
    assert.equal(readFileSync(join(w.done, "talk.mp4"), "utf8"), "an older talk");
    assert.deepEqual(readdirSync(w.inbox), []);
  });

  test("what belongs to it goes with it, under its new name", async (t) => {
    const w = world(t);
    writeFileSync(join(w.done, "talk.mp4"), "older");
    const companions = ["talk.en.vtt", "talk.mp4.yaml"].map((name) => join(w.inbox, name));
    for (const companion of companions) writeFileSync(companion, "beside");

    await w.move(dropFiles, companions);

    assert.deepEqual(readdirSync(w.done).toSorted(), [
      "talk (2).en.vtt",
      "talk (2).mp4",
      "talk (2).mp4.yaml",
      "talk.mp4",
    ]);
  });

  test("another file under its name stays where it is", async (t) => {
    const w = world(t);
    writeFileSync(w.path, "another talk");

    assert.equal((await w.move()).result, "gone");
    assert.equal(readFileSync(w.path, "utf8"), "another talk");
  });

  test("one that is changed in the very moment of the move goes back", async (t) => {
    const w = world(t);
    const late: DropFiles = {
      ...dropFiles,
      async rename(from, to) {
        writeFileSync(from, "changed just now");
        await dropFiles.rename(from, to);
      },
    };

    assert.equal((await w.move(late)).result, "gone");
    assert.equal(readFileSync(w.path, "utf8"), "changed just now");
    assert.deepEqual(readdirSync(w.done), []);
  });

  test("going back, it lies beside whoever has taken its name meanwhile", async (t) => {
    const w = world(t);
    const late: DropFiles = {
      ...dropFiles,
      async rename(from, to) {
        writeFileSync(from, "changed just now");
        await dropFiles.rename(from, to);
        writeFileSync(from, "a new one");
      },
    };

    await w.move(late);

    assert.equal(readFileSync(w.path, "utf8"), "a new one");
    assert.equal(readFileSync(join(w.inbox, "talk (2).mp4"), "utf8"), "changed just now");
  });

  test("touched but not changed, it is what was hashed", async (t) => {
    const w = world(t);
    utimesSync(w.path, new Date(), new Date(1_000));

    assert.equal((await w.move()).result, "moved");
  });

  test("gone, it is said to be gone", async (t) => {
    const w = world(t);
    rmSync(w.path);

    assert.deepEqual(await w.move(), { result: "gone", why: "it was taken away" });
  });

  for (const step of ["rename", "nameNew", "sync"] as const) {
    for (const when of ["before", "after"] as const) {
      test(`cut off ${when} ${step}, it goes on: once in done, nothing left over`, async (t) => {
        const w = world(t);
        const cut: DropFiles = {
          ...dropFiles,
          async [step](from: string, to: string): Promise<void> {
            if (when === "after") await dropFiles[step](from, to);
            throw new ClipscribeError("transient", "cut off");
          },
        };
        await assert.rejects(w.move(cut));

        const moved = await w.move();

        assert.equal(moved.result, "moved");
        assert.deepEqual(readdirSync(w.done), ["talk.mp4"]);
        assert.deepEqual(readdirSync(w.inbox), []);
      });
    }
  }

  test("cut off between the two steps of its last name, it has one name and not two", async (t) => {
    const w = world(t);
    const staged = join(w.done, ".clipscribe-7");
    renameSync(w.path, staged);
    linkSync(staged, join(w.done, "talk.mp4"));

    assert.deepEqual(await w.move(), { result: "moved", target: join(w.done, "talk.mp4") });
    assert.deepEqual(readdirSync(w.done), ["talk.mp4"]);
    assert.equal(statSync(join(w.done, "talk.mp4")).nlink, 1);
  });

  test("a new file of its name that came after the move is not taken for it", async (t) => {
    const w = world(t);
    const cut: DropFiles = {
      ...dropFiles,
      sync: () => Promise.reject(new ClipscribeError("transient", "cut off")),
    };
    await assert.rejects(w.move(cut));
    writeFileSync(w.path, "the next talk");

    const moved = await w.move();

    assert.equal(moved.result, "moved");
    assert.equal(readFileSync(w.path, "utf8"), "the next talk");
    assert.equal(readFileSync(join(w.done, "talk.mp4"), "utf8"), "talk");
  });
});

describe("names of versions", () => {
  test("fit any file system, with room for what stands beside them", () => {
    for (const name of [
      "a.mp4",
      `${"x".repeat(251)}.mp4`,
      `${"ü".repeat(125)}.mp4`,
      "\u{1f3a5}".repeat(62),
    ]) {
      for (const version of [1, 2, 9_999]) {
        const made = versionName(name, version);
        assert.ok(Buffer.byteLength(`${made}.reason.txt`) <= 255, made);
        assert.ok(made.isWellFormed());
      }
    }
    assert.equal(versionName("talk.mp4", 1), "talk.mp4");
    assert.equal(versionName("talk.mp4", 2), "talk (2).mp4");
    assert.equal(versionName("folder", 3), "folder (3)");
  });

  test("captions follow the stem, options the whole name", () => {
    const name = (companion: string): string =>
      companionName("/in/talk.mp4", `/in/${companion}`, "/done/talk (2).mp4");
    assert.equal(name("talk.mp4.yaml"), "talk (2).mp4.yaml");
    assert.equal(name("talk.en.vtt"), "talk (2).en.vtt");
  });
});
