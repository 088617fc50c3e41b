/** What the report's templates see: plain data, already in words, no code. */
import type { Entity, Evidence, Intelligence, KnowledgeGraph } from "../../core/intelligence.ts";
import type { MediaInfo } from "../../core/media-info.ts";
import { formatUsd } from "../../core/money.ts";
import type { ItemInfo } from "../../core/records.ts";
import { safeLine, safeText } from "../../core/safe-text.ts";
import type { Provenance } from "../../core/stage.ts";
import type { Transcript } from "../../core/transcript.ts";
import { formatClock } from "../formats/timecode.ts";
import { drawGraph } from "./graph-svg.ts";
import { formatSpan, linkTo, parseWebAddress } from "./links.ts";

export interface ReportInput {
  item: ItemInfo;
  media: MediaInfo;
  transcript: Transcript;
  intelligence: Intelligence;
  knowledge_graph: KnowledgeGraph;
  provenance: Provenance;
}

const TYPE_NAMES: Record<Entity["type"], string> = {
  PERSON: "People",
  ORG: "Organisations",
  GPE: "Places",
  LOC: "Places",
  FAC: "Buildings and roads",
  EVENT: "Events",
  LAW: "Laws",
  PRODUCT: "Products",
  WORK_OF_ART: "Works",
  NORP: "Groups",
  LANGUAGE: "Languages",
  MONEY: "Sums of money",
  PERCENT: "Percentages",
  QUANTITY: "Quantities",
  DATE: "Dates",
  TIME: "Times",
  CARDINAL: "Numbers",
  ORDINAL: "Numbers",
};
const GROUP_ORDER = [...new Set(Object.values(TYPE_NAMES))];
/** A report shows the first quotes of an entity; core.json has them all. */
const MAX_QUOTES = 5;

interface QuoteView {
  span: string;
  seconds: number;
  end: number;
  link: string | null;
  speaker: string | null;
  text: string;
  is_unverified: boolean;
  verification: string;
}

export function buildView(input: ReportInput, player: string | null): Record<string, unknown> {
  const { item, media, transcript, intelligence, provenance } = input;
  const { entities, relationships, key_moments: moments } = intelligence;
  const address = item.url === null ? undefined : parseWebAddress(item.url);
  const sound = media.has_audio ? player : null;
  const quoteOf = (
    evidence: Pick<Evidence, "quote" | "start" | "end" | "speaker" | "verification">,
  ): QuoteView => ({
    span: formatSpan(evidence.start, evidence.end),
    seconds: evidence.start,
    end: evidence.end,
    link: linkTo(item.url, sound, evidence.start, evidence.end),
    speaker: evidence.speaker,
    text: safeLine(evidence.quote, 2_000),
    is_unverified: evidence.verification === "unverified",
    verification: evidence.verification,
  });
  const picture = drawGraph(input.knowledge_graph);
  const quotes = [...entities, ...relationships].flatMap(({ evidence }) => evidence);
  return {
    title: safeLine(item.title ?? media.title ?? item.file_name, 300),
    file_name: safeLine(item.file_name, 300),
    url: address?.href ?? null,
    channel: item.channel,
    published_at: item.published_at,
    description: item.description === null ? null : safeText(item.description).slice(0, 2_000),
    duration: formatClock(media.duration),
    duration_seconds: media.duration,
    player: sound,
    has_video: media.has_video,
    summary: intelligence.summary,
    topics: intelligence.topics,
    key_points: intelligence.key_points,
    moments: moments.map((moment) => ({
      ...quoteOf(moment),
      description: moment.description,
      significance: moment.significance,
      percent: media.duration > 0 ? Math.round((moment.start / media.duration) * 1000) / 10 : 0,
    })),
    entity_groups: groupEntities(entities, quoteOf),
    entity_count: entities.length,
    relationships: relationships.map((relationship) => ({
      id: relationship.id,
      subject: relationship.subject,
      predicate: relationship.predicate,
      object: relationship.object,
      contradictions: relationship.contradictions.join(", "),
      quotes: relationship.evidence.slice(0, MAX_QUOTES).map(quoteOf),
    })),
    graph: picture?.svg ?? null,
    graph_shown: picture?.shown ?? 0,
    graph_total: picture?.total ?? 0,
    turns: turnsOf(transcript, item.url, sound),
    language: transcript.language ?? "en",
    method: {
      transcript: describeTranscript(transcript),
      findings: describeFindings(intelligence),
      quotes: quotes.length,
      verified: quotes.filter(({ verification }) => verification === "verified").length,
      repaired: quotes.filter(({ verification }) => verification === "repaired").length,
      unverified: quotes.filter(({ verification }) => verification === "unverified").length,
      version: provenance.clipscribe_version,
      pipeline: provenance.pipeline,
      source_sha256: provenance.source_sha256,
      cost: formatUsd(provenance.stages.reduce((sum, { cost_usd }) => sum + cost_usd, 0)),
      stages: provenance.stages.map(({ id, uses, provider, model }) => ({
        id,
        uses,
        by: model ?? provider ?? "",
      })),
    },
  };
}

function groupEntities(
  entities: readonly Entity[],
  quoteOf: (evidence: Evidence) => QuoteView,
): { name: string; entities: unknown[] }[] {
  const groups = new Map<string, unknown[]>();
  for (const entity of entities) {
    const name = TYPE_NAMES[entity.type];
    const group = groups.get(name) ?? [];
    groups.set(name, group);
    group.push({
      name: entity.name,
      type: entity.type,
      mentions: entity.mention_count,
      aliases: entity.aliases.join(", "),
      confidence: Math.round(entity.confidence * 100),
      quotes: entity.evidence.slice(0, MAX_QUOTES).map(quoteOf),
      more: Math.max(0, entity.evidence.length - MAX_QUOTES),
    });
  }
  return GROUP_ORDER.flatMap((name) => {
    const group = groups.get(name);
    return group === undefined ? [] : [{ name, entities: group }];
  });
}

function turnsOf(transcript: Transcript, url: string | null, player: string | null): unknown[] {
  const turns: { speaker: string | null; segments: unknown[] }[] = [];
  for (const { speaker, text, start, end, id } of transcript.segments) {
    const segment = {
      id,
      text,
      seconds: start,
      end,
      clock: formatClock(start),
      link: linkTo(url, player, start, end),
    };
    const turn = turns.at(-1);
    if (turn !== undefined && turn.speaker === speaker) turn.segments.push(segment);
    else turns.push({ speaker, segments: [segment] });
  }
  return turns;
}

function describeTranscript({ provider, model }: Transcript): string {
  if (provider === "captions:sidecar") return "a caption file that lay beside the video";
  if (provider === "captions:embedded") return "the captions inside the file";
  return model === null ? provider : `${provider}, model ${model}`;
}

function describeFindings({ provider, model }: Intelligence): string {
  if (provider === "offline-rules") {
    return "fixed rules on this machine; no model was asked, and rules miss what they don't know";
  }
  return model === null ? provider : `${provider}, model ${model}`;
}
