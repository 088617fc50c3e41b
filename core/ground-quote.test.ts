import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { indexQuotes } from "./ground-quote.ts";
import { quoteWords } from "./quote-words.ts";
import type { Segment } from "./transcript.ts";
import { segmentId } from "./transcript.ts";

const said = (...texts: string[]): Segment[] =>
  texts.map((text, at) => ({
    id: segmentId(at),
    start: at * 10,
    end: at * 10 + 9,
    text,
    speaker: "A",
  }));

const SEGMENTS = said(
  "We closed the bridge.",
  "It won’t  open",
  "before May, I said.",
  "Nothing else.",
);

describe("grounding a quote", () => {
  const index = indexQuotes(SEGMENTS);

  test("words in the named segment are verified, with the segment's time and its own spelling", () => {
    const found = index.ground("it WON'T open", ["s0002"]);

    assert.deepEqual(found, {
      quote: "It won’t  open",
      start: 10,
      end: 19,
      segment_ids: ["s0002"],
      speaker: "A",
      verification: "verified",
    });
  });

  test("a sentence over two named segments is verified over both", () => {
    const found = index.ground("won't open before May", ["s0002", "s0003"]);

    assert.deepEqual([found.verification, found.start, found.end], ["verified", 10, 29]);
  });

  test("words that stand elsewhere are repaired: the segment is corrected", () => {
    const found = index.ground("Nothing else.", ["s0001"]);

    assert.deepEqual([found.verification, found.segment_ids], ["repaired", ["s0004"]]);
  });

  test("words that nobody said are unverified, whatever segment was named", () => {
    for (const quote of ["We sold the bridge.", "", "…", "We closed the bridge. Nothing else."]) {
      assert.equal(index.ground(quote, ["s0001"]).verification, "unverified");
    }
    assert.equal(index.ground("We sold it", ["s9999"]).verification, "unverified");
  });

  test("every piece of a segment is verified and returned verbatim", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(
        fc.array(text, { minLength: 1, maxLength: 5 }),
        fc.nat(),
        fc.nat(),
        (texts, a, b) => {
          const segments = said(...texts);
          const segment = segments[a % segments.length];
          if (segment === undefined) return;
          const words = quoteWords(segment.text);
          const first = words[b % words.length];
          const piece = first === undefined ? segment.text : segment.text.slice(first.start);
          const found = indexQuotes(segments).ground(piece, [segment.id]);

          if (first === undefined) {
            assert.equal(found.verification, "unverified");
          } else {
            assert.equal(found.verification, "verified");
            assert.ok(
              segments
                .map((each) => each.text)
                .join(" ")
                .includes(found.quote),
            );
          }
        },
      ),
    );
  });

  test("a part of a word is not the word", () => {
    assert.equal(index.ground("pen", ["s0002"]).verification, "unverified");
  });

  test("times are those of the quote's own words where the segment has them", () => {
    const words = ["We", "closed", "the", "bridge."].map((text, at) => ({
      text,
      start: at,
      end: at + 0.9,
    }));
    const timed = indexQuotes(said("We closed the bridge.").map((each) => ({ ...each, words })));
    const { start, end } = timed.ground("closed the", ["s0001"]);

    assert.deepEqual([start, end], [1, 2.9]);
  });

  const long = "The council will pay nine million dollars for the new bridge by the end of May.";
  const near = indexQuotes(said("Hello.", long, "Bye."));

  test("a slip of the model is repaired to what was said, and labelled", () => {
    const wrong =
      "The council will be paying nine million dollars for the new bridge by end of May";
    const found = near.ground(wrong, ["s0002"]);

    assert.equal(found.verification, "unverified");
    const slip = near.ground(wrong.replace("be paying", "pay"), ["s0002"]);
    assert.equal(slip.verification, "repaired");
    assert.equal(slip.quote, long.slice(0, -1));
  });

  test("punctuation, quotation marks and thousands' commas make no difference", () => {
    const index = indexQuotes(said("Well, he said: “We owe $1,250,000 – all of it.”"));

    const found = index.ground("we owe $1250000, all of it", ["s0001"]);

    assert.deepEqual(
      [found.verification, found.quote],
      ["verified", "We owe $1,250,000 – all of it"],
    );
  });

  test("scripts without spaces are compared letter by letter", () => {
    const index = indexQuotes(said("市長は橋を閉鎖しました。"));

    assert.equal(index.ground("橋を閉鎖しました", ["s0001"]).verification, "verified");
    assert.equal(index.ground("橋を開鎖しました", ["s0001"]).verification, "unverified");
  });

  test("a misspelt name is a slip; another word, its opposite or another name is not", () => {
    const text =
      "Mister Okafor told the council that the contract was legal and the tower is safe.";
    const index = indexQuotes(said(text));
    const ground = (from: string, to: string): string =>
      index.ground(text.replace(from, to), ["s0001"]).verification;

    assert.equal(ground("Okafor", "Okafur"), "repaired");
    assert.equal(ground("told the", "told, uh, the"), "repaired");
    for (const [from, to] of [
      ["legal", "illegal"],
      ["tower", "power"],
      ["Okafor", "Vasquez"],
      ["safe", "unsafe"],
      ["told", "paid"],
    ] as const) {
      assert.equal(ground(from, to), "unverified", to);
    }
  });

  test("another number or a missing negation is never repaired", () => {
    for (const wrong of [
      "The council will pay eight million dollars for the new bridge by the end of May",
      "The council will not pay nine million dollars for the new bridge by the end of May",
    ]) {
      assert.equal(near.ground(wrong, ["s0002"]).verification, "unverified");
    }
  });

  test("the words of two people in a row are nobody's quote, whoever is named", () => {
    const [first, second, third] = said("I took", "the money is gone.", "I never said that.");
    assert.ok(first && second && third);
    const talk = indexQuotes([first, { ...second, speaker: "B" }, third]);

    for (const ids of [["s0001"], ["s0001", "s0002"], []]) {
      const found = talk.ground("I took the money", ids);
      assert.deepEqual([found.verification, found.speaker], ["unverified", null]);
    }
    const long = "I took, uh, the money is gone I never said";
    assert.equal(talk.ground(long, ["s0002"]).verification, "unverified");
    assert.equal(talk.ground("the money is gone", ["s0002"]).speaker, "B");
  });

  test("a sentence that goes on where nobody is named is verified, and whose it is stays open", () => {
    const [first, second] = said("We will build it", "before the year is out.");
    assert.ok(first && second);
    const talk = indexQuotes([first, { ...second, speaker: null }]);

    const found = talk.ground("build it before the year", ["s0001", "s0002"]);

    assert.deepEqual([found.verification, found.speaker], ["verified", null]);
  });

  test("a minus and a raised figure are part of the number", () => {
    const talk = indexQuotes(
      said(
        "Growth was -5 percent.",
        "We owe -$3 million.",
        "It has 10² rooms.",
        "Pages 2020-2021.",
      ),
    );

    const labels = (quotes: readonly string[]): string[] =>
      quotes.map((quote, at) => talk.ground(quote, [segmentId(at)]).verification);
    assert.deepEqual(
      labels(["was −5 percent", "owe -$3 million", "10² rooms", "2020-2021"]),
      Array<string>(4).fill("verified"),
    );
    assert.deepEqual(
      labels(["was 5 percent", "owe $3 million", "102 rooms", "Pages -2021"]),
      Array<string>(4).fill("unverified"),
    );
  });
});
