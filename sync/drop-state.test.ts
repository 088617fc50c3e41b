import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { DropOptions } from "../core/drop-records.ts";
import { classifyName, isTemporaryName } from "./drop-names.ts";
import { parseDropOptions } from "./drop-options.ts";
import {
  EQUAL_LOOKS,
  PATIENCE_MS,
  deferDrop,
  isOutOfPatience,
  lookAgain,
  passProbe,
  seeDrop,
  wakeDrop,
} from "./drop-state.ts";
import type { WaitingDrop } from "./drop-state.ts";
import { createDueQueue } from "./due-queue.ts";
import { hasKind } from "../core/errors.ts";

const RHYTHM = { settleMs: 900, patienceMs: PATIENCE_MS };
const look = (fingerprint: string) => ({ fingerprint, isMarked: false, isBusy: false });

/** Looks whenever it is due, at what the file is by then. */
function follow(drop: WaitingDrop, fingerprintAt: (ms: number) => string, untilMs: number) {
  const looks: number[] = [];
  let now = drop;
  while (now.phase === "seen" || now.phase === "settling") {
    if (now.dueAtMs > untilMs) break;
    looks.push(now.dueAtMs);
    now = lookAgain(now, look(fingerprintAt(now.dueAtMs)), now.dueAtMs, RHYTHM);
  }
  return { drop: now, looks };
}

describe("settling", () => {
  test("takes several equal looks, spaced", () => {
    const { drop, looks } = follow(seeDrop("a.mp4", "file", 0), () => "same", 60_000);

    assert.equal(drop.phase, "probing");
    assert.equal(looks.length, EQUAL_LOOKS + 1);
    assert.equal(drop.dueAtMs, RHYTHM.settleMs);
  });

  test("a change sets the count back", () => {
    const { drop } = follow(seeDrop("a.mp4", "file", 0), (ms) => `${ms < 700}`, 60_000);

    assert.equal(drop.phase, "probing");
    assert.ok(drop.dueAtMs >= 700 + RHYTHM.settleMs);
  });

  test("goes by the writer's own rhythm: who paused for 8 s may pause again", () => {
    // A chunk every eight seconds, five times.
    const writer = (ms: number): string => `${Math.min(5, Math.floor(ms / 8_000))}`;
    let drop = follow(seeDrop("a.mp4", "file", 0), writer, 600_000).drop;
    let probes = 1;
    // Each time it is found cut off, and looked at again.
    for (; drop.dueAtMs < 40_000; probes++) {
      drop = follow(deferDrop(drop, drop.dueAtMs, RHYTHM), writer, 600_000).drop;
    }

    assert.ok(drop.longestGapMs >= 7_000);
    // Once the rhythm is known it is left in peace: far fewer probes than pauses of 900 ms.
    assert.ok(probes < 15, `${probes} probes`);
  });

  test("looks that an event brought forward prove nothing", () => {
    let drop = lookAgain(seeDrop("a.mp4", "file", 0), look("x"), 0, RHYTHM);
    for (let ms = 1; ms < 100; ms++) drop = lookAgain(wakeDrop(drop, ms), look("x"), ms, RHYTHM);

    assert.equal(drop.phase, "settling");
    assert.equal(drop.equalLooks, 0);
  });

  test("its writer's marker settles it at once, unfinished names in it never", () => {
    const seen = seeDrop("a.mp4", "file", 0);
    assert.equal(lookAgain(seen, { ...look("x"), isMarked: true }, 0, RHYTHM).phase, "probing");
    let busy = seen;
    for (let ms = 0; ms < 60_000; ms += 1_000) {
      busy = lookAgain(busy, { ...look("x"), isBusy: true }, ms, RHYTHM);
    }
    assert.equal(busy.phase, "settling");
  });

  test("whatever a writer does, it settles within a bounded time once he has ended", () => {
    const changes = fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 20 });
    fc.assert(
      fc.property(changes, (gaps) => {
        const at = gaps.map((_, index) => gaps.slice(0, index + 1).reduce((a, b) => a + b, 0));
        const endMs = at.at(-1) ?? 0;
        const writer = (ms: number): string => `${at.filter((change) => change <= ms).length}`;
        let drop = seeDrop("a.mp4", "file", 0);
        for (;;) {
          drop = follow(drop, writer, Infinity).drop;
          const isEnded = drop.dueAtMs > endMs;
          if (isEnded) break;
          drop = deferDrop(drop, drop.dueAtMs, RHYTHM);
        }
        assert.ok(drop.dueAtMs - endMs <= 5 * 60_000);
      }),
    );
  });

  test("patience counts from the last change, and passing the probe ends it", () => {
    const settled = follow(seeDrop("a.mp4", "file", 0), () => "cut", 60_000).drop;
    const deferred = deferDrop(settled, 1_000, RHYTHM);

    assert.equal(isOutOfPatience(deferred, PATIENCE_MS - 1, RHYTHM), false);
    assert.equal(isOutOfPatience(deferred, PATIENCE_MS, RHYTHM), true);
    const changed = lookAgain(deferred, look("more"), PATIENCE_MS - 1, RHYTHM);
    assert.equal(isOutOfPatience(changed, 2 * PATIENCE_MS, RHYTHM), false);
    assert.equal(isOutOfPatience(passProbe(deferred), 2 * PATIENCE_MS, RHYTHM), false);
  });
});

describe("the queue of looks", () => {
  test("gives what is due in its order, and no more than asked for", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 1_000 })),
        fc.integer({ min: 0, max: 1_000 }),
        (times, nowMs) => {
          const queue = createDueQueue();
          for (const [index, time] of times.entries()) queue.add(`${index}`, time);
          const first = queue.takeDue(nowMs, 3);
          const taken = [...first, ...queue.takeDue(nowMs, Infinity)].map(({ dueAtMs }) => dueAtMs);

          assert.ok(first.length <= 3);
          const wanted = times.filter((time) => time <= nowMs).toSorted((a, b) => a - b);
          assert.deepEqual(taken, wanted);
          assert.equal(queue.nextMs, Math.min(Infinity, ...times.filter((time) => time > nowMs)));
        },
      ),
    );
  });
});

describe("names in the inbox", () => {
  const accept = ["mp4", "wav"];
  const kinds: [string, string][] = [
    ["talk.mp4", "medium"],
    ["TALK.MP4", "medium"],
    ["urls.txt", "list"],
    ["a.webloc", "list"],
    ["talk.en.vtt", "companion"],
    ["talk.mp4.yaml", "companion"],
    ["urls.txt.yaml", "companion"],
    ["talk.mp4.done", "companion"],
    ["config.yaml", "other"],
    ["notes.docx", "other"],
    ["folder", "other"],
    ...[
      ".talk.mp4.icloud",
      ".DS_Store",
      "talk.mp4.part",
      "talk.mp4.partial",
      "talk.mp4.crdownload",
      "talk.mp4.download",
      "talk.mp4.tmp",
      "talk.mp4.!ut",
      "~$talk.mp4",
      ".syncthing.talk.mp4.tmp",
      "talk.sync-conflict-20261125-120000-ABCDEFG.mp4",
      "talk.mp4.sb-1a2b3c4d-Xyz",
      "talk.mp4.aria2",
      "desktop.ini",
      "Thumbs.db",
      "talk.mp4~",
    ].map((name): [string, string] => [name, "ignored"]),
  ];
  for (const [name, kind] of kinds) {
    test(`${JSON.stringify(name)} is ${kind}`, () => {
      assert.equal(classifyName(name, accept), kind);
    });
  }

  test("no name makes it throw", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (name) => void isTemporaryName(name)));
  });
});

describe("the options of a drop", () => {
  test("are what is written, or what holds without them", () => {
    assert.deepEqual(parseDropOptions("budget: 2\nlane: urgent\nagain: true\n", "x.yaml"), {
      ...DropOptions.parse({}),
      budget: 2,
      lane: "urgent",
      again: true,
    });
    assert.deepEqual(parseDropOptions("", "x.yaml"), DropOptions.parse({}));
  });

  for (const [text, said] of [
    ["bugdet: 2", /did you mean `budget`/],
    ["budget: free", /budget/],
    ["budget: -1", /budget/],
    ["lane: fast", /lane/],
    ["- budget", /name: value/],
    ["budget: 1\nbudget: 2", /./],
    ["a: &a [*a]", /./],
    ["notify: not an address", /notify/],
    ["x".repeat(20_000), /too long/],
  ] as const) {
    test(`${JSON.stringify(text.slice(0, 30))} is refused, and says why`, () => {
      assert.throws(
        () => parseDropOptions(text, "talk.mp4.yaml"),
        (error: Error) =>
          hasKind("contract")(error) &&
          said.test(error.message) &&
          error.message.startsWith("talk.mp4.yaml"),
      );
    });
  }
});
