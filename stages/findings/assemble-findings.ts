/**
 * From a model's answers to findings that can be trusted: every quote is looked up in the
 * transcript, one entity has one name over all chunks, and a relationship without a verified quote,
 * or between things that nobody found, is left out.
 */
import { indexQuotes } from "../../core/ground-quote.ts";
import type { QuoteIndex } from "../../core/ground-quote.ts";
import { ENTITY_TYPES, VERIFICATIONS } from "../../core/intelligence.ts";
import type { Entity, Evidence, Intelligence, KeyMoment } from "../../core/intelligence.ts";
import { safeLine } from "../../core/safe-text.ts";
import type { Transcript } from "../../core/transcript.ts";
import { canonicalNames } from "../offline-rules/merge-names.ts";
import type { ModelFindings } from "./ask-model.ts";
import { distribute } from "./distribute.ts";

type EntityType = Entity["type"];

/** A model gives no probabilities worth the name: confidence says how well the quotes hold. */
const CONFIDENCE = { verified: 0.9, repaired: 0.7, unverified: 0.3 } as const;
const MAX_EVIDENCE = 200;

/** Names that models use beside the eighteen types. */
const OTHER_TYPES: Record<string, EntityType> = {
  PEOPLE: "PERSON",
  HUMAN: "PERSON",
  ORGANIZATION: "ORG",
  ORGANISATION: "ORG",
  COMPANY: "ORG",
  PLACE: "GPE",
  CITY: "GPE",
  COUNTRY: "GPE",
  LOCATION: "LOC",
  FACILITY: "FAC",
  NUMBER: "CARDINAL",
  PERCENTAGE: "PERCENT",
};

export interface Assembled {
  intelligence: Intelligence;
  /** What was left out, by reason, for the log. */
  dropped: Record<string, number>;
}

type Drop = (why: string) => void;
type Ground = (list: readonly { segment_id: string; quote: string }[]) => Evidence[];

export function assembleFindings(
  transcript: Transcript,
  answers: readonly ModelFindings[],
  by: { provider: string; model: string },
): Assembled {
  const dropped: Record<string, number> = {};
  const drop: Drop = (why) => void (dropped[why] = (dropped[why] ?? 0) + 1);
  const quotes = indexQuotes(transcript.segments);
  const ground: Ground = (list) => groundAll(list, quotes, by.provider);

  const found = entitiesOf(answers, ground, drop);
  const entities = mergeEntities(found, canonicalOf(found), transcript.duration, by.provider);
  const topics = topicsOf(answers, ground, drop);
  const moments = momentsOf(answers, ground, drop);
  const summaries = answers.flatMap(({ summary }) => summary ?? []);
  return {
    dropped,
    intelligence: {
      schema: 1,
      provider: by.provider,
      model: by.model,
      entities,
      relationships: relationshipsOf(answers, entities, by.provider, ground, drop),
      topics: topics.map(({ name }) => name),
      topic_evidence: topics,
      key_points: moments
        .filter(({ verification }) => verification !== "unverified")
        .slice(0, 6)
        .map(({ quote }) => quote),
      key_moments: moments,
      sentiment: sentimentOf(answers, ground),
      summary:
        summaries.length === 0
          ? null
          : [...new Set(summaries.map(({ text }) => safeLine(text, 4_000)))].join(" "),
      summary_evidence: distinct(summaries.flatMap(({ evidence }) => ground(evidence))),
    },
  };
}

function entitiesOf(answers: readonly ModelFindings[], ground: Ground, drop: Drop): Found[] {
  return answers
    .flatMap(({ entities }) => entities)
    .flatMap((entity) => {
      const type = typeOf(entity.type);
      const name = safeLine(entity.name, 200);
      if (type === undefined) drop("entity of an unknown type");
      else if (name === "" || entity.evidence.length === 0) drop("entity without evidence");
      else {
        const aliases = entity.aliases.map((alias) => safeLine(alias, 200)).filter(Boolean);
        return [{ name, type, aliases, evidence: ground(entity.evidence) }];
      }
      return [];
    });
}

/** Each name and alias in lower case → the name that stands for it. */
function namesOf(entities: Intelligence["entities"]): Map<string, string> {
  const names = new Map(entities.map(({ canonical_form: name }) => [name.toLowerCase(), name]));
  for (const { canonical_form: name, aliases } of entities) {
    for (const alias of aliases) {
      if (!names.has(alias.toLowerCase())) names.set(alias.toLowerCase(), name);
    }
  }
  return names;
}

function relationshipsOf(
  answers: readonly ModelFindings[],
  entities: Intelligence["entities"],
  source: string,
  ground: Ground,
  drop: Drop,
): Intelligence["relationships"] {
  const names = namesOf(entities);
  const relationships = new Map<string, Intelligence["relationships"][number]>();
  for (const each of answers.flatMap((answer) => answer.relationships)) {
    const from = names.get(safeLine(each.subject, 200).toLowerCase());
    const to = names.get(safeLine(each.object, 200).toLowerCase());
    const said = ground(each.evidence).filter(({ verification }) => verification !== "unverified");
    if (from === undefined || to === undefined || from === to) {
      drop("relationship of something that is no entity");
    } else if (!said.some(({ verification }) => verification === "verified")) {
      drop("relationship without a verified quote");
    } else {
      const what = safeLine(each.predicate, 200);
      const key = JSON.stringify([from, what.toLowerCase(), to]);
      const known = relationships.get(key);
      relationships.set(key, {
        id: known?.id ?? `r${String(relationships.size + 1).padStart(4, "0")}`,
        subject: from,
        predicate: known?.predicate ?? what,
        object: to,
        confidence: bestConfidence([...(known?.evidence ?? []), ...said]),
        evidence: distinct([...(known?.evidence ?? []), ...said]),
        extraction_source: source,
        contradictions: [],
      });
    }
  }
  return [...relationships.values()];
}

function topicsOf(
  answers: readonly ModelFindings[],
  ground: Ground,
  drop: Drop,
): { name: string; evidence: Evidence[] }[] {
  const topics = new Map<string, { name: string; evidence: Evidence[] }>();
  for (const { name, evidence } of answers.flatMap((answer) => answer.topics)) {
    const text = safeLine(name, 200);
    const key = text.toLowerCase();
    if (text === "") continue;
    if (evidence.length === 0) drop("topic without evidence");
    else {
      const known = topics.get(key)?.evidence ?? [];
      const all = distinct([...known, ...ground(evidence)]);
      topics.set(key, { name: topics.get(key)?.name ?? text, evidence: all });
    }
  }
  return [...topics.values()];
}

/** Parts that differ in their mood make it mixed. */
function sentimentOf(answers: readonly ModelFindings[], ground: Ground): Intelligence["sentiment"] {
  const moods = answers.flatMap(({ sentiment }) => sentiment ?? []);
  const [mood] = moods;
  if (mood === undefined) return null;
  const isOne = moods.every(({ overall }) => overall === mood.overall);
  return {
    overall: safeLine(isOne ? mood.overall : "mixed", 40),
    evidence: distinct(moods.flatMap(({ evidence }) => ground(evidence))),
  };
}

function typeOf(type: string): EntityType | undefined {
  const upper = type.trim().toUpperCase();
  return ENTITY_TYPES.find((each) => each === upper) ?? OTHER_TYPES[upper];
}

function groundAll(
  list: readonly { segment_id: string; quote: string }[],
  quotes: QuoteIndex,
  source: string,
): Evidence[] {
  return distinct(
    list.map(({ segment_id: id, quote }) => {
      const grounded = quotes.ground(quote, [id]);
      return {
        ...grounded,
        quote: safeLine(grounded.quote, 4_000),
        timestamp: grounded.start,
        source,
        confidence: CONFIDENCE[grounded.verification],
      };
    }),
  );
}

/** The overlap of two chunks finds the same twice: once is enough, and the better label is the true one. */
function distinct(evidence: readonly Evidence[]): Evidence[] {
  const byPlace = new Map<string, Evidence>();
  for (const each of evidence) {
    const key = JSON.stringify([each.start, each.end, each.quote.toLowerCase()]);
    const known = byPlace.get(key);
    if (known === undefined || isBetter(each, known)) byPlace.set(key, each);
  }
  return [...byPlace.values()].toSorted((a, b) => a.start - b.start);
}

function isBetter(a: Evidence, b: Evidence): boolean {
  return VERIFICATIONS.indexOf(a.verification) < VERIFICATIONS.indexOf(b.verification);
}

function bestConfidence(evidence: readonly Evidence[]): number {
  return Math.max(CONFIDENCE.unverified, ...evidence.map(({ confidence }) => confidence));
}

interface Found {
  name: string;
  type: EntityType;
  aliases: string[];
  evidence: Evidence[];
}

/** By the name rules ("President Trump" is "Trump"), then by the aliases that the model gave. */
function canonicalOf(found: readonly Found[]): (entity: Found) => string {
  const byType = new Map<EntityType, Set<string>>();
  for (const { type, name } of found) {
    byType.set(type, (byType.get(type) ?? new Set<string>()).add(name));
  }
  const canonical = new Map(
    [...byType].map(([type, names]) => [type, canonicalNames(type, names)] as const),
  );
  const byRules = ({ type, name }: Found): string => canonical.get(type)?.get(name) ?? name;
  const byAlias = new Map<string, string>();
  for (const entity of found) {
    for (const alias of entity.aliases) {
      byAlias.set(`${entity.type}:${alias.toLowerCase()}`, byRules(entity));
    }
  }
  return (entity) => {
    const name = byRules(entity);
    const other = byAlias.get(`${entity.type}:${entity.name.toLowerCase()}`);
    return other !== undefined && other.length > name.length ? other : name;
  };
}

function mergeEntities(
  found: readonly Found[],
  nameOf: (entity: Found) => string,
  duration: number,
  source: string,
): Entity[] {
  const groups = new Map<string, { name: string; type: EntityType; members: Found[] }>();
  for (const entity of found) {
    const name = nameOf(entity);
    const key = `${entity.type}:${name.toLowerCase()}`;
    const group = groups.get(key) ?? { name, type: entity.type, members: [] };
    groups.set(key, group);
    group.members.push(entity);
  }
  return [...groups.values()]
    .map(({ name, type, members }): Entity => {
      const evidence = distinct(members.flatMap((member) => member.evidence));
      const others = members.flatMap((member) => [member.name, ...member.aliases]);
      return {
        name,
        type,
        confidence: bestConfidence(evidence),
        mention_count: evidence.length,
        aliases: [...new Set(others)].filter((alias) => alias !== name).toSorted(),
        canonical_form: name,
        evidence: evidence.slice(0, MAX_EVIDENCE),
        extraction_sources: [source],
        temporal_distribution: distribute(
          evidence.filter(({ verification }) => verification !== "unverified"),
          duration,
        ),
      };
    })
    .toSorted((a, b) => b.mention_count - a.mention_count || (a.name < b.name ? -1 : 1));
}

function momentsOf(answers: readonly ModelFindings[], ground: Ground, drop: Drop): KeyMoment[] {
  const moments = new Map<string, KeyMoment>();
  for (const moment of answers.flatMap((answer) => answer.key_moments)) {
    const evidence = ground(moment.evidence);
    const best =
      evidence.find(({ verification }) => verification === "verified") ??
      evidence.find(({ verification }) => verification === "repaired") ??
      evidence[0];
    if (best === undefined) {
      drop("key moment without evidence");
      continue;
    }
    const { quote, start, end, segment_ids, speaker, verification } = best;
    const key = JSON.stringify([start, quote]);
    if (moments.has(key)) continue;
    moments.set(key, {
      timestamp: start,
      start,
      end,
      description: safeLine(moment.description, 1_000),
      significance: safeLine(moment.significance, 400),
      quote,
      segment_ids,
      speaker,
      verification,
    });
  }
  return [...moments.values()].toSorted((a, b) => a.start - b.start);
}
