/** The published tables: one row an entity, a quote of a relationship, a topic, a moment, a segment. */
import type { Intelligence } from "../../core/intelligence.ts";
import type { Transcript } from "../../core/transcript.ts";
import { toCsv } from "./csv.ts";

export function entitiesCsv({ entities }: Intelligence): string {
  const columns = [
    "name",
    "type",
    "confidence",
    "mention_count",
    "aliases",
    "first_mention",
    "quote",
    "speaker",
    "verification",
  ];
  const rows = entities.map((entity) => {
    const said = entity.evidence.find(({ verification }) => verification !== "unverified");
    const first = said ?? entity.evidence[0];
    return [
      entity.name,
      entity.type,
      entity.confidence,
      entity.mention_count,
      entity.aliases.join("; "),
      first?.start,
      first?.quote,
      first?.speaker,
      first?.verification,
    ];
  });
  return toCsv(columns, rows);
}

export function relationshipsCsv({ relationships }: Intelligence): string {
  const columns = [
    "id",
    "subject",
    "predicate",
    "object",
    "confidence",
    "start",
    "quote",
    "speaker",
    "verification",
    "contradictions",
  ];
  const rows = relationships.flatMap((relationship) =>
    relationship.evidence.map(({ start, quote, speaker, verification }) => [
      relationship.id,
      relationship.subject,
      relationship.predicate,
      relationship.object,
      relationship.confidence,
      start,
      quote,
      speaker,
      verification,
      relationship.contradictions.join("; "),
    ]),
  );
  return toCsv(columns, rows);
}

/** A topic that rests on nothing that was quoted still has its row. */
export function topicsCsv({ topics, topic_evidence: supported = [] }: Intelligence): string {
  const rows = topics.flatMap((topic) => {
    const evidence = supported.find(({ name }) => name === topic)?.evidence ?? [];
    if (evidence.length === 0) return [[topic]];
    return evidence.map(({ start, end, quote, speaker, verification }) => [
      topic,
      start,
      end,
      quote,
      speaker,
      verification,
    ]);
  });
  const columns = ["topic", "start", "end", "quote", "speaker", "verification"];
  return toCsv(
    columns,
    rows.map((row) => [...row, ...Array<string>(columns.length - row.length).fill("")]),
  );
}

export function momentsCsv({ key_moments: moments }: Intelligence): string {
  const columns = [
    "start",
    "end",
    "significance",
    "description",
    "quote",
    "speaker",
    "verification",
  ];
  const rows = moments.map((moment) => [
    moment.start,
    moment.end,
    moment.significance,
    moment.description,
    moment.quote,
    moment.speaker,
    moment.verification,
  ]);
  return toCsv(columns, rows);
}

export function segmentsCsv({ segments }: Transcript): string {
  const rows = segments.map(({ id, start, end, speaker, text, flags }) => [
    id,
    start,
    end,
    speaker,
    text,
    flags?.join("; "),
  ]);
  return toCsv(["id", "start", "end", "speaker", "text", "flags"], rows);
}
