import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import fc from "fast-check";

import { hasKind } from "../core/errors.ts";
import { JobId } from "../core/ids.ts";
import { hashSource } from "./hash-source.ts";
import { joinInside } from "./join-inside.ts";
import { listFiles, sidecarsOf } from "./list-files.ts";
import { assignItemIds, jobIdFor, jobIdForMany, newJobId } from "./plan-items.ts";
import { findUnchanged, snapshotPath, stampFile, writeSnapshot } from "./snapshot.ts";
import type { Asked } from "./snapshot.ts";

function folder(t: TestContext, ...names: string[]): string {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-sync-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const name of names) {
    mkdirSync(join(dir, name, ".."), { recursive: true });
    writeFileSync(join(dir, name), name);
  }
  return dir;
}

describe("joinInside", () => {
  test("whatever the name, the path stays inside or the name is refused", () => {
    const part = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("..", ".", "", "/", "\\", "C:", "\u0000", "a"),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        try {
          const path = joinInside("/results/job", parts.join("/"));
          assert.ok(path.startsWith("/results/job/"));
          assert.ok(!relative("/results/job", path).startsWith(".."));
        } catch (error) {
          assert.ok(hasKind("contract")(error));
        }
      }),
    );
  });

  for (const name of [
    "../x",
    "/etc/passwd",
    "C:\\x",
    "a/../../x",
    "\\\\host\\x",
    "a\u0000b",
    "",
    "a//b",
    ".",
  ]) {
    test(`${JSON.stringify(name)} is refused`, () => {
      assert.throws(() => joinInside("/results", name), hasKind("contract"));
    });
  }
});

describe("listing a folder", () => {
  test("takes media in order, with their captions; leaves temporary, hidden and other files alone", (t) => {
    const dir = folder(
      t,
      "b.mp4",
      "a.mp4",
      "a.vtt",
      "a.en.srt",
      "a-2.vtt",
      "sub/c.MP4",
      ".hidden.mp4",
      "x.mp4.part",
      "~$y.mp4",
      ".talk.mp4.icloud",
      "notes.docx",
    );

    const { media, ignored } = listFiles(dir, ["mp4"]);

    assert.deepEqual(
      media.map(({ name, sidecars }) => [name, sidecars.length]),
      [
        ["a.mp4", 2],
        ["b.mp4", 0],
        [join("sub", "c.MP4"), 0],
      ],
    );
    assert.deepEqual(ignored, ["notes.docx"]);
  });

  test("follows no link in a folder, and waits for no pipe", (t) => {
    const dir = folder(t, "real.mp4");
    symlinkSync("/etc/passwd", join(dir, "link.mp4"));
    symlinkSync("/", join(dir, "root"));
    execFileSync("mkfifo", [join(dir, "pipe.mp4")]);

    assert.deepEqual(
      listFiles(dir, ["mp4"]).media.map(({ name }) => name),
      ["real.mp4"],
    );
    assert.throws(() => listFiles(join(dir, "pipe.mp4"), ["mp4"]), hasKind("contract"));
  });

  test("captions belong to the medium of the same stem, with a language at most", () => {
    const siblings = [
      "talk.vtt",
      "talk.en.vtt",
      "talk.pt-BR.srt",
      "talk-2.vtt",
      "talk.final.cut.vtt",
      "talk.mp4",
    ];

    assert.deepEqual(sidecarsOf("talk.mp4", siblings), [
      "talk.en.vtt",
      "talk.pt-BR.srt",
      "talk.vtt",
    ]);
  });
});

describe("hashing a source", () => {
  test("an empty file is refused, a missing one is missing", async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, "empty.mp4"), "");

    await assert.rejects(hashSource(join(dir, "empty.mp4"), t.signal), hasKind("contract"));
    await assert.rejects(hashSource(join(dir, "none.mp4"), t.signal), hasKind("missing"));
  });

  test("the hash is that of the bytes", async (t) => {
    const dir = folder(t, "abc");

    const { sha256 } = await hashSource(join(dir, "abc"), t.signal);

    assert.equal(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });
});

describe("names of jobs and items", () => {
  test("a file's job is named after it and its bytes; several make one of their own", () => {
    const digest = "0123456789abcdef";

    assert.equal(jobIdFor("My Talk.mp4", digest), "run-my-talk-01234567");
    assert.match(
      jobIdForMany([
        { name: "a.mp4", digest },
        { name: "b.mp4", digest },
      ]),
      /^run-a-and-1-more-[0-9a-f]{8}$/,
    );
  });

  test("any name gives an id, unique in its job, that does not move when others come", () => {
    const names = fc.uniqueArray(fc.string({ unit: "binary", minLength: 1, maxLength: 80 }), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(names, names, (first, more) => {
        const named = (list: string[]) => list.map((name) => ({ name, title: name }));
        const before = assignItemIds(named(first), new Map());
        const after = assignItemIds(named([...new Set([...more, ...first])]), before);

        assert.equal(new Set(after.values()).size, after.size);
        for (const [name, id] of before) assert.equal(after.get(name), id);
        for (const id of after.values()) JobId.parse(id);
      }),
    );
  });
});

describe("a snapshot", () => {
  const LONG_AGO = new Date(Date.now() - 3_600_000);

  interface Finished {
    dir: string;
    inbox: string;
    asked: Asked;
  }

  function finished(t: TestContext): Finished {
    const dir = folder(
      t,
      "in/a.mp4",
      "in/b.mp4",
      "results/job/a/manifest.json",
      "results/job/b/manifest.json",
      "pipeline.yaml",
    );
    const inbox = join(dir, "in");
    for (const name of ["in/a.mp4", "in/b.mp4", "pipeline.yaml"])
      utimesSync(join(dir, name), LONG_AGO, LONG_AGO);
    const results = join(dir, "results");
    const asked = { named: [inbox], pipeline: join(dir, "pipeline.yaml"), results };
    const items = ["a", "b"].map((item) => {
      const [, size, mtimeMs] = stampFile(join(dir, "results", "job", item, "manifest.json"));
      return {
        item,
        stamps: [stampFile(join(inbox, `${item}.mp4`))],
        manifest: [size, mtimeMs] as [number, number],
      };
    });
    const pipeline = [stampFile(join(dir, "pipeline.yaml"))];
    writeSnapshot(
      dir,
      {
        asked,
        job: "job",
        version: "1",
        accept: ["mp4"],
        pipeline,
        stages: [],
        resultsDir: join(dir, "results", "job"),
        items,
      },
      Date.now(),
    );
    return { dir, inbox, asked };
  }

  test("says that nothing changed while nothing did", (t) => {
    const { dir, asked } = finished(t);

    assert.equal(findUnchanged(dir, asked, "1")?.items.length, 2);
  });

  const changes: [what: string, change: (world: { dir: string; inbox: string }) => void][] = [
    ["an input's content", ({ inbox }) => writeFileSync(join(inbox, "a.mp4"), "other")],
    [
      "an input's content with its old time",
      ({ inbox }) => {
        writeFileSync(join(inbox, "a.mp4"), "in/A.mp4");
        utimesSync(join(inbox, "a.mp4"), LONG_AGO, LONG_AGO);
      },
    ],
    ["a new file", ({ inbox }) => writeFileSync(join(inbox, "c.mp4"), "c")],
    ["a removed file", ({ inbox }) => rmSync(join(inbox, "a.mp4"))],
    ["a new caption file", ({ inbox }) => writeFileSync(join(inbox, "a.vtt"), "WEBVTT")],
    ["the pipeline", ({ dir }) => writeFileSync(join(dir, "pipeline.yaml"), "other")],
    [
      "a removed result",
      ({ dir }) => rmSync(join(dir, "results", "job", "b"), { recursive: true }),
    ],
    ["a removed folder", ({ inbox }) => rmSync(inbox, { recursive: true })],
  ];
  for (const [what, change] of changes) {
    test(`${what} is noticed`, (t) => {
      const world = finished(t);
      change(world);

      assert.equal(findUnchanged(world.dir, world.asked, "1"), undefined);
    });
  }

  test("another version looks for itself, and a damaged snapshot is none", (t) => {
    const { dir, asked } = finished(t);

    assert.equal(findUnchanged(dir, asked, "2"), undefined);
    writeFileSync(snapshotPath(dir, asked), "{");
    assert.equal(findUnchanged(dir, asked, "1"), undefined);
  });

  test("answers only what it was asked for, whatever its file is called", (t) => {
    const { dir, asked } = finished(t);
    const other = { ...asked, results: join(dir, "elsewhere") };

    copyFileSync(snapshotPath(dir, asked), snapshotPath(dir, other));

    assert.equal(findUnchanged(dir, other, "1"), undefined);
    assert.equal(findUnchanged(dir, asked, "1")?.items.length, 2);
  });

  test("a sidecar counts as an input of its medium", (t) => {
    const { dir, inbox, asked } = finished(t);

    writeFileSync(join(inbox, "a.vtt"), "WEBVTT");

    assert.equal(findUnchanged(dir, asked, "1"), undefined);
  });
});

describe("the id of a new job", () => {
  const at = new Date("2026-11-23T20:41:30Z");

  test("is its time, its name and a little chance", () => {
    const chance = (): number => 0x7f3a / 0x10000;
    assert.equal(newJobId("Council meeting.mp4", at, chance), "20261123-2041-council-meeting-7f3a");
    assert.equal(newJobId("…", at, chance), "20261123-2041-job-7f3a");
  });

  test("one that is taken is drawn again, longer, and the longest name still fits", () => {
    const first = newJobId("x".repeat(300), at, () => 0);
    const second = newJobId(
      "x".repeat(300),
      at,
      () => 0,
      (job) => job === first,
    );

    assert.notEqual(second, first);
    assert.ok(second.length <= 100);
  });
});
