import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { parseCaptions } from "./parse-captions.ts";
import { segmentCues } from "./segment-cues.ts";

const cue = (time: string, text: string): string => `${time}\n${text}\n\n`;

describe("captions as people have them", () => {
  test("CRLF, a byte order mark and missing blank lines are read", async () => {
    const text =
      "\ufeff1\r\n00:00:01,000 --> 00:00:02,000\r\nOne.\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nTwo.\r\n";

    const { cues } = await parseCaptions(text, "srt", 0);

    assert.deepEqual(
      cues.map(({ start, text: words }) => [start, words]),
      [
        [1, "One."],
        [3, "Two."],
      ],
    );
  });

  test("broken times are counted, and the good cues stay", async () => {
    const text =
      "WEBVTT\n\n" +
      cue("00:00:05.000 --> 00:00:03.000", "backwards") +
      cue("00:00:xx.000 --> 00:00:03.000", "letters") +
      cue("00:00:01.000 --> 00:00:02.000", "good") +
      cue("01:00:00.000 --> 01:00:02.000", "after the end") +
      cue("00:00:09.000 --> 00:00:30.000", "longer than the medium");

    const { cues, problems } = await parseCaptions(text, "vtt", 10);

    assert.deepEqual(
      cues.map(({ start, end }) => [start, end]),
      [
        [1, 2],
        [9, 10],
      ],
    );
    assert.equal(problems["after the end of the medium"], 1);
    assert.ok((problems["unreadable or backward times"] ?? 0) >= 1);
  });

  test("cues out of order are put in order", async () => {
    const text = `WEBVTT\n\n${cue("00:05.000 --> 00:06.000", "b")}${cue("00:01.000 --> 00:02.000", "a")}`;

    const { cues, problems } = await parseCaptions(text, "vtt", 0);

    assert.deepEqual(
      cues.map(({ text: words }) => words),
      ["a", "b"],
    );
    assert.equal(problems["out of order"], 1);
  });

  test("speakers come from voice tags and from names before a colon", async () => {
    const text =
      "WEBVTT\n\n" +
      cue("00:01.000 --> 00:02.000", "<v.loud Elena Vasquez>Hello <i>there</i> &amp; welcome</v>") +
      cue("00:02.000 --> 00:03.000", "TOMAS O'NEIL: Good evening.") +
      cue("00:03.000 --> 00:04.000", "It starts at 10:30: be there") +
      cue("00:04.000 --> 00:05.000", "<v A>One</v> <v B>Two</v>");

    const { cues } = await parseCaptions(text, "vtt", 0);

    assert.deepEqual(
      cues.map(({ speaker, text: words }) => [speaker, words]),
      [
        ["Elena Vasquez", "Hello there & welcome"],
        ["Tomas O'Neil", "Good evening."],
        [null, "It starts at 10:30: be there"],
        ["A", "One"],
        ["B", "Two"],
      ],
    );
  });

  test("rolling automatic captions say each word once", async () => {
    const text =
      "WEBVTT\n\n" +
      cue("00:01.000 --> 00:02.000", "we will") +
      cue("00:02.000 --> 00:03.000", "we will\nclose the bridge") +
      cue("00:03.000 --> 00:03.500", "close the bridge");

    const { cues } = await parseCaptions(text, "vtt", 0);

    assert.equal(cues.map(({ text: words }) => words).join(" "), "we will close the bridge");
  });

  test("two-line rolling captions say each word once", async () => {
    const text =
      "WEBVTT\n\n" +
      cue("00:01.000 --> 00:02.000", "we will\nclose it") +
      cue("00:02.000 --> 00:03.000", "close it\nin the spring") +
      cue("00:03.000 --> 00:04.000", "in the spring\nor later");

    const { cues } = await parseCaptions(text, "vtt", 0);

    assert.equal(
      cues.map(({ text: words }) => words).join(" "),
      "we will close it in the spring or later",
    );
  });

  test("what was said twice stays twice, and a word before a colon is no speaker", async () => {
    const text =
      "WEBVTT\n\n" +
      cue("00:01.000 --> 00:02.000", "No.") +
      cue("00:02.300 --> 00:03.000", "No.") +
      cue("00:04.000 --> 00:05.000", "Remember: he paid nothing.") +
      cue("00:06.000 --> 00:07.000", "BBC: good evening") +
      cue("00:08,000 --> 00:09,000", "commas");

    const { cues } = await parseCaptions(text, "vtt", 0);

    assert.deepEqual(
      cues.map(({ speaker, text: words }) => [speaker, words]),
      [
        [null, "No."],
        [null, "No."],
        [null, "Remember: he paid nothing."],
        ["BBC", "good evening"],
        [null, "commas"],
      ],
    );
  });

  test("escape sequences and bidi overrides are gone, a smaller-than sign stays", async () => {
    const text = `WEBVTT\n\n${cue("00:01.000 --> 00:02.000", "a\u001b[31m \u202eb &lt; 5 < 6")}`;

    const { cues } = await parseCaptions(text, "vtt", 0);

    assert.equal(cues[0]?.text, "a b < 5 < 6");
  });

  test("no text makes the parser throw, and times stay ordered and within the medium", async () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "",
        "WEBVTT",
        "1",
        "00:00:01.000 --> 00:00:02.000",
        "00:09:00.000 --> 00:00:02.000",
        "99:99:99,999 --> 1",
        "<v Bob>",
        "NOTE",
        "-->",
        "&#xfffff;",
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.constantFrom("vtt", "srt"), async (lines, format) => {
        const { cues } = await parseCaptions(lines.join("\n"), format, 100);
        const segments = segmentCues(cues);
        for (const { start, end } of segments) assert.ok(start >= 0 && end >= start && end <= 100);
        assert.ok(
          segments.every(({ start }, at) => at === 0 || start >= (segments[at - 1]?.start ?? 0)),
        );
      }),
    );
  });
});

describe("segments", () => {
  const at = (start: number, text: string, speaker: string | null = "A") => ({
    start,
    end: start + 1,
    text,
    speaker,
  });

  test("cues of one sentence join; a full stop, another speaker or a pause part them", () => {
    const segments = segmentCues([
      at(0, "The bridge"),
      at(1, "is closed."),
      at(2, "Who said"),
      at(3, "so?", "B"),
      at(10, "Nobody", "B"),
    ]);

    assert.deepEqual(
      segments.map(({ text, start, end }) => [text, start, end]),
      [
        ["The bridge is closed.", 0, 2],
        ["Who said", 2, 3],
        ["so?", 3, 4],
        ["Nobody", 10, 11],
      ],
    );
  });
});
