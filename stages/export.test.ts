import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import fc from "fast-check";

import { ItemInfo } from "../core/records.ts";
import type { Segment, Transcript } from "../core/transcript.ts";
import { segmentId } from "../core/transcript.ts";
import { runStage } from "../runner/stage-harness.ts";
import { parseCaptions } from "./captions-text/parse-captions.ts";
import exportStage from "./export.ts";
import { guardCell, toCsv } from "./formats/csv.ts";
import { toCues, toSrt, toVtt } from "./formats/subtitles.ts";
import { formatTimecode } from "./formats/timecode.ts";

const HOSTILE = `=cmd|'/c calc'!A1 <svg onload=alert(1)> --> "quoted", and\na second line`;

function transcriptOf(
  ...segments: [speaker: string | null, text: string, seconds?: number][]
): Transcript {
  let start = 0;
  const all = segments.map(([speaker, text, seconds = 5], at): Segment => {
    const segment = { id: segmentId(at), start, end: start + seconds, text, speaker };
    start += seconds;
    return segment;
  });
  return {
    schema: 1,
    language: "en",
    duration: start,
    provider: "captions:sidecar",
    model: null,
    segments: all,
  };
}

/** Seconds of the cues of a SubRip file. */
function timesOf(srt: string): { start: number; end: number }[] {
  const seconds = (text = ""): number => {
    const [hours = 0, minutes = 0, rest = 0] = text.replace(",", ".").split(":").map(Number);
    return Math.round((hours * 3600 + minutes * 60 + rest) * 1000) / 1000;
  };
  return [...srt.matchAll(/^(\S+) --> (\S+)$/gm)].map(([, from, to]) => ({
    start: seconds(from),
    end: seconds(to),
  }));
}

async function publish(t: TestContext, transcript: Transcript) {
  const media = {
    schema: 1,
    container: "mp4",
    duration: transcript.duration,
    bit_rate: null,
    title: null,
    created_at: null,
    has_video: true,
    has_audio: true,
    streams: [],
    chapters: [],
  };
  const provenance = {
    pipeline: "p",
    clipscribe_version: "1",
    source_sha256: "abc",
    stages: [
      {
        id: "s",
        uses: "u",
        provider: null,
        model: null,
        cost_usd: 0.5,
        seconds: 2,
        ended_at: "2026-01-01T00:00:00.000Z",
      },
    ],
  };
  const evidence = {
    quote: HOSTILE,
    timestamp: 0,
    start: 0,
    end: 5,
    segment_ids: ["s0001"],
    speaker: HOSTILE,
    source: "x",
    confidence: 1,
    verification: "verified",
  };
  const entity = {
    name: HOSTILE,
    type: "PERSON",
    confidence: 0.9,
    mention_count: 1,
    aliases: ["@SUM(1)"],
    canonical_form: HOSTILE,
    evidence: [evidence],
    extraction_sources: ["x"],
    temporal_distribution: [],
  };
  const intelligence = {
    schema: 1,
    provider: "offline-rules",
    model: null,
    entities: [entity],
    relationships: [],
    topics: ["t"],
    key_points: [],
    key_moments: [],
    summary: null,
  };
  const item = ItemInfo.parse({ file_name: `${HOSTILE}.mp4` });
  return runStage(t, exportStage, { input: { item, media, transcript, intelligence, provenance } });
}

describe("the published data files", () => {
  test("core.json has the fields that it has always had", async (t) => {
    const { json } = await publish(t, transcriptOf(["Ada", "Hello."]));

    const core = json["core"] as Record<string, Record<string, unknown>>;
    assert.deepEqual(
      Object.keys(core).filter((key) => key !== "key_moments"),
      [
        "schema_version",
        "video_metadata",
        "processing_info",
        "transcript_segments",
        "entities",
        "relationships",
        "topics",
        "key_points",
        "summary",
        "topic_evidence",
        "summary_evidence",
        "sentiment",
      ],
    );
    assert.deepEqual(Object.keys(core["video_metadata"] ?? {}), [
      "url",
      "title",
      "channel",
      "duration",
      "platform",
      "published_at",
      "view_count",
      "description",
      "thumbnail_url",
    ]);
    for (const field of ["model", "cost", "processing_time", "timestamp", "pipeline_version"]) {
      assert.ok(field in (core["processing_info"] ?? {}), field);
    }
    assert.equal(core["processing_info"]?.["cost"], 0.5);
    assert.deepEqual(Object.keys((core["transcript_segments"] as unknown as object[])[0] ?? {}), [
      "segment_id",
      "text",
      "start_time",
      "end_time",
      "speaker",
    ]);
    assert.equal(core["summary"], null);
  });

  test("no cell of a table computes, on no line of it", async (t) => {
    const { text } = await publish(t, transcriptOf([HOSTILE, HOSTILE]));

    for (const file of ["entities_csv", "segments_csv"]) {
      const csv = await text(file);
      assert.ok(csv.startsWith("\ufeff"));
      assert.doesNotMatch(csv.slice(1), /(?:^|,|\n|")=cmd/);
    }
    assert.match(await text("entities_csv"), /'@SUM/);
  });

  test("the guard sees through spaces, non-breaking spaces and later lines; numbers stay numbers", () => {
    for (const cell of ["=1", "+1", "-1", "@x", "\t=1", " =1", "\u00a0=1", "\ufeff=1"]) {
      assert.equal(String(guardCell(cell)), `'${cell}`);
    }
    assert.equal(guardCell("a\n=1"), "a\n'=1");
    assert.equal(guardCell(-1.5), -1.5);
    assert.equal(guardCell(null), "");
    assert.equal(toCsv(["a"], [['say "hi", you']]), '\ufeff"a"\r\n"say ""hi"", you"\r\n');
  });

  test("plain text has one paragraph a turn", async (t) => {
    const { text } = await publish(
      t,
      transcriptOf(["Ada", "One."], ["Ada", "Two."], ["Bob", "Three."]),
    );

    assert.equal(await text("transcript_txt"), "Ada: One. Two.\n\nBob: Three.\n");
  });
});

describe("subtitles", () => {
  test("a line has at most 42 characters, a cue two lines and at most seven seconds", () => {
    const word = fc
      .string({ minLength: 1, maxLength: 60, unit: "grapheme" })
      .map((text) => text.replaceAll(/\s/g, "x"));
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 60 }),
        fc.double({ min: 0.5, max: 120, noNaN: true }),
        (words, seconds) => {
          const segment = {
            id: "s0001",
            start: 3,
            end: 3 + seconds,
            text: words.join(" "),
            speaker: null,
          };
          for (const { start, end, lines } of toCues(segment, "")) {
            assert.ok(lines.length >= 1 && lines.length <= 2);
            assert.ok(lines.every((line) => [...line].length <= 42));
            assert.ok(end > start && end - start <= 7.0001 && start >= 3);
          }
        },
      ),
    );
  });

  test("quick words have a second each, one after the other; a long sentence ends where the next begins", () => {
    const turn = (at: number, start: number, end: number, text: string): Segment => ({
      id: segmentId(at),
      start,
      end,
      text,
      speaker: at % 2 === 0 ? "Ada" : "Bob",
    });
    const segments = [
      turn(0, 0, 0.3, "Yes."),
      turn(1, 0.4, 0.8, "No."),
      turn(2, 3, 9, "I was about to say that"),
      turn(3, 5, 6, "you never say it."),
      turn(4, 7, 7.4, "word ".repeat(30)),
    ];

    const times = timesOf(toSrt({ ...transcriptOf(), segments }));

    assert.deepEqual(
      times.slice(0, 4).map(({ start, end }) => [start, end]),
      [
        [0, 1],
        [1, 2],
        [3, 5],
        [5, 6],
      ],
    );
    assert.ok(times.every(({ start, end }) => end - start >= 1));
  });

  test("SubRip shows one cue at a time, seven seconds at most, however people talk", () => {
    const turn = fc.record({
      words: fc.integer({ min: 1, max: 40 }),
      pause: fc.double({ min: -2, max: 3, noNaN: true }),
      perWord: fc.double({ min: 0.12, max: 0.6, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(turn, { minLength: 1, maxLength: 40 }), (turns) => {
        let clock = 5;
        const lines = turns.map(({ words, pause, perWord }, at) => {
          const start = Math.max(0, clock + pause);
          clock = start + words * perWord;
          const text = Array.from({ length: words }, (_, place) => `word${place}`).join(" ");
          const speaker = at % 2 === 0 ? "Ada" : "Bob";
          return { id: segmentId(at), start, end: clock, text, speaker };
        });
        const segments = lines.toSorted((a, b) => a.start - b.start);

        const srt = toSrt({ ...transcriptOf(), segments });

        const times = timesOf(srt);
        assert.ok(times.length >= segments.length);
        for (const [at, { start, end }] of times.entries()) {
          assert.ok(end > start && end - start <= 7.0001);
          assert.ok(start >= (times[at - 1]?.end ?? 0), `cue ${at + 1} covers the one before it`);
        }
      }),
    );
  });

  test("WebVTT and SubRip read back with their words and speakers; nobody's text ends a cue", async () => {
    const transcript = transcriptOf(["Ada <b>", "Is 1 < 2 & 3 --> 4?"], ["Bob", "Yes."]);

    const vtt = await parseCaptions(toVtt(transcript, "note --> with arrow"), "vtt", 0);
    const srt = await parseCaptions(toSrt(transcript), "srt", 0);

    assert.deepEqual(
      vtt.cues.map(({ text, speaker }) => [speaker, text]),
      [
        ["Ada <b>", "Is 1 < 2 & 3 --> 4?"],
        ["Bob", "Yes."],
      ],
    );
    assert.deepEqual(srt.cues.map(({ speaker }) => speaker).at(-1), "BOB");
    assert.equal(srt.cues.length, 2);
  });

  test("times are written to the millisecond, over an hour too", () => {
    assert.equal(formatTimecode(3_723.0045, ","), "01:02:03,005");
    assert.equal(formatTimecode(0.9996, "."), "00:00:01.000");
    assert.equal(formatTimecode(360_000, "."), "100:00:00.000");
  });
});
