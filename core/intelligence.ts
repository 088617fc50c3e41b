/**
 * People, claims and moments found in a transcript: the artifact `intelligence`. Field names are
 * those of core.json, which publishes them unchanged.
 */
import { z } from "zod";

const confidence = z.number().min(0).max(1);
const seconds = z.number().min(0);

/** spaCy's eighteen entity types. */
export const ENTITY_TYPES = [
  "PERSON",
  "ORG",
  "GPE",
  "LOC",
  "EVENT",
  "PRODUCT",
  "MONEY",
  "DATE",
  "TIME",
  "FAC",
  "NORP",
  "LANGUAGE",
  "LAW",
  "WORK_OF_ART",
  "CARDINAL",
  "ORDINAL",
  "QUANTITY",
  "PERCENT",
] as const;

export type EntityType = (typeof ENTITY_TYPES)[number];

/** Numbers and dates: they say little by themselves, unless something relates to them. */
export const QUIET_TYPES: readonly EntityType[] = [
  "CARDINAL",
  "ORDINAL",
  "DATE",
  "TIME",
  "QUANTITY",
  "PERCENT",
  "MONEY",
];

/**
 * `verified`: the quote's words are in the named segments. `repaired`: they were after code fixed
 * the segment or trimmed the quote. `unverified`: they were not; never shown unmarked.
 */
export const VERIFICATIONS = ["verified", "repaired", "unverified"] as const;
export const Verification = z.enum(VERIFICATIONS);
export type Verification = z.infer<typeof Verification>;

/** What can be said of something that several quotes support: the label of the best of them. */
export function bestVerification(
  evidence: readonly { verification: Verification }[],
): Verification {
  const labels = new Set(evidence.map(({ verification }) => verification));
  return VERIFICATIONS.find((label) => labels.has(label)) ?? "unverified";
}

export const Evidence = z.object({
  quote: z.string(),
  /** Equals `start`; the name the format has always had. */
  timestamp: seconds,
  start: seconds,
  end: seconds,
  segment_ids: z.array(z.string()),
  speaker: z.string().nullable(),
  source: z.string(),
  confidence,
  verification: Verification,
});
export type Evidence = z.infer<typeof Evidence>;

export const Entity = z.object({
  name: z.string().min(1),
  type: z.enum(ENTITY_TYPES),
  confidence,
  mention_count: z.int().min(1),
  aliases: z.array(z.string()),
  canonical_form: z.string(),
  evidence: z.array(Evidence),
  extraction_sources: z.array(z.string()),
  /** Mentions a tenth of the duration each: `{start, end, mentions}`, empty tenths left out. */
  temporal_distribution: z.array(
    z.object({ start: seconds, end: seconds, mentions: z.int().min(1) }),
  ),
});
export type Entity = z.infer<typeof Entity>;

export const Relationship = z.object({
  /** `r0001`, what an edge of the graph points at. */
  id: z.string(),
  /** Canonical forms of two entities of the same document. */
  subject: z.string(),
  predicate: z.string(),
  object: z.string(),
  confidence,
  evidence: z.array(Evidence).min(1),
  extraction_source: z.string(),
  contradictions: z.array(z.string()),
});
export type Relationship = z.infer<typeof Relationship>;

export const KeyMoment = z.object({
  timestamp: seconds,
  start: seconds,
  end: seconds,
  description: z.string(),
  significance: z.string(),
  quote: z.string(),
  segment_ids: z.array(z.string()),
  speaker: z.string().nullable(),
  verification: Verification,
});
export type KeyMoment = z.infer<typeof KeyMoment>;

export const Intelligence = z.object({
  schema: z.literal(1),
  /** `offline-rules` or a chat provider's name. */
  provider: z.string().min(1),
  model: z.string().nullable(),
  entities: z.array(Entity),
  relationships: z.array(Relationship),
  topics: z.array(z.string()),
  /** What the topics rest on; offline rules give none. */
  topic_evidence: z.array(z.object({ name: z.string(), evidence: z.array(Evidence) })).optional(),
  key_points: z.array(z.string()),
  key_moments: z.array(KeyMoment),
  /** Null where nothing wrote one: a missing summary is not an empty one. */
  summary: z.string().nullable(),
  summary_evidence: z.array(Evidence).optional(),
  /** Null where nothing judged it. */
  sentiment: z
    .object({ overall: z.string(), evidence: z.array(Evidence) })
    .nullable()
    .optional(),
});
export type Intelligence = z.infer<typeof Intelligence>;

export const KnowledgeGraph = z.object({
  nodes: z.array(
    z.object({
      id: z.string(),
      label: z.string(),
      type: z.enum(ENTITY_TYPES),
      confidence,
      mention_count: z.int(),
      /** Of its best quote; `unverified`: only a model says that it was spoken of. */
      verification: Verification.optional(),
    }),
  ),
  edges: z.array(
    z.object({
      id: z.string(),
      source: z.string(),
      target: z.string(),
      predicate: z.string(),
      confidence,
    }),
  ),
});
export type KnowledgeGraph = z.infer<typeof KnowledgeGraph>;
