/**
 * The published JSON files, as docs/schemas/ describes them. Fields are added, never renamed:
 * core.json and knowledge_graph.json have readers that are older than this program.
 */
import { z } from "zod";

import { Entity, Evidence, KeyMoment, Relationship } from "./intelligence.ts";
import { Segment, SegmentFlag, Transcript, Word } from "./transcript.ts";

const seconds = z.number().min(0);
const textOrNull = z.string().nullable();

export const CORE_SCHEMA_VERSION = "1.0";

export const CoreJson = z.object({
  schema_version: z.literal(CORE_SCHEMA_VERSION),
  video_metadata: z.object({
    url: textOrNull,
    title: z.string(),
    channel: textOrNull,
    duration: seconds,
    platform: textOrNull,
    published_at: textOrNull,
    view_count: z.number().nullable(),
    description: textOrNull,
    thumbnail_url: textOrNull,
  }),
  processing_info: z.object({
    model: z.string(),
    /** US dollars; what this source has cost, whoever ran it first. */
    cost: z.number().min(0),
    /** Seconds. */
    processing_time: seconds,
    timestamp: textOrNull,
    pipeline_version: z.string(),
    pipeline: z.string(),
    source_sha256: z.string(),
    transcript_provider: z.string(),
    cost_by_stage: z.record(z.string(), z.number().min(0)),
    cost_by_model: z.record(z.string(), z.number().min(0)),
  }),
  transcript_segments: z.array(
    z.object({
      segment_id: z.string(),
      text: z.string(),
      start_time: seconds,
      end_time: seconds,
      speaker: textOrNull,
      words: z.array(Word).optional(),
      confidence: z.number().optional(),
      flags: z.array(SegmentFlag).optional(),
    }),
  ),
  entities: z.array(Entity),
  relationships: z.array(Relationship),
  topics: z.array(z.string()),
  key_points: z.array(z.string()),
  key_moments: z.array(KeyMoment),
  summary: textOrNull,
  topic_evidence: z.array(z.object({ name: z.string(), evidence: z.array(Evidence) })),
  summary_evidence: z.array(Evidence),
  sentiment: z.object({ overall: z.string(), evidence: z.array(Evidence) }).nullable(),
});
export type CoreJson = z.infer<typeof CoreJson>;

export const TranscriptJson = z.object({
  ...Transcript.shape,
  segments: z.array(Segment),
  /** US dollars paid for the words. */
  cost: z.number().min(0),
});
export type TranscriptJson = z.infer<typeof TranscriptJson>;

const Clip = z.object({
  "@type": z.literal("Clip"),
  "@id": z.string(),
  name: z.string(),
  description: z.string(),
  startOffset: seconds,
  endOffset: seconds,
  url: z.string(),
});

/** https://www.w3.org/TR/annotation-model/ */
const Annotation = z.object({
  "@context": z.literal("http://www.w3.org/ns/anno.jsonld"),
  id: z.string(),
  type: z.literal("Annotation"),
  motivation: z.enum(["tagging", "describing", "highlighting"]),
  body: z.object({ type: z.literal("TextualBody"), value: z.string(), purpose: z.string() }),
  target: z.object({
    source: z.string(),
    selector: z.tuple([
      z.object({
        type: z.literal("FragmentSelector"),
        conformsTo: z.literal("http://www.w3.org/TR/media-frags/"),
        value: z.string().regex(/^t=\d+(?:\.\d+)?,\d+(?:\.\d+)?$/),
      }),
      z.object({
        type: z.literal("TextQuoteSelector"),
        exact: z.string(),
        prefix: z.string(),
        suffix: z.string(),
      }),
    ]),
  }),
});
export type Annotation = z.infer<typeof Annotation>;

/** https://schema.org/VideoObject with https://schema.org/Clip parts, and one annotation a quote. */
export const ClipsJsonLd = z.object({
  "@context": z.literal("https://schema.org"),
  "@type": z.enum(["VideoObject", "AudioObject"]),
  name: z.string(),
  description: z.string().optional(),
  url: z.string().optional(),
  contentUrl: z.string(),
  thumbnailUrl: z.string().optional(),
  uploadDate: z.string().optional(),
  inLanguage: z.string().optional(),
  /** ISO 8601, as `PT71.5S`. */
  duration: z.string(),
  sha256: z.string(),
  hasPart: z.array(Clip),
  "@included": z.array(Annotation),
});
export type ClipsJsonLd = z.infer<typeof ClipsJsonLd>;
