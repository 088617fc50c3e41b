import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ClipscribeError } from "../../core/errors.ts";
import { JobId } from "../../core/ids.ts";
import { openUpView, wrapLine } from "./up-view.ts";

const JOB = JobId.parse("20261125-1802-talk-7f3a");
const NOW = new Date(2026, 10, 25, 18, 2);

function view(columns = 80) {
  let out = "";
  const made = openUpView({
    json: false,
    write: (text) => (out += text),
    columns,
    now: () => NOW,
  });
  return { ...made, out: () => out };
}

describe("what up says", () => {
  test("no line is wider than the terminal, and none is broken within a word", () => {
    const v = view(60);
    v.agent({
      type: "rejected",
      id: 1,
      name: "notes.docx",
      target: "/h/rejected/notes.docx",
      why: "files of this kind are not accepted",
      hint: "accepted: mp4, mov, mkv, webm, m4a, mp3, wav, flac, ogg, opus, and lists of URLs as .txt",
    });

    assert.deepEqual(v.out().split("\n"), [
      "18:02  notes.docx can't be used: files of this kind are not",
      "       accepted → rejected/notes.docx",
      "       accepted: mp4, mov, mkv, webm, m4a, mp3, wav, flac,",
      "       ogg, opus, and lists of URLs as .txt",
      "",
    ]);
  });

  test("a word that fits no line is left to the terminal: no loop, nothing lost", () => {
    const long = "x".repeat(200);
    assert.equal(wrapLine(`18:02  ${long}`, 60), `18:02  ${long}\n`);
  });

  test("names, titles and messages from outside act on nothing", () => {
    const v = view();
    const evil = "\u001b[2Jred\u202e\r\n.mp4";
    v.agent({ type: "accepted", id: 1, name: evil, job: JOB, items: 1, again: false });
    v.agent({ type: "trouble", scope: "store", error: new ClipscribeError("transient", evil) });

    assert.ok(!/[\u001b\u202e\r]/.test(v.out()));
    assert.equal(v.out().split("\n").length, 3);
  });

  test("the lid's sentence is said when it is another one, not with each item", () => {
    const v = view();
    for (const items of [3, 2, 1]) {
      v.lid({ lid: "keep-open", why: "embedded", items, minutes: null });
    }
    v.lid({ lid: "safe" });
    v.lid({ lid: "safe" });

    assert.equal(v.out(), "18:02  keep the lid open: 3 items\n18:02  safe to close the lid\n");
  });
});
