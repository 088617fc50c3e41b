/** Each published file, opened by a program or a library that knows nothing of this one. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { Ajv2020 } from "ajv/dist/2020.js";
import { parse as parseCsv } from "csv-parse/sync";
import graphology from "graphology";
import gexf from "graphology-gexf";
import graphml from "graphology-graphml";

import type { Intelligence, KnowledgeGraph } from "../core/intelligence.ts";
import type { Segment, Transcript } from "../core/transcript.ts";
import { publishAll } from "../samples/publish-all.ts";
import type { Published } from "../samples/publish-all.ts";

const HOSTILE = `=cmd|'/c calc'!A1 <b>"x"</b> & --> ]]> \u0007\u001b[31m, 第一 שלום`;
const words = (text: string, start: number): Segment["words"] =>
  text
    .split(" ")
    .map((each, at) => ({ text: each, start: start + at / 2, end: start + at / 2 + 0.4 }));

function transcriptOf(): Transcript {
  const line = "Mayor Elena Vasquez paid $4.2 million to Norden Construction in Oslo.";
  const texts: [speaker: string | null, text: string][] = [
    ["Ada", line],
    ["Bob <b> & Co", `Nobody said that ${HOSTILE}`],
    [null, "היא שילמה. 橋は閉鎖されました。"],
  ];
  const segments = texts.map(([speaker, text], at) => ({
    id: `s000${at + 1}`,
    start: at * 10,
    end: at * 10 + 8,
    text,
    speaker,
    ...(at === 0 && { words: words(text, 0) }),
  }));
  return {
    schema: 1,
    language: "en",
    duration: 30,
    provider: "mistral",
    model: "voxtral-mini-2602",
    segments,
  };
}

const quoted = (quote: string, verification: "verified" | "unverified" = "verified") => ({
  quote,
  timestamp: 0,
  start: 0,
  end: 5.5,
  segment_ids: ["s0001"],
  speaker: "Ada",
  source: "xai",
  confidence: 0.9,
  verification,
});

function findings(): Intelligence {
  const entity = (
    name: string,
    type: "PERSON" | "ORG",
    quotes = [quoted("Elena Vasquez paid")],
  ) => ({
    name,
    type,
    confidence: 0.9,
    mention_count: 1,
    aliases: [HOSTILE],
    canonical_form: name,
    evidence: quotes,
    extraction_sources: ["xai"],
    temporal_distribution: [],
  });
  const relation = (id: string, predicate: string) => ({
    id,
    subject: "Elena Vasquez",
    predicate,
    object: HOSTILE,
    confidence: 0.8,
    evidence: [quoted("paid $4.2 million")],
    extraction_source: "xai",
    contradictions: [],
  });
  return {
    schema: 1,
    provider: "xai",
    model: "grok-4.3",
    entities: [
      entity("Elena Vasquez", "PERSON"),
      entity(HOSTILE, "ORG", [quoted("She burned the files", "unverified")]),
    ],
    // Two edges of the same pair.
    relationships: [relation("r0001", "paid"), relation("r0002", HOSTILE)],
    topics: [HOSTILE],
    topic_evidence: [{ name: HOSTILE, evidence: [quoted("in Oslo")] }],
    key_points: [HOSTILE],
    key_moments: [
      {
        timestamp: 0,
        start: 0,
        end: 5.5,
        description: HOSTILE,
        significance: "sum",
        quote: "paid $4.2 million",
        segment_ids: ["s0001"],
        speaker: "Ada",
        verification: "verified",
      },
    ],
    summary: HOSTILE,
    summary_evidence: [quoted("in Oslo")],
    sentiment: { overall: HOSTILE, evidence: [quoted("in Oslo")] },
  };
}

async function publish(t: TestContext): Promise<Published> {
  return publishAll(t, {
    transcript: transcriptOf(),
    intelligence: findings(),
    item: { title: HOSTILE, file_name: `${HOSTILE}.mp4`, description: HOSTILE, channel: HOSTILE },
  });
}

/** The Word document of a folder as LibreOffice reads it, in HTML; that wraps lines anywhere. */
function readDocument(folder: string): string {
  const profile = `-env:UserInstallation=file://${join(folder, "profile")}`;
  const into = ["--convert-to", "html:HTML (StarWriter)", "--outdir", folder];
  const args = [profile, "--headless", ...into, join(folder, "report.docx")];
  execFileSync("soffice", args, { stdio: "pipe", timeout: 120_000 });
  return readFileSync(join(folder, "report.html"), "utf8").replaceAll(/\s+/g, " ");
}

describe("published files, opened by others", () => {
  test("ffmpeg reads every cue of the subtitles and the chapters", async (t) => {
    const published = await publish(t);
    const cuesOf = (name: string): { start: number; length: number }[] => {
      const out = execFileSync(
        "ffprobe",
        ["-v", "error", "-show_packets", "-of", "json", join(published.folder, name)],
        { encoding: "utf8" },
      );
      const { packets } = JSON.parse(out) as {
        packets: { pts_time: string; duration_time: string }[];
      };
      return packets.map(({ pts_time, duration_time }) => ({
        start: Number(pts_time),
        length: Number(duration_time),
      }));
    };

    for (const name of ["transcript.srt", "transcript.vtt"]) {
      const cues = cuesOf(name);
      const blocks = (await published.text(name)).match(/^\d\d:\d\d:\d\d[.,]\d{3} --> /gm) ?? [];
      assert.equal(cues.length, blocks.length, name);
      assert.ok(cues.length >= 3);
      assert.ok(cues.every(({ length }) => length > 0 && length <= 7.001));
    }
    assert.equal(cuesOf("chapters.vtt").length, 1);
    assert.match(await published.text("transcript.vtt"), /Elena <00:00:01\.000>Vasquez/);
  });

  test("LibreOffice finds real headings, and every quote, in the document", async (t) => {
    const { folder } = await publish(t);

    const html = readDocument(folder);

    for (const heading of ["Summary", "Key moments", "Relationships", "How this was made"]) {
      assert.match(html, new RegExp(`<h1[^>]*>(?:<[^>]+>)*${heading}`), heading);
    }
    assert.match(html, /<h2[^>]*>(?:<[^>]+>)*People/);
    assert.match(html, /She burned the files” ?(?:<[^>]+>| )*\(unverified\)/);
    assert.match(html, /4\.2 million/);
    assert.match(html, /&lt;b&gt;/);
    assert.doesNotMatch(html, /<b>"?x/);
  });

  test("LibreOffice sets what is read from the right at the right, with its times in order", async (t) => {
    const text = "يعلن رئيس البلدية ميزانية المدينة.";
    const said = { id: "s0001", start: 6, end: 11, text, speaker: "أحمد الخطيب" };
    const { folder } = await publishAll(t, {
      transcript: {
        ...{ schema: 1, language: "ar", duration: 20, provider: "test", model: null },
        segments: [said],
      },
      chat: () =>
        Promise.resolve({
          key_moments: [
            { description: "", significance: "", evidence: [{ segment_id: "s0001", quote: text }] },
          ],
        }),
    });

    const html = readDocument(folder);

    const lines = [...html.matchAll(/<p [^>]*dir="rtl"[^>]*>(?:(?!<\/p>).)*<\/p>/g)].map(String);
    const quoted = lines.filter((line) => line.includes("\u2066[00:00:06–00:00:11]\u2069"));
    assert.equal(quoted.length, 1, lines.join("\n"));
    assert.match(quoted[0] ?? "", /ميزانية/);
    assert.match(html, /<h1(?![^>]*rtl)[^>]*>Key moments/);
  });

  test("a strict reader of RFC 4180 reads the tables, and no cell computes", async (t) => {
    const published = await publish(t);
    const rowsOf = async (name: string): Promise<string[][]> => {
      const text = await published.text(name);
      assert.ok(text.startsWith("\ufeff"), name);
      return parseCsv(text, { bom: true, record_delimiter: "\r\n", relax_quotes: false });
    };

    const expected = { entities: 2, relationships: 2, topics: 1, key_moments: 1, segments: 3 };
    for (const [name, count] of Object.entries(expected)) {
      const rows = await rowsOf(`${name}.csv`);
      assert.equal(rows.length, count + 1, name);
      for (const cell of rows.slice(1).flat()) assert.doesNotMatch(cell, /^[=+@\t\r-]/, name);
    }
  });

  test("a graph library reads both graph files, parallel edges and foreign letters included", async (t) => {
    const published = await publish(t);
    const { nodes, edges } = JSON.parse(
      await published.text("knowledge_graph.json"),
    ) as KnowledgeGraph;
    const Graph = graphology.MultiDirectedGraph;

    const fromGexf = gexf.parse(Graph, await published.text("knowledge_graph.gexf"));
    const fromGraphMl = graphml.parse(Graph, await published.text("knowledge_graph.graphml"));

    for (const graph of [fromGexf, fromGraphMl]) {
      assert.equal(graph.order, nodes.length);
      assert.equal(graph.size, edges.length);
      const attributes = graph.getNodeAttributes(nodes[0]?.id ?? "");
      assert.equal(attributes["label"], "Elena Vasquez");
      assert.equal(attributes["mention_count"], 1);
      assert.equal(attributes["confidence"], 0.9);
    }
    const text = await published.text("knowledge_graph.gexf");
    assert.match(text, /mode="dynamic"/);
    // Spoken of from 0 to 5.5 s; what nobody said gives the other node no time.
    assert.equal(text.match(/<spell start="0" end="5.5">/g)?.length, 1 + edges.length);
  });

  test("each JSON file fits its published schema", async (t) => {
    const published = await publish(t);
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
    const files = {
      core: "core.json",
      transcript: "transcript.json",
      knowledge_graph: "knowledge_graph.json",
      clips: "clips.jsonld",
    };

    for (const [name, file] of Object.entries(files)) {
      const path = join(import.meta.dirname, "..", "docs", "schemas", `${name}.schema.json`);
      const check = ajv.compile(JSON.parse(readFileSync(path, "utf8")) as object);
      assert.ok(
        check(JSON.parse(await published.text(file))),
        `${file}: ${ajv.errorsText(check.errors)}`,
      );
    }
  });

  test("the oTranscribe file has the times and the words, and nobody's tags", async (t) => {
    const otr = JSON.parse(await (await publish(t)).text("transcript.otr")) as Record<
      string,
      string
    >;

    assert.deepEqual(Object.keys(otr), ["text", "media", "media-time"]);
    assert.match(otr["text"] ?? "", /data-timestamp="10">00:10<\/span> Nobody said/);
    assert.doesNotMatch((otr["text"] ?? "").replaceAll(/<b>[^<]*:<\/b>/g, ""), /<b>/);
  });
});
