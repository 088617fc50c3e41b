/**
 * Whether what results say of a recording holds, from their files alone: every quote against the
 * transcript, words, time and speaker; every edge and node of the graph against the findings; the
 * findings' own copy of the transcript and of the costs against the originals.
 */
import { z } from "zod";

import { indexQuotes } from "../core/ground-quote.ts";
import { Evidence, KeyMoment } from "../core/intelligence.ts";
import type { KnowledgeGraph } from "../core/intelligence.ts";
import type { Manifest } from "../core/records.ts";
import { Segment } from "../core/transcript.ts";

const Supported = z.object({ evidence: z.array(Evidence) });
export const CoreFile = z.object({
  processing_info: z.object({
    cost: z.number(),
    cost_by_stage: z.record(z.string(), z.number()),
  }),
  transcript_segments: z.array(
    z.object({
      segment_id: z.string(),
      text: z.string(),
      start_time: z.number(),
      end_time: z.number(),
      speaker: z.string().nullable(),
    }),
  ),
  entities: z.array(Supported.extend({ name: z.string(), type: z.string() })),
  relationships: z.array(
    Supported.extend({
      id: z.string(),
      subject: z.string(),
      predicate: z.string(),
      object: z.string(),
    }),
  ),
  key_points: z.array(z.string()),
  key_moments: z.array(KeyMoment),
  topic_evidence: z.array(Supported).default([]),
  summary_evidence: z.array(Evidence).default([]),
  sentiment: Supported.nullish(),
});
export type CoreFile = z.infer<typeof CoreFile>;
export const TranscriptFile = z.object({ segments: z.array(Segment) });
export type TranscriptFile = z.infer<typeof TranscriptFile>;

/** A second that was written and read again may differ by so much. */
const ROUNDING_S = 0.001;
const ROUNDING_USD = 1e-9;

/** What is marked verified or repaired has to be found again, at the same time, of the same person. */
export function verifyQuotes(
  core: CoreFile,
  { segments }: TranscriptFile,
): { count: number; problems: string[] } {
  const problems: string[] = [];
  const supported = [...core.entities, ...core.relationships, ...core.topic_evidence];
  const quotes = [
    ...supported.flatMap(({ evidence }) => evidence),
    ...core.key_moments,
    ...core.summary_evidence,
    ...(core.sentiment?.evidence ?? []),
  ];
  const index = indexQuotes(segments);
  for (const { quote, segment_ids: ids, start, end, speaker, verification } of quotes) {
    if (verification === "unverified") continue;
    const found = index.ground(quote, ids);
    if (found.verification !== "verified") {
      problems.push(`quote is not in ${ids.join(", ")}: ${quote}`);
    } else if (isAway(found.start, start) || isAway(found.end, end)) {
      problems.push(`quote has another time: ${quote}`);
    } else if (found.speaker !== speaker) {
      problems.push(`quote is of ${found.speaker ?? "nobody who is named"}: ${quote}`);
    }
  }
  for (const point of core.key_points) {
    const isSaid = index.ground(point, []).verification !== "unverified";
    const isQuoted = core.key_moments.some(
      ({ quote, verification }) => verification !== "unverified" && quote === point,
    );
    if (!isSaid && !isQuoted) problems.push(`key point was not said: ${point}`);
  }
  for (const { id, evidence } of core.relationships) {
    if (!evidence.some(({ verification }) => verification === "verified")) {
      problems.push(`relationship ${id} rests on no verified quote`);
    }
  }
  return { count: quotes.length, problems };
}

/** The findings' own copy of the transcript, and of the prices. */
export function verifyCopies(
  core: CoreFile,
  { segments }: TranscriptFile,
  manifest: Pick<Manifest, "stages">,
): string[] {
  const problems: string[] = [];
  const originals = new Map(segments.map((segment) => [segment.id, segment]));
  const isSame = (copy: CoreFile["transcript_segments"][number]): boolean => {
    const original = originals.get(copy.segment_id);
    return (
      original?.text === copy.text &&
      original.speaker === copy.speaker &&
      !isAway(original.start, copy.start_time) &&
      !isAway(original.end, copy.end_time)
    );
  };
  const differing = core.transcript_segments.filter((copy) => !isSame(copy));
  if (differing.length > 0 || core.transcript_segments.length !== segments.length) {
    const where = differing.map(({ segment_id: id }) => id).slice(0, 5);
    problems.push(`core.json has another transcript than transcript.json: ${where.join(", ")}`);
  }
  const { cost, cost_by_stage: byStage } = core.processing_info;
  const sum = Object.values(byStage).reduce((total, usd) => total + usd, 0);
  if (Math.abs(sum - cost) > ROUNDING_USD) problems.push("core.json's costs don't add up");
  const costs = new Map(manifest.stages.map(({ id, cost_usd: usd }) => [id, usd]));
  for (const [id, usd] of Object.entries(byStage)) {
    if (Math.abs((costs.get(id) ?? 0) - usd) > ROUNDING_USD) {
      problems.push(`core.json has another cost of ${id} than manifest.json`);
    }
  }
  return problems;
}

/** An edge joins nodes that exist; where the findings are known, it is one of their relationships. */
export function verifyGraph(
  { nodes, edges }: KnowledgeGraph,
  core: CoreFile | undefined,
): string[] {
  const problems: string[] = [];
  const labels = new Map(nodes.map(({ id, label }) => [id, label]));
  const relationships = new Map(core?.relationships.map((each) => [each.id, each]));
  const entities = new Set(core?.entities.map(({ type, name }) => JSON.stringify([type, name])));
  for (const { id, source, target, predicate } of edges) {
    const [from, to] = [labels.get(source), labels.get(target)];
    if (from === undefined || to === undefined) problems.push(`graph: edge ${id} joins no nodes`);
    if (core === undefined) continue;
    const said = relationships.get(id);
    const isSame = said?.subject === from && said?.object === to && said?.predicate === predicate;
    if (!isSame) problems.push(`graph: edge ${id} is no relationship of core.json`);
  }
  if (core === undefined) return problems;
  for (const { id, type, label } of nodes) {
    const isFound = entities.has(JSON.stringify([type, label]));
    if (!isFound) problems.push(`graph: node ${id} is no entity of core.json`);
  }
  return problems;
}

function isAway(a: number, b: number): boolean {
  return Math.abs(a - b) > ROUNDING_S;
}
