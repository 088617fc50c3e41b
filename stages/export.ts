/**
 * The published data files. core.json keeps the fields it has always had; fields are added, never
 * renamed (docs/formats.md).
 */
import { z } from "zod";

import { Intelligence } from "../core/intelligence.ts";
import { MediaInfo } from "../core/media-info.ts";
import { CORE_SCHEMA_VERSION, ClipsJsonLd, CoreJson, TranscriptJson } from "../core/published.ts";
import { ItemInfo } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import { Provenance, defineStage, file, json } from "../core/stage.ts";
import { Transcript } from "../core/transcript.ts";
import { toChaptersVtt } from "./formats/chapters.ts";
import { toClips } from "./formats/clips-jsonld.ts";
import { toOtr } from "./formats/otranscribe.ts";
import { toSrt, toVtt } from "./formats/subtitles.ts";
import {
  entitiesCsv,
  momentsCsv,
  relationshipsCsv,
  segmentsCsv,
  topicsCsv,
} from "./formats/tables.ts";
import { speakerTurns } from "./formats/turns.ts";

const text = (fileName: string, mediaType: string) => file({ mediaType, fileName });

export default defineStage({
  input: {
    item: json(ItemInfo),
    media: json(MediaInfo),
    transcript: json(Transcript),
    intelligence: json(Intelligence),
    provenance: json(Provenance),
  },
  output: {
    core: json(CoreJson, { fileName: "core.json" }),
    transcript_json: json(TranscriptJson, { fileName: "transcript.json" }),
    transcript_txt: text("transcript.txt", "text/plain"),
    transcript_srt: text("transcript.srt", "application/x-subrip"),
    transcript_vtt: text("transcript.vtt", "text/vtt"),
    transcript_otr: text("transcript.otr", "application/json"),
    chapters_vtt: file({ mediaType: "text/vtt", fileName: "chapters.vtt", optional: true }),
    clips: json(ClipsJsonLd, { fileName: "clips.jsonld" }),
    entities_csv: text("entities.csv", "text/csv"),
    relationships_csv: text("relationships.csv", "text/csv"),
    topics_csv: text("topics.csv", "text/csv"),
    key_moments_csv: text("key_moments.csv", "text/csv"),
    segments_csv: text("segments.csv", "text/csv"),
  },
  params: z.strictObject({}),

  estimate: () => ({ seconds: 1, costUsd: 0 }),

  async run({ input, ctx }) {
    const { transcript, intelligence } = input;
    const writeText = (name: string, content: string) => ctx.write(name, content);
    const chapters = toChaptersVtt(intelligence, input.media);
    return {
      core: buildCore(input),
      transcript_json: { ...transcript, cost: costOf(input.provenance, transcript.provider) },
      transcript_txt: await writeText("transcript.txt", toPlainText(transcript)),
      transcript_srt: await writeText("transcript.srt", toSrt(transcript)),
      transcript_vtt: await writeText("transcript.vtt", toVtt(transcript, noteOf(input))),
      transcript_otr: await writeText(
        "transcript.otr",
        toOtr(transcript, safeLine(input.item.file_name, 300)),
      ),
      chapters_vtt: chapters === undefined ? undefined : await writeText("chapters.vtt", chapters),
      clips: toClips(input),
      entities_csv: await writeText("entities.csv", entitiesCsv(intelligence)),
      relationships_csv: await writeText("relationships.csv", relationshipsCsv(intelligence)),
      topics_csv: await writeText("topics.csv", topicsCsv(intelligence)),
      key_moments_csv: await writeText("key_moments.csv", momentsCsv(intelligence)),
      segments_csv: await writeText("segments.csv", segmentsCsv(transcript)),
    };
  },
});

export interface ExportInput {
  item: ItemInfo;
  media: MediaInfo;
  transcript: Transcript;
  intelligence: Intelligence;
  provenance: Provenance;
}

/** Pure, and exported for its own tests. */
export function buildCore(input: ExportInput): CoreJson {
  const { item, media, transcript, intelligence, provenance } = input;
  const { entities, relationships, topics, key_points, key_moments, summary } = intelligence;
  const { topic_evidence = [], summary_evidence = [], sentiment = null } = intelligence;
  const ended = provenance.stages.map(({ ended_at }) => ended_at).toSorted();
  return {
    schema_version: CORE_SCHEMA_VERSION,
    video_metadata: {
      url: item.url,
      title: item.title ?? media.title ?? item.file_name,
      channel: item.channel,
      duration: media.duration,
      platform: item.platform,
      published_at: item.published_at,
      view_count: item.view_count,
      description: item.description,
      thumbnail_url: item.thumbnail_url,
    },
    processing_info: {
      model: intelligence.model ?? intelligence.provider,
      cost: sum(provenance.stages.map(({ cost_usd }) => cost_usd)),
      processing_time: sum(provenance.stages.map(({ seconds }) => seconds)),
      timestamp: ended.at(-1) ?? null,
      pipeline_version: provenance.clipscribe_version,
      pipeline: provenance.pipeline,
      source_sha256: provenance.source_sha256,
      transcript_provider: transcript.provider,
      cost_by_stage: Object.fromEntries(
        provenance.stages.map(({ id, cost_usd }) => [id, cost_usd]),
      ),
      cost_by_model: costByModel(provenance),
    },
    transcript_segments: transcript.segments.map(
      ({ id, text: words, start, end, speaker, words: timed, confidence, flags }) => ({
        segment_id: id,
        text: words,
        start_time: start,
        end_time: end,
        speaker,
        ...(timed !== undefined && { words: timed }),
        ...(confidence !== undefined && { confidence }),
        ...(flags !== undefined && { flags }),
      }),
    ),
    entities,
    relationships,
    topics,
    key_points,
    key_moments,
    summary,
    topic_evidence,
    summary_evidence,
    sentiment,
  };
}

/** One paragraph a speaker turn. */
export function toPlainText(transcript: Transcript): string {
  return speakerTurns(transcript.segments)
    .map(({ speaker, segments }) => {
      const name = speaker === null ? "" : `${speaker}: `;
      return `${name}${segments.map(({ text: words }) => words).join(" ")}\n`;
    })
    .join("\n");
}

function noteOf({ item, transcript, provenance }: ExportInput): string {
  const by = transcript.model ?? transcript.provider;
  return `${item.file_name}\nsha256 ${provenance.source_sha256}\nmade by clipscribe ${provenance.clipscribe_version} from ${by}`.replaceAll(
    /\n{2,}/g,
    "\n",
  );
}

function costOf(provenance: Provenance, provider: string): number {
  const made = provenance.stages.filter((stage) => stage.provider === provider);
  return sum(made.map(({ cost_usd }) => cost_usd));
}

/** Only who was paid: a stage of one's own machine has no bill. */
function costByModel({ stages }: Provenance): Record<string, number> {
  const costs: Record<string, number> = {};
  for (const { provider, model, cost_usd: cost } of stages) {
    if (provider === null || cost === 0) continue;
    const name = model === null ? provider : `${provider}/${model}`;
    costs[name] = (costs[name] ?? 0) + cost;
  }
  return costs;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
