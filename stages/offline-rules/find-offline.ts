/**
 * Finds the people, sums and claims in a transcript, offline, by documented rules: nothing is sent
 * anywhere and nothing costs money. Every mention carries the sentence it stands in, verified
 * against the transcript; what the rules can't do (a summary) is null, not made up.
 */
import { indexQuotes } from "../../core/ground-quote.ts";
import type { QuoteIndex } from "../../core/ground-quote.ts";
import type {
  Entity,
  EntityType,
  Evidence,
  Intelligence,
  KeyMoment,
  Relationship,
} from "../../core/intelligence.ts";
import type { StageContext } from "../../core/stage.ts";
import type { Segment, Transcript } from "../../core/transcript.ts";
import { distribute } from "../findings/distribute.ts";
import { canonicalNames } from "./merge-names.ts";
import { findMentions, splitSentences } from "./mention-rules.ts";
import type { Mention } from "./mention-rules.ts";
import { judgeSentence } from "./moment-rules.ts";
import { findRelation } from "./relation-rules.ts";

export const OFFLINE_MODEL = "offline/rules";
const SOURCE = "offline-rules";
/** Mentions of one entity beyond this add nothing to a report. */
const MAX_EVIDENCE = 200;
/** Who names more sums than this lists them; and ten hours of sums would point at each other. */
const MAX_CONTRADICTIONS = 10;
const NUMERIC: readonly EntityType[] = ["MONEY", "PERCENT", "CARDINAL", "DATE"];
/** Key moments closer than this are one. */
const MOMENT_GAP_S = 5;
const MAX_TOPICS = 12;
const MAX_KEY_POINTS = 6;
/** How often the runner hears of progress: segments. */
const PROGRESS_EVERY = 50;

export interface OfflineParams {
  min_confidence: number;
  max_key_moments: number;
}

export function findOffline(
  transcript: Transcript,
  params: OfflineParams,
  ctx: Pick<StageContext, "progress">,
): Intelligence {
  const found = readSegments(transcript, (fraction) => ctx.progress(fraction, "reading"));
  return assemble(transcript, found, params);
}

interface Sentence {
  segment: Segment;
  text: string;
  start: number;
  mentions: Mention[];
}

function readSegments(transcript: Transcript, report: (fraction: number) => void): Sentence[] {
  const { segments } = transcript;
  const speakers = [...new Set(segments.flatMap(({ speaker }) => speaker ?? []))];
  const known = speakers.filter((name) => /\s/.test(name) && /^\p{Lu}/u.test(name));
  return segments.flatMap((segment, index) => {
    if (index % PROGRESS_EVERY === 0) report(index / segments.length);
    const mentions = findMentions(segment.text, known);
    return splitSentences(segment.text).map(({ text, start, end }) => ({
      segment,
      text,
      start,
      mentions: mentions.filter((mention) => mention.start >= start && mention.start < end),
    }));
  });
}

function assemble(
  transcript: Transcript,
  sentences: readonly Sentence[],
  params: OfflineParams,
): Intelligence {
  const quotes = indexQuotes(transcript.segments);
  const names = nameEntities(transcript, sentences, params.min_confidence);
  const entities = collectEntities(transcript, sentences, names, quotes);
  const moments = findMoments(sentences, quotes, params.max_key_moments);
  const topics = findTopics(entities);
  return {
    schema: 1,
    provider: SOURCE,
    model: null,
    entities,
    relationships: findRelationships(sentences, names, quotes),
    topics: topics.map(({ name }) => name),
    topic_evidence: topics.map(({ name, evidence }) => ({ name, evidence })),
    key_points: keyPoints(moments),
    key_moments: moments,
    summary: null,
  };
}

/** Returns the canonical name of a mention, or undefined where it is too uncertain. */
type Names = (mention: Mention) => string | undefined;

function nameEntities(
  transcript: Transcript,
  sentences: readonly Sentence[],
  minConfidence: number,
): Names {
  const byType = new Map<EntityType, Set<string>>();
  const namesOf = (type: EntityType): Set<string> => {
    const names = byType.get(type) ?? new Set<string>();
    byType.set(type, names);
    return names;
  };
  for (const { segment, mentions } of sentences) {
    if (segment.speaker !== null) namesOf("PERSON").add(segment.speaker);
    for (const { type, text } of mentions) namesOf(type).add(text);
  }
  const canonical = new Map(
    [...byType].map(([type, names]) => [type, canonicalNames(type, names)] as const),
  );
  return ({ type, text, confidence }) =>
    confidence >= minConfidence ? (canonical.get(type)?.get(text) ?? text) : undefined;
}

function collectEntities(
  transcript: Transcript,
  sentences: readonly Sentence[],
  nameOf: Names,
  quotes: QuoteIndex,
): Entity[] {
  const entities = new Map<
    string,
    {
      type: EntityType;
      name: string;
      texts: Set<string>;
      confidence: number;
      evidence: Evidence[];
      count: number;
    }
  >();
  for (const sentence of sentences) {
    for (const mention of sentence.mentions) {
      const name = nameOf(mention);
      if (name === undefined) continue;
      const key = `${mention.type}:${name.toLowerCase()}`;
      const entity = entities.get(key) ?? {
        type: mention.type,
        name,
        texts: new Set<string>(),
        confidence: 0,
        evidence: [],
        count: 0,
      };
      entities.set(key, entity);
      entity.count++;
      entity.texts.add(mention.text);
      entity.confidence = Math.max(entity.confidence, mention.confidence);
      if (entity.evidence.length < MAX_EVIDENCE) {
        entity.evidence.push(evidenceOf(sentence, mention.confidence, quotes));
      }
    }
  }
  return [...entities.values()]
    .map((entity) => ({
      name: entity.name,
      type: entity.type,
      confidence: entity.confidence,
      mention_count: entity.count,
      aliases: [...entity.texts].filter((text) => text !== entity.name).toSorted(),
      canonical_form: entity.name,
      evidence: entity.evidence,
      extraction_sources: [SOURCE],
      temporal_distribution: distribute(entity.evidence, transcript.duration),
    }))
    .toSorted((a, b) => b.mention_count - a.mention_count || (a.name < b.name ? -1 : 1));
}

function evidenceOf(sentence: Sentence, confidence: number, quotes: QuoteIndex): Evidence {
  const grounded = quotes.ground(sentence.text, [sentence.segment.id]);
  return { ...grounded, timestamp: grounded.start, source: SOURCE, confidence };
}

function findRelationships(
  sentences: readonly Sentence[],
  nameOf: Names,
  quotes: QuoteIndex,
): Relationship[] {
  const found = new Map<string, Relationship & { objectType: EntityType }>();
  for (const sentence of sentences) {
    for (const [at, first] of sentence.mentions.entries()) {
      for (const second of sentence.mentions.slice(at + 1, at + 4)) {
        const between = sentence.segment.text.slice(first.end, second.start);
        const relation = findRelation(between, first.type, second.type);
        const subject = nameOf(first);
        const object = nameOf(second);
        if (relation === undefined || subject === undefined || object === undefined) continue;
        if (subject === object) continue;
        const key = JSON.stringify([subject, relation.predicate, object]);
        const evidence = evidenceOf(sentence, relation.confidence, quotes);
        const known = found.get(key);
        if (known !== undefined) {
          known.evidence.push(evidence);
          continue;
        }
        found.set(key, {
          id: `r${String(found.size + 1).padStart(4, "0")}`,
          subject,
          predicate: relation.predicate,
          object,
          objectType: second.type,
          confidence: relation.confidence,
          evidence: [evidence],
          extraction_source: SOURCE,
          contradictions: [],
        });
        break;
      }
    }
  }
  return markContradictions([...found.values()]);
}

/** The same said with another number, or said and denied. */
function markContradictions(
  relationships: (Relationship & { objectType: EntityType })[],
): Relationship[] {
  const bySubject = Map.groupBy(relationships, ({ subject }) => subject);
  return relationships.map((relationship) => {
    const { objectType: _type, ...rest } = relationship;
    const contradictions: string[] = [];
    for (const other of bySubject.get(relationship.subject) ?? []) {
      if (contradicts(relationship, other)) contradictions.push(other.id);
      if (contradictions.length >= MAX_CONTRADICTIONS) break;
    }
    return { ...rest, contradictions };
  });
}

type Typed = Relationship & { objectType: EntityType };

function contradicts(one: Typed, other: Typed): boolean {
  if (other.id === one.id) return false;
  const otherNumber =
    other.predicate === one.predicate &&
    other.objectType === one.objectType &&
    NUMERIC.includes(one.objectType) &&
    other.object !== one.object;
  const denied =
    other.object === one.object &&
    (other.predicate === `did not: ${one.predicate}` ||
      one.predicate === `did not: ${other.predicate}`);
  return otherNumber || denied;
}

function findMoments(sentences: readonly Sentence[], quotes: QuoteIndex, max: number): KeyMoment[] {
  const judged = sentences.flatMap((sentence) => {
    const moment = judgeSentence(sentence.text);
    return moment === undefined ? [] : [{ sentence, moment }];
  });
  const ranked = judged.toSorted(
    (a, b) =>
      b.moment.score - a.moment.score || a.sentence.segment.start - b.sentence.segment.start,
  );
  const chosen: typeof judged = [];
  for (const candidate of ranked) {
    if (chosen.length >= max) break;
    const { start } = candidate.sentence.segment;
    const isApart = chosen.every(
      ({ sentence }) => Math.abs(sentence.segment.start - start) >= MOMENT_GAP_S,
    );
    if (isApart) chosen.push(candidate);
  }
  return chosen
    .toSorted((a, b) => a.sentence.segment.start - b.sentence.segment.start)
    .map(({ sentence, moment }) => {
      const grounded = quotes.ground(sentence.text, [sentence.segment.id]);
      const { description, significance } = moment;
      return { ...grounded, timestamp: grounded.start, description, significance };
    });
}

function findTopics(entities: readonly Entity[]): Entity[] {
  const kinds: readonly EntityType[] = ["ORG", "FAC", "GPE", "LOC", "EVENT", "LAW", "PRODUCT"];
  return entities.filter(({ type }) => kinds.includes(type)).slice(0, MAX_TOPICS);
}

function keyPoints(moments: readonly KeyMoment[]): string[] {
  const telling = moments.filter(({ significance }) => significance !== "promise");
  return telling.slice(0, MAX_KEY_POINTS).map(({ quote }) => quote);
}
