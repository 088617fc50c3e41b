import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { segmentId } from "../../core/transcript.ts";
import { flagSegments } from "./flag-segments.ts";
import { mergeParts } from "./merge-parts.ts";
import type { Part, SpokenSegment } from "./merge-parts.ts";
import { isPiece, parseSilences, planParts, planPieces } from "./plan-parts.ts";

const PER_WORD_S = 0.5;
const VOCABULARY = [
  "the",
  "bridge",
  "budget",
  "was",
  "closed",
  "and",
  "never",
  "paid",
  "for",
  "in",
  "may",
];

/** What a transcriber would hear of `words` between two times, its clock off by `drift`. */
function hear(
  words: readonly string[],
  span: { start: number; end: number },
  drift: number,
  timed: boolean,
  speaker: string | null,
): Part {
  const segments: SpokenSegment[] = [];
  const heard = words.flatMap((text, at) => {
    const start = at * PER_WORD_S;
    const isWhole = start >= span.start && start + PER_WORD_S <= span.end;
    return isWhole ? [{ text, start: start + drift, end: start + drift + PER_WORD_S }] : [];
  });
  for (let at = 0; at < heard.length; at += 7) {
    const group = heard.slice(at, at + 7);
    segments.push({
      start: group[0]?.start ?? 0,
      end: group.at(-1)?.end ?? 0,
      text: group.map(({ text }) => text).join(" "),
      speaker,
      ...(timed && { words: group }),
    });
  }
  return { ...span, segments };
}

describe("joining the parts of long sound", () => {
  test("no word is lost and none doubled, however the times drift", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...VOCABULARY), { minLength: 120, maxLength: 400 }),
        fc.array(fc.double({ min: -1.2, max: 1.2, noNaN: true }), { minLength: 8, maxLength: 8 }),
        fc.boolean(),
        (plain, drifts, timed) => {
          // Numbered, as no two minutes of speech are the same words.
          const words = plain.map((text, at) => (at % 3 === 0 ? `${text}${at}` : text));
          const parts = planParts(words.length * PER_WORD_S, [], 40).map((span, at) =>
            hear(words, span, drifts[at % 8] ?? 0, timed, null),
          );
          const joined = mergeParts(parts).map(({ text }) => text);
          assert.equal(joined.join(" "), words.join(" "));
        },
      ),
      { numRuns: 200 },
    );
  });

  test("who says the same words on both sides is one speaker; a new voice is marked", () => {
    const words = Array.from({ length: 100 }, (_, at) => `w${at}`);
    const one = hear(words, { start: 0, end: 30 }, 0, true, "speaker_1");
    const two = hear(words, { start: 20, end: 50 }, 0.3, true, "speaker_7");
    const last = { start: 49, end: 50, text: "bye", speaker: "speaker_8" };
    const merged = mergeParts([one, { ...two, segments: [...two.segments, last] }]);

    const speakers = new Set(merged.map(({ speaker }) => speaker));
    assert.deepEqual([...speakers], ["speaker_1", "speaker_8 (part 2, not matched)"]);
  });

  test("text without spaces is joined too", () => {
    const text = "今日は市議会で橋の予算について長い議論がありました明日も続きます";
    const cut = (from: number, to: number): Part => ({
      start: from,
      end: to,
      segments: [{ start: from, end: to, text: text.slice(from, to), speaker: null }],
    });

    const merged = mergeParts([cut(0, 20), cut(10, text.length)]);
    assert.equal(merged.map((each) => each.text).join(""), text);
  });

  test("a part is never longer than allowed, and a cut goes to a silence", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20_000 }),
        fc.integer({ min: 60, max: 1_200 }),
        (duration, max) => {
          const spans = planParts(
            duration,
            [{ start: duration / 2 - 3, end: duration / 2 - 1 }],
            max,
          );
          for (const { start, end } of spans) assert.ok(end - start <= max + 0.001);
          assert.equal(spans[0]?.start, 0);
          assert.equal(spans.at(-1)?.end, duration);
          for (const [at, { start }] of spans.entries()) {
            if (at > 0) assert.ok(start < (spans[at - 1]?.end ?? 0));
          }
        },
      ),
    );
    assert.equal(planParts(200, [{ start: 97, end: 99 }], 150)[1]?.start, 90);
  });

  test("pieces for a server without times cover all speech once, end in silences, and are short", () => {
    const gaps = fc.array(fc.double({ min: 0.5, max: 25, noNaN: true }), { maxLength: 60 });
    fc.assert(
      fc.property(gaps, fc.double({ min: 1, max: 900, noNaN: true }), (steps, duration) => {
        let clock = 0;
        const silences = steps.flatMap((step) => {
          const start = (clock += step);
          clock += 1;
          return clock < duration ? [{ start, end: clock }] : [];
        });

        const pieces = planPieces(duration, silences);

        for (const [at, piece] of pieces.entries()) {
          assert.ok(isPiece(piece) && piece.end > piece.start);
          assert.ok(piece.start >= (pieces[at - 1]?.end ?? 0));
          assert.ok(piece.speech.start >= piece.start && piece.speech.end <= piece.end);
        }
        // What lies in no piece is silent from end to end.
        for (let second = 0.05; second < duration; second += 0.1) {
          const isHeard = pieces.some(({ start, end }) => start <= second && second <= end);
          const isSilent = silences.some(({ start, end }) => start <= second && second <= end);
          assert.ok(isHeard || isSilent, `${second} s`);
        }
      }),
    );
    assert.deepEqual(
      planPieces(40, [
        { start: 0, end: 2 },
        { start: 20, end: 21 },
      ]),
      [
        { start: 0, end: 20.5, speech: { start: 2, end: 20 } },
        { start: 20.5, end: 40, speech: { start: 21, end: 40 } },
      ],
    );
  });

  test("ffmpeg's silences are read, also one that reaches the end", () => {
    const stderr =
      "[x] silence_start: 1.5\n[x] silence_end: 3 | silence_duration: 1.5\n[x] silence_start: 9\n";
    assert.deepEqual(parseSilences(stderr, 10), [
      { start: 1.5, end: 3 },
      { start: 9, end: 10 },
    ]);
  });
});

describe("what a transcriber may have made up", () => {
  const segment = (at: number, text: string, confidence?: number) => ({
    id: segmentId(at),
    start: at * 5,
    end: at * 5 + 4,
    text,
    speaker: null,
    ...(confidence !== undefined && { confidence }),
  });

  test("loops, words in silence and low scores are marked; the rest is not", () => {
    const texts = ["Good evening.", "Thank you.", "Thank you.", "Thank you.", "We begin."];
    const segments = [
      ...texts.map((text, at) => segment(at, text)),
      segment(5, "mumble", 0.1),
      segment(6, "so so so so so so then"),
    ];
    const flagged = flagSegments(segments, [{ start: 19, end: 24.5 }]);

    assert.deepEqual(
      flagged.map(({ flags }) => flags?.join() ?? ""),
      ["", "loop", "loop", "loop", "silence", "low-confidence", "loop"],
    );
  });
});
