import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import fc from "fast-check";

import { hasKind } from "../core/errors.ts";
import type { Intelligence } from "../core/intelligence.ts";
import type { Transcript } from "../core/transcript.ts";
import { segmentId } from "../core/transcript.ts";
import { runStage } from "../runner/stage-harness.ts";
import { parseCaptions } from "./captions-text/parse-captions.ts";
import { segmentCues } from "./captions-text/segment-cues.ts";
import extract from "./extract.ts";
import { buildGraph } from "./graph.ts";
import { canonicalNames } from "./offline-rules/merge-names.ts";
import { findMentions, splitSentences } from "./offline-rules/mention-rules.ts";

function transcriptOf(...texts: string[]): Transcript {
  const segments = texts.map((text, at) => ({
    id: segmentId(at),
    start: at * 10,
    end: at * 10 + 9,
    text,
    speaker: null,
  }));
  return {
    schema: 1,
    language: "en",
    duration: texts.length * 10,
    provider: "test",
    model: null,
    segments,
  };
}

async function find(t: TestContext, transcript: Transcript): Promise<Intelligence> {
  const { json } = await runStage(t, extract, { input: { transcript } });
  return json["intelligence"] as Intelligence;
}

async function sample(): Promise<Transcript> {
  const file = join(import.meta.dirname, "..", "samples", "council-meeting.en.vtt");
  const { cues } = await parseCaptions(readFileSync(file, "utf8"), "vtt", 0);
  return { ...transcriptOf(), duration: 168, segments: segmentCues(cues) };
}

describe("extract, by offline rules", () => {
  test("finds the people, bodies and sums of the sample, under one name each", async (t) => {
    const { entities } = await find(t, await sample());

    const named = (type: string): string[] =>
      entities.filter((each) => each.type === type).map(({ name }) => name);
    assert.deepEqual(named("PERSON").toSorted(), [
      "Elena Vasquez",
      "Ingrid Solheim",
      "Tomas Okafor",
    ]);
    for (const body of [
      "Harbor Bridge Authority",
      "Norden Construction",
      "Riverside Tenants Union",
      "Halden Engineering",
    ]) {
      assert.ok(named("ORG").includes(body), body);
    }
    for (const sum of ["$4.2 million", "$3.1 million", "$1.1 million", "$9.8 million"]) {
      assert.ok(named("MONEY").includes(sum), sum);
    }
    const solheim = entities.find(({ name }) => name === "Ingrid Solheim");
    assert.ok((solheim?.mention_count ?? 0) >= 3);
  });

  test("every quote stands in the transcript, at the second that it names", async (t) => {
    const transcript = await sample();
    const { entities, relationships, key_moments } = await find(t, transcript);

    const quotes = [
      ...[...entities, ...relationships].flatMap(({ evidence }) => evidence),
      ...key_moments,
    ];
    assert.ok(quotes.length > 40);
    for (const { quote, start, end, segment_ids, verification } of quotes) {
      const segment = transcript.segments.find(({ id }) => id === segment_ids[0]);
      assert.equal(verification, "verified");
      assert.ok(segment?.text.includes(quote));
      assert.deepEqual([start, end], [segment?.start, segment?.end]);
    }
  });

  test("the same transcript gives the same findings", async (t) => {
    const transcript = await sample();

    assert.deepEqual(await find(t, transcript), await find(t, transcript));
  });

  test("a relationship has the word that was said: to oppose is not to reject, a director leads", async (t) => {
    const { relationships } = await find(t, await sample());

    const said = relationships.map(({ subject, predicate, object }) =>
      [subject, predicate, object].join(" | "),
    );
    assert.ok(
      said.includes("Riverside Tenants Union | opposed | Bridge Safety Act"),
      said.join("\n"),
    );
    assert.ok(said.includes("Ingrid Solheim | leads | Harbor Bridge Authority"), said.join("\n"));
    assert.ok(said.includes("Tomas Okafor | works for | Riverside Tenants Union"), said.join("\n"));
  });

  test("numbers that contradict each other point at each other", async (t) => {
    const { relationships } = await find(
      t,
      transcriptOf(
        "Norden Construction received $4.2 million.",
        "Norden Construction received $3.1 million.",
      ),
    );

    const [first, second] = relationships;
    assert.deepEqual([first?.contradictions, second?.contradictions], [[second?.id], [first?.id]]);
  });

  test("hours of sums point at a few others each, not at all of them", async (t) => {
    const said = Array.from(
      { length: 300 },
      (_, at) => `Norden Construction received $${at + 1} million.`,
    );
    const { relationships } = await find(t, transcriptOf(...said));

    assert.equal(relationships.length, 300);
    assert.ok(relationships.every(({ contradictions }) => contradictions.length === 10));
  });

  test("nothing found is said with empty lists and no summary, not made up", async (t) => {
    const found = await find(t, transcriptOf("well", "you know"));

    assert.deepEqual(
      [found.entities, found.relationships, found.key_moments, found.summary],
      [[], [], [], null],
    );
  });

  test("another model is refused with what to write instead", async (t) => {
    const run = runStage(t, extract, {
      input: { transcript: transcriptOf("x") },
      params: { model: "xai/grok" },
    });

    await assert.rejects(
      run,
      (error) => hasKind("config")(error) && /offline\/rules/.test(error.hint ?? ""),
    );
  });

  test("whatever is said, mentions lie in the text and never overlap", () => {
    const word = fc.constantFrom(
      "Mayor",
      "Elena",
      "Vasquez",
      "$4.2",
      "million",
      "the",
      "Harbor",
      "Bridge",
      "of",
      "in",
      "May",
      "2024",
      "12",
      "percent",
      "\u001b[31m",
      "<b>",
      "ſ",
      "İstanbul",
      "\ud83d\ude00",
      ".",
      ",",
      "'s",
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 25 }), (words) => {
        const text = words.join(" ");
        let last = 0;
        for (const mention of findMentions(text, ["Elena Vasquez"])) {
          assert.equal(text.slice(mention.start, mention.end), mention.text);
          assert.ok(mention.start >= last);
          last = mention.end;
        }
        for (const { text: sentence, start, end } of splitSentences(text))
          assert.equal(text.slice(start, end), sentence);
      }),
      { numRuns: 60 },
    );
  });
});

describe("names that mean one person", () => {
  test("a title or a family name joins the one full name; two bearers stay apart", () => {
    const one = canonicalNames("PERSON", [
      "Elena Vasquez",
      "Mayor Vasquez",
      "Ms. Vasquez",
      "Vasquez",
    ]);
    const two = canonicalNames("PERSON", ["Elena Vasquez", "Ana Vasquez", "Vasquez"]);

    assert.deepEqual([...new Set(one.values())], ["Elena Vasquez"]);
    assert.equal(two.get("Vasquez"), "Vasquez");
  });
});

describe("the graph", () => {
  test("edges join nodes that exist, and ids are unique and stable", async (t) => {
    const intelligence = await find(t, await sample());

    const graph = buildGraph(intelligence);

    const ids = new Set(graph.nodes.map(({ id }) => id));
    assert.equal(ids.size, graph.nodes.length);
    assert.ok(graph.edges.length > 0);
    for (const { source, target } of graph.edges) assert.ok(ids.has(source) && ids.has(target));
    assert.deepEqual(buildGraph(intelligence), graph);
  });
});
