import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { KnowledgeGraph } from "../core/intelligence.ts";
import type { Manifest } from "../core/records.ts";
import { segmentId } from "../core/transcript.ts";
import { publishAll } from "../samples/publish-all.ts";
import {
  CoreFile,
  TranscriptFile,
  verifyCopies,
  verifyGraph,
  verifyQuotes,
} from "./verify-findings.ts";

interface Files {
  core: CoreFile;
  transcript: TranscriptFile;
  graph: KnowledgeGraph;
}

const LINES = [
  ["Ada", "Elena Vasquez leads the Harbor Authority."],
  ["Bob", "The bridge will cost nine million dollars."],
] as const;
const evidence = [{ segment_id: "s0001", quote: LINES[0][1] }];
const ANSWER = {
  entities: [
    { name: "Elena Vasquez", type: "PERSON", aliases: [], evidence },
    { name: "Harbor Authority", type: "ORG", aliases: [], evidence },
  ],
  relationships: [
    { subject: "Elena Vasquez", predicate: "leads", object: "Harbor Authority", evidence },
  ],
  topics: [{ name: "Harbor", evidence }],
  key_moments: [{ description: "A price", significance: "high", evidence }],
  sentiment: { overall: "neutral", evidence },
  summary: { text: "A bridge is dear.", evidence },
};
const MANIFEST = { stages: [{ id: "transcript", cost_usd: 0.5 }] } as Pick<Manifest, "stages">;

let published: Files;
before(async () => {
  const segments = LINES.map(([speaker, text], at) => ({
    id: segmentId(at),
    start: at * 5,
    end: at * 5 + 4,
    text,
    speaker,
  }));
  const head = { schema: 1 as const, language: "en", duration: 10, provider: "x", model: "m" };
  const cleanUp: (() => Promise<void>)[] = [];
  const { text } = await publishAll(
    { after: (clean) => void cleanUp.push(clean) },
    { transcript: { ...head, segments }, chat: () => Promise.resolve(ANSWER) },
  );
  const read = async (name: string): Promise<unknown> => JSON.parse(await text(name)) as unknown;
  published = {
    core: CoreFile.parse(await read("core.json")),
    transcript: TranscriptFile.parse(await read("transcript.json")),
    graph: KnowledgeGraph.parse(await read("knowledge_graph.json")),
  };
  for (const clean of cleanUp) await clean();
});

function problemsOf({ core, transcript, graph }: Files): string[] {
  return [
    ...verifyQuotes(core, transcript).problems,
    ...verifyCopies(core, transcript, MANIFEST),
    ...verifyGraph(graph, core),
  ];
}

const first = <Value>(list: readonly Value[]): Value => list[0] ?? assert.fail("nothing is there");

describe("verifying findings", () => {
  test("what was published is good, and every quote was looked at", () => {
    assert.deepEqual(problemsOf(published), []);
    assert.equal(verifyQuotes(published.core, published.transcript).count, 7);
  });

  for (const [what, alter, said] of [
    [
      "an invented quote",
      ({ core }) => (first(core.key_moments).quote = "He took a bribe."),
      /quote is not in s0001: He took a bribe/,
    ],
    [
      "another second",
      ({ core }) => (first(first(core.entities).evidence).start = 3),
      /quote has another time/,
    ],
    [
      "another speaker",
      ({ core }) => (first(core.summary_evidence).speaker = "Bob"),
      /quote is of Ada/,
    ],
    [
      "a key point that nobody made",
      ({ core }) => (core.key_points = ["They stole it"]),
      /key point was not said/,
    ],
    [
      "a relationship without a verified quote",
      ({ core }) => (first(first(core.relationships).evidence).verification = "unverified"),
      /relationship r0001 rests on no verified quote/,
    ],
    [
      "another transcript in core.json",
      ({ core }) => (first(core.transcript_segments).text = "I stole it."),
      /another transcript .*s0001/,
    ],
    [
      "a segment less in core.json",
      ({ core }) => core.transcript_segments.pop(),
      /another transcript/,
    ],
    [
      "another price of a stage",
      ({ core }) => (core.processing_info = { cost: 0.1, cost_by_stage: { transcript: 0.1 } }),
      /another cost of transcript/,
    ],
    ["a sum that is none", ({ core }) => (core.processing_info.cost = 0), /costs don't add up/],
    [
      "an edge to nowhere",
      ({ graph }) => (first(graph.edges).target = "nobody"),
      /edge r0001 joins no nodes/,
    ],
    [
      "an edge that says something else",
      ({ graph }) => (first(graph.edges).predicate = "owns"),
      /edge r0001 is no relationship/,
    ],
    [
      "a node that nobody found",
      ({ graph }) => graph.nodes.push({ ...first(graph.nodes), id: "x", label: "Victor Ghost" }),
      /node x is no entity/,
    ],
  ] as readonly (readonly [string, (files: Files) => unknown, RegExp])[]) {
    test(`${what} is a problem`, () => {
      const files = structuredClone(published);
      alter(files);

      assert.match(problemsOf(files).join("\n"), said);
    });
  }
});
