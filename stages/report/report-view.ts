/** What the report's templates and its DOCX see: plain data, already in words, no code. */
import { VERIFICATIONS, bestVerification } from "../../core/intelligence.ts";
import type { Entity, Evidence, Intelligence, KnowledgeGraph } from "../../core/intelligence.ts";
import type { MediaInfo } from "../../core/media-info.ts";
import { formatUsd } from "../../core/money.ts";
import type { ItemInfo } from "../../core/records.ts";
import { safeLine, safeText } from "../../core/safe-text.ts";
import type { Provenance } from "../../core/stage.ts";
import type { Transcript } from "../../core/transcript.ts";
import { formatClock } from "../formats/timecode.ts";
import { drawGraph } from "./graph-svg.ts";
import type { GraphPicture } from "./graph-svg.ts";
import { formatSpan, linkTo, parseWebAddress } from "./links.ts";
import { doubtsOf, viewSpeakers, viewTime, viewTimeline, viewTurns } from "./view-parts.ts";
import type { LinkOf, SpeakerView, TimeView, TimelineRow, TurnView } from "./view-parts.ts";

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
/** A report shows the first quotes of an entity, and the seconds of so many more of them. */
const MAX_QUOTES = 5;
const MAX_MORE_TIMES = 195;
const MAX_QUOTE_CHARS = 2_000;
const OFFLINE_RULES = "offline-rules";

export interface QuoteView {
  span: string;
  seconds: number;
  end: number;
  link: string | null;
  speaker: string | null;
  text: string;
  is_unverified: boolean;
  is_repaired: boolean;
  verification: Evidence["verification"];
  /** Why the words of the transcript may be none that were said; empty: nothing is wrong there. */
  doubt: string;
}

interface MomentView extends QuoteView {
  description: string;
  significance: string;
}

interface EntityView {
  anchor: string;
  name: string;
  type: string;
  mentions: number;
  aliases: string;
  confidence: number;
  /** Only a model says that it was spoken of. */
  is_unverified: boolean;
  quotes: QuoteView[];
  /** Where else it is spoken of. */
  more: TimeView[];
}

interface RelationshipView {
  id: string;
  subject: string;
  predicate: string;
  object: string;
  contradictions: string;
  quotes: QuoteView[];
}

export interface ReportView {
  title: string;
  file_name: string;
  url: string | null;
  channel: string | null;
  published_at: string | null;
  description: string | null;
  duration: string;
  duration_seconds: number;
  /** The published sound; null where the source has none. */
  player: string | null;
  has_video: boolean;
  /** BCP 47: the language of what was said. The report's own words are English. */
  language: string;
  summary: string | null;
  /** No quote that was said supports it. */
  summary_is_unverified: boolean;
  summary_quotes: QuoteView[];
  sentiment: { overall: string; quotes: QuoteView[] } | null;
  topics: { name: string; quotes: QuoteView[] }[];
  key_points: string[];
  moments: MomentView[];
  speakers: SpeakerView[];
  timeline: TimelineRow[];
  /** What a line of the timeline stands for. */
  timeline_seconds: number;
  /** Clocks under the timeline: start, quarters, end. */
  ticks: string[];
  entity_groups: { name: string; entities: EntityView[] }[];
  entity_count: number;
  /** A name, a relationship or a moment, that is. */
  has_findings: boolean;
  relationships: RelationshipView[];
  graph: GraphPicture | null;
  turns: TurnView[];
  segment_count: number;
  /** What is missing, and why; empty: nothing that was asked for. */
  lacks: { stage: string; why: string }[];
  method: {
    transcript: string;
    findings: string;
    /** No model was asked for the findings. */
    by_rules: boolean;
    quotes: number;
    verified: number;
    repaired: number;
    unverified: number;
    flagged: number;
    version: string;
    pipeline: string;
    source_sha256: string;
    cost: string;
    stages: { id: string; uses: string; by: string; cost: string; ended_at: string }[];
  };
}

export function buildView(input: ReportInput, player: string | null): ReportView {
  const { item, media, transcript, intelligence, provenance } = input;
  const { entities, relationships, key_moments: moments } = intelligence;
  const sound = media.has_audio ? player : null;
  const linkOf = (start: number, end: number): string | null => linkTo(item.url, sound, start, end);
  const quoteOf = quoteViewer(linkOf, doubtsOf(transcript));
  const anchors = new Map(entities.map((entity, at) => [entity, `name-${at + 1}`]));
  const anchorOf = (entity: Entity): string => anchors.get(entity) ?? "names";
  const { topic_evidence: supported = [], summary_evidence: summaryQuotes = [] } = intelligence;
  // Captions may go on after the sound.
  const seconds = transcript.segments.reduce(
    (most, { end }) => Math.max(most, end),
    media.duration,
  );
  return {
    title: safeLine(item.title ?? media.title ?? withoutExtension(item.file_name), 300),
    file_name: safeLine(item.file_name, 300),
    url: item.url === null ? null : (parseWebAddress(item.url)?.href ?? null),
    channel: item.channel,
    published_at: item.published_at,
    description: item.description === null ? null : safeText(item.description).slice(0, 2_000),
    duration: formatClock(media.duration),
    duration_seconds: media.duration,
    player: sound,
    has_video: media.has_video,
    language: transcript.language ?? "",
    summary: intelligence.summary,
    summary_is_unverified:
      intelligence.provider !== OFFLINE_RULES && bestVerification(summaryQuotes) === "unverified",
    summary_quotes: summaryQuotes.slice(0, MAX_QUOTES).map(quoteOf),
    sentiment: viewSentiment(intelligence, quoteOf),
    topics: intelligence.topics.map((name) => ({
      name,
      quotes: saidFirst(supported.find((topic) => topic.name === name)?.evidence ?? [])
        .slice(0, MAX_QUOTES)
        .map(quoteOf),
    })),
    key_points: intelligence.key_points,
    moments: moments.map((moment) => ({
      ...quoteOf(moment),
      // Offline rules have no words of their own: a quote twice says nothing more.
      description: moment.description === moment.quote ? "" : moment.description,
      significance: moment.significance,
    })),
    speakers: viewSpeakers(transcript),
    timeline: viewTimeline(intelligence, anchorOf, seconds, linkOf),
    timeline_seconds: seconds,
    ticks: [0, 0.25, 0.5, 0.75, 1].map((part) => formatClock(seconds * part)),
    entity_groups: groupEntities(entities, quoteOf, anchorOf, linkOf),
    entity_count: entities.length,
    has_findings: entities.length + relationships.length + moments.length > 0,
    relationships: relationships.map((relationship) => ({
      id: relationship.id,
      subject: relationship.subject,
      predicate: relationship.predicate,
      object: relationship.object,
      contradictions: relationship.contradictions.join(", "),
      quotes: relationship.evidence.slice(0, MAX_QUOTES).map(quoteOf),
    })),
    graph: drawGraph(input.knowledge_graph) ?? null,
    turns: viewTurns(transcript, linkOf),
    segment_count: transcript.segments.length,
    lacks: provenance.lacks.map(({ stage, why }) => ({ stage, why: safeLine(why) })),
    method: describeMethod(input),
  };
}

function withoutExtension(fileName: string): string {
  return fileName.replace(/(?<=.)\.[A-Za-z0-9]{2,5}$/, "");
}

type Quoted = Pick<
  Evidence,
  "quote" | "start" | "end" | "speaker" | "verification" | "segment_ids"
>;

function quoteViewer(
  linkOf: LinkOf,
  doubts: ReadonlyMap<string, string>,
): (evidence: Quoted) => QuoteView {
  return ({ quote, start, end, speaker, verification, segment_ids: ids }) => ({
    span: formatSpan(start, end),
    seconds: start,
    end,
    // A quote that nobody said has no second to show.
    link: verification === "unverified" ? null : linkOf(start, end),
    // Nor a mouth to be put into: it is the model's, until somebody finds it.
    speaker: speaker === null || verification === "unverified" ? null : safeLine(speaker, 200),
    text: safeLine(quote, MAX_QUOTE_CHARS),
    is_unverified: verification === "unverified",
    is_repaired: verification === "repaired",
    verification,
    doubt:
      verification === "unverified" ? "" : (ids.flatMap((id) => doubts.get(id) ?? [])[0] ?? ""),
  });
}

/** What was said before what was not, else in their order. */
function saidFirst(evidence: readonly Evidence[]): Evidence[] {
  return evidence.toSorted(
    (a, b) => Number(a.verification === "unverified") - Number(b.verification === "unverified"),
  );
}

function viewSentiment(
  { sentiment = null }: Intelligence,
  quoteOf: (evidence: Evidence) => QuoteView,
): ReportView["sentiment"] {
  if (sentiment === null) return null;
  const quotes = sentiment.evidence.slice(0, MAX_QUOTES).map(quoteOf);
  return { overall: safeLine(sentiment.overall, 300), quotes };
}

function groupEntities(
  entities: readonly Entity[],
  quoteOf: (evidence: Evidence) => QuoteView,
  anchorOf: (entity: Entity) => string,
  linkOf: LinkOf,
): ReportView["entity_groups"] {
  const groups = new Map<string, EntityView[]>();
  for (const entity of entities) {
    const name = TYPE_NAMES[entity.type];
    const group = groups.get(name) ?? [];
    groups.set(name, group);
    group.push({
      anchor: anchorOf(entity),
      name: entity.name,
      type: entity.type,
      mentions: entity.mention_count,
      aliases: entity.aliases.join(", "),
      confidence: Math.round(entity.confidence * 100),
      is_unverified: bestVerification(entity.evidence) === "unverified",
      quotes: saidFirst(entity.evidence).slice(0, MAX_QUOTES).map(quoteOf),
      more: saidFirst(entity.evidence)
        .slice(MAX_QUOTES, MAX_QUOTES + MAX_MORE_TIMES)
        .filter(({ verification }) => verification !== "unverified")
        .map(({ start, end }) => viewTime(start, end, linkOf)),
    });
  }
  return GROUP_ORDER.flatMap((name) => {
    const group = groups.get(name);
    return group === undefined ? [] : [{ name, entities: group }];
  });
}

function describeMethod(input: ReportInput): ReportView["method"] {
  const { transcript, intelligence, provenance } = input;
  const { topic_evidence: topics = [], summary_evidence: summary = [], sentiment } = intelligence;
  const supported = [...intelligence.entities, ...intelligence.relationships, ...topics];
  const quotes = [
    ...supported.flatMap(({ evidence }) => evidence),
    ...intelligence.key_moments,
    ...summary,
    ...(sentiment?.evidence ?? []),
  ];
  const [verified, repaired, unverified] = VERIFICATIONS.map(
    (label) => quotes.filter(({ verification }) => verification === label).length,
  );
  return {
    transcript: describeTranscript(transcript),
    findings: describeFindings(intelligence),
    by_rules: intelligence.provider === OFFLINE_RULES,
    quotes: quotes.length,
    verified: verified ?? 0,
    repaired: repaired ?? 0,
    unverified: unverified ?? 0,
    flagged: transcript.segments.filter(({ flags = [] }) => flags.length > 0).length,
    version: provenance.clipscribe_version,
    pipeline: provenance.pipeline,
    source_sha256: provenance.source_sha256,
    cost: formatUsd(provenance.stages.reduce((sum, { cost_usd }) => sum + cost_usd, 0)),
    stages: provenance.stages.map(({ id, uses, provider, model, cost_usd: cost, ended_at }) => ({
      id,
      uses,
      by: [provider, model].filter((part) => part !== null).join(" "),
      cost: formatUsd(cost),
      ended_at: ended_at.slice(0, 19).replace("T", " "),
    })),
  };
}

function describeTranscript({ provider, model }: Transcript): string {
  if (provider === "captions:sidecar") return "a caption file that lay beside the video";
  if (provider === "captions:embedded") return "the captions inside the file";
  return model === null ? provider : `${provider}, model ${model}`;
}

function describeFindings({ provider, model }: Intelligence): string {
  if (provider === OFFLINE_RULES) {
    return "fixed rules on this machine; no model was asked, and rules miss what they don't know";
  }
  return model === null ? provider : `${provider}, model ${model}`;
}
