/**
 * Makes the transcript: from captions where there are any, else by the configured transcriber.
 * Where there is neither, the item is held with a message that says what to do; text that nobody
 * said is never made up.
 */
import { z } from "zod";

import { Captions } from "../core/captions.ts";
import type { CaptionTrack } from "../core/captions.ts";
import { ClipscribeError } from "../core/errors.ts";
import { MediaInfo } from "../core/media-info.ts";
import { safeText } from "../core/safe-text.ts";
import { defineStage, file, json } from "../core/stage.ts";
import type { InputFile, StageContext, TranscribeAnswer } from "../core/stage.ts";
import { Transcript, segmentId } from "../core/transcript.ts";
import { segmentCues } from "./captions-text/segment-cues.ts";

/** Models round up; a second more is no other file. */
const SLACK_S = 1;

export default defineStage({
  input: {
    media: json(MediaInfo),
    captions: json(Captions, { optional: true }),
    audio: file({ mediaType: "audio/ogg", optional: true }),
  },
  output: { transcript: json(Transcript) },
  params: z.strictObject({
    /** `auto`: captions where there are any, else the transcriber. */
    provider: z.enum(["auto", "captions", "transcriber"]).default("auto"),
    /** BCP 47, as a hint to the transcriber; null lets it find out. */
    language: z.string().min(2).max(20).nullable().default(null),
  }),
  needs: { provider: "transcriber", pool: "asr" },
  estimate: ({ mediaSeconds, params }) =>
    params.provider === "transcriber"
      ? { seconds: mediaSeconds / 20, costUsd: (mediaSeconds / 60) * 0.003 }
      : { seconds: 1, costUsd: 0 },

  async run({ input, params, ctx }) {
    const track = params.provider === "transcriber" ? undefined : input.captions?.tracks[0];
    if (track !== undefined) return { transcript: fromCaptions(track, input.media.duration) };
    if (input.audio === undefined) {
      throw new ClipscribeError("missing", "the file has no sound and no captions", {
        hint: "put a caption file (.vtt or .srt) of the same name beside it, then run again",
      });
    }
    if (params.provider === "captions") {
      throw new ClipscribeError("missing", "the file has no captions", {
        hint: "put a .vtt or .srt of the same name beside it, or set the stage's `provider: auto`",
      });
    }
    if (ctx.provider === null) throw noTranscriber();
    const { audio, media } = input;
    return { transcript: await bySpeech(audio, media.duration, params.language, ctx) };
  },
});

function noTranscriber(): ClipscribeError {
  return new ClipscribeError(
    "config",
    "the file has no captions and no transcriber is configured",
    {
      hint: "put a .vtt or .srt of the same name beside it and run again; transcribers (MISTRAL_API_KEY, XAI_API_KEY, OPENAI_COMPATIBLE_ASR_URL) are not in this version yet",
    },
  );
}

function fromCaptions(track: CaptionTrack, duration: number): Transcript {
  const segments = segmentCues(track.cues);
  return {
    schema: 1,
    language: track.language,
    duration: Math.max(duration, segments.at(-1)?.end ?? 0),
    provider: `captions:${track.origin}`,
    model: null,
    segments,
  };
}

async function bySpeech(
  audio: InputFile,
  durationSeconds: number,
  language: string | null,
  ctx: StageContext,
): Promise<Transcript> {
  const answer = await ctx.transcribe({ audio, language, durationSeconds });
  const segments = numberSegments(answer.segments, durationSeconds);
  if (segments.length === 0) {
    throw new ClipscribeError("missing", "the transcriber heard no words", {
      hint: "listen to the file; if somebody speaks, put a .vtt or .srt of the same name beside it",
    });
  }
  if (segments.length < answer.segments.length) {
    ctx.log.warn("parts of the transcriber's answer were empty or out of the file's time", {
      left_out: answer.segments.length - segments.length,
    });
  }
  return {
    schema: 1,
    language: answer.language,
    duration: durationSeconds,
    provider: ctx.provider?.provider ?? "unknown",
    model: ctx.provider?.model ?? null,
    segments,
  };
}

/** Pure, and exported for its own tests: orders, cleans and numbers what the model returned. */
export function numberSegments(
  segments: TranscribeAnswer["segments"],
  durationSeconds: number,
): Transcript["segments"] {
  return segments
    .map((segment) => ({ ...segment, text: safeText(segment.text).replaceAll(/\s+/g, " ").trim() }))
    .filter(({ text, start, end }) => text !== "" && start >= 0 && end >= start)
    .filter(({ start }) => start < durationSeconds + SLACK_S)
    .toSorted((a, b) => a.start - b.start)
    .map(({ start, end, text, speaker, words }, index) => ({
      id: segmentId(index),
      start,
      end,
      text,
      speaker,
      ...(words !== undefined && { words }),
    }));
}
