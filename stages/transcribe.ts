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
import { findModel, transcriptionCost } from "../core/models.ts";
import type { ModelSpec, TranscriberSpec } from "../core/models.ts";
import { safeText } from "../core/safe-text.ts";
import { defineStage, file, json } from "../core/stage.ts";
import type { InputFile, Misfit, OutputFile, StageContext } from "../core/stage.ts";
import { Transcript, segmentId } from "../core/transcript.ts";
import { segmentCues } from "./captions-text/segment-cues.ts";
import { flagSegments } from "./speech/flag-segments.ts";
import { mergeParts } from "./speech/merge-parts.ts";
import type { Part, SpokenSegment } from "./speech/merge-parts.ts";
import { isPiece, parseSilences, planParts, planPieces } from "./speech/plan-parts.ts";
import type { Piece, Span } from "./speech/plan-parts.ts";

/** What a failure can make you wait for again. */
const PART_MINUTES = 20;
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
    /** `auto`: captions, else a transcriber; `captions`, `transcriber`, or `provider/model`. */
    provider: z.string().default("auto"),
    /** BCP 47, as a hint to the transcriber; null lets it find out. */
    language: z.string().min(2).max(20).nullable().default(null),
    /** Longer sound is cut; null: 20, or what the model takes. */
    chunk_minutes: z.number().min(0.5).max(180).nullable().default(null),
    /** Requests at once. */
    at_once: z.int().min(1).max(16).default(4),
    /** Asked in their order where the provider is out of reach or refuses the account. */
    fallback: z
      .array(z.string().regex(/^[^/]+\/[^/]+$/, "use provider/model"))
      .max(4)
      .default([]),
    /** Names that are spoken in it, spelled as they should be: at most 100. */
    terms: z.array(z.string().min(1).max(64)).max(100).default([]),
    /** Refuse a model that gives times for sentences only. */
    word_times: z.boolean().default(false),
  }),
  needs: {
    provider: "transcriber",
    providerParam: "provider",
    fallbackParam: "fallback",
    tools: ["ffmpeg"],
    pool: "asr",
  },
  estimate({ mediaSeconds, params, provider }) {
    const asks = params.provider !== "captions" && provider !== null;
    const known = asks
      ? (provider.spec ?? findModel("transcriber", provider.provider, provider.model))
      : undefined;
    const spec = known?.kind === "transcriber" ? known : undefined;
    return spec === undefined
      ? { seconds: 1, costUsd: 0 }
      : { seconds: mediaSeconds / 20, costUsd: transcriptionCost(spec, mediaSeconds) };
  },
  misfit: ({ params, model, makers }) =>
    misfitOf(model, params) ?? tooLarge(model, params, makers["audio"]?.["bitrate_kbps"]),

  async run({ input, params, ctx }) {
    const mayBeCaptions = params.provider === "auto" || params.provider === "captions";
    const track = mayBeCaptions ? input.captions?.tracks[0] : undefined;
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
    return { transcript: await bySpeech(audio, media.duration, params, ctx) };
  },
});

/** What the model can't do of what is wanted: better said before anything is paid. */
function misfitOf(
  model: ModelSpec,
  params: { language: string | null; chunk_minutes: number | null; word_times: boolean },
): Misfit | undefined {
  if (model.kind !== "transcriber") return undefined;
  const name = `${model.provider}/${model.model}`;
  if (params.language !== null && !model.takesLanguage) {
    const message = `\`${name}\` takes no language together with times`;
    return { param: "language", message, hint: "remove it: the model finds the language out" };
  }
  if (params.word_times && !model.words) {
    const message = `\`${name}\` gives no times for words`;
    return {
      param: "word_times",
      message,
      hint: "name a model with word times: `clipscribe models`",
    };
  }
  const minutes = Math.floor(model.maxSeconds / 60);
  if (params.chunk_minutes !== null && params.chunk_minutes > minutes) {
    const message = `\`${name}\` takes at most ${minutes} minutes at once`;
    return { param: "chunk_minutes", message, hint: `at most ${minutes}, or leave it out` };
  }
  return undefined;
}

/** Kilobits a second; unknown where another stage makes the sound: then the parts are cut to fit. */
function tooLarge(
  model: ModelSpec,
  { chunk_minutes: minutes }: { chunk_minutes: number | null },
  kbps: unknown,
): Misfit | undefined {
  if (model.kind !== "transcriber" || minutes === null || typeof kbps !== "number")
    return undefined;
  const most = Math.floor(model.maxBytes / (kbps * 125 * 60));
  if (minutes <= most) return undefined;
  const mib = Math.floor(model.maxBytes / 1024 / 1024);
  const message = `\`${model.provider}/${model.model}\` takes at most ${mib} MiB at once: ${most} minutes of ${kbps} kbit/s`;
  const hint = "leave it out, or lower `bitrate_kbps` of the stage that makes the sound";
  return { param: "chunk_minutes", message, hint };
}

function noTranscriber(): ClipscribeError {
  return new ClipscribeError(
    "config",
    "the file has no captions and no transcriber is configured",
    {
      hint: "set MISTRAL_API_KEY or OPENAI_COMPATIBLE_ASR_URL, or put a .vtt or .srt of the same name beside it, and run again",
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

interface SpeechParams {
  language: string | null;
  chunk_minutes: number | null;
  at_once: number;
  terms: readonly string[];
  word_times: boolean;
}

/** Cuts what is too long for one request, asks for the parts together, and joins the answers. */
async function bySpeech(
  audio: InputFile,
  durationSeconds: number,
  params: SpeechParams,
  ctx: StageContext,
): Promise<Transcript> {
  const { provider = "unknown", model = null } = ctx.provider ?? {};
  const spec = findModel("transcriber", provider, model ?? "");
  const unfit = spec && misfitOf(spec, params);
  if (unfit !== undefined) {
    throw new ClipscribeError("config", unfit.message, {
      hint: `${unfit.hint} (\`${unfit.param}\` in pipeline.yaml)`,
    });
  }
  const longest = longestPart(
    audio,
    durationSeconds,
    (params.chunk_minutes ?? PART_MINUTES) * 60,
    spec,
  );
  const silences = await findSilences(audio, durationSeconds, ctx);
  const spans = planParts(durationSeconds, silences, longest);
  const asked = await askForParts(audio, spans, params, ctx);
  const pieces = asked === UNTIMED ? planPieces(durationSeconds, silences) : null;
  if (pieces !== null) ctx.log.info("the server tells no times: asked piece by piece");
  const answered = pieces === null ? asked : await askForParts(audio, pieces, params, ctx);
  if (answered === UNTIMED) throw new ClipscribeError("bug", "a piece is too long to be one");
  const { language, parts } = answered;
  const spoken = pieces === null ? mergeParts(parts) : timesOfPieces(parts, pieces);
  const heard = parts.flatMap(({ segments }) => segments).length;
  const segments = flagSegments(numberSegments(spoken, durationSeconds), silences);
  if (segments.length === 0) {
    throw new ClipscribeError("missing", "the transcriber heard no words", {
      hint: "listen to the file; if somebody speaks, put a .vtt or .srt of the same name beside it",
    });
  }
  const flagged = segments.filter(({ flags }) => flags !== undefined).length;
  ctx.log.info("transcribed", { parts: parts.length, heard, segments: segments.length, flagged });
  return { schema: 1, language, duration: durationSeconds, provider, model, segments };
}

/** Seconds of a part: as wanted, within the model's length, and within its size with some room. */
function longestPart(
  audio: InputFile,
  durationSeconds: number,
  wanted: number,
  spec: TranscriberSpec | undefined,
): number {
  if (spec === undefined) return wanted;
  const bytesPerSecond = audio.sizeBytes / Math.max(1, durationSeconds);
  return Math.min(wanted, spec.maxSeconds, (0.8 * spec.maxBytes) / Math.max(1, bytesPerSecond));
}

/** What is quieter than this for half a second is no speech. */
const SILENCE_FILTER = "silencedetect=noise=-38dB:d=0.5";

async function findSilences(
  audio: InputFile,
  durationSeconds: number,
  ctx: StageContext,
): Promise<Span[]> {
  const out = ["-f", "null", "-"];
  const args = ["-hide_banner", "-nostats", "-i", audio.path, "-af", SILENCE_FILTER, ...out];
  const { stderr } = await ctx.tool("ffmpeg", args);
  return parseSilences(stderr, durationSeconds);
}

/** Words without times, of more sound than a quote's time may be. */
const UNTIMED = Symbol("untimed");

interface Heard {
  language: string | null;
  parts: Part[];
}

async function askForParts(
  audio: InputFile,
  spans: readonly Span[],
  params: SpeechParams,
  ctx: StageContext,
): Promise<Heard | typeof UNTIMED> {
  let isUntimed = false;
  const parts: Part[] = [];
  const languages: (string | null)[] = [];
  const queue = spans.entries();
  let done = 0;
  const worker = async (): Promise<void> => {
    for (const [index, span] of queue) {
      if (isUntimed) return;
      const part = spans.length === 1 ? audio : await cutPart(audio, span, index, ctx);
      const durationSeconds = span.end - span.start;
      const { language, terms } = params;
      const answer = await ctx.transcribe({ audio: part, language, durationSeconds, terms });
      if (answer.isUntimed === true && !isPiece(span)) isUntimed = true;
      languages[index] = answer.language;
      parts[index] = { ...span, segments: answer.segments.map((each) => shift(each, span.start)) };
      ctx.progress(++done / spans.length, `${done} of ${spans.length} parts transcribed`);
    }
  };
  // Parts under way are paid for: let them end and be kept before the first error is told.
  const ended = await Promise.allSettled(Array.from({ length: params.at_once }, worker));
  for (const end of ended) if (end.status === "rejected") throw end.reason;
  if (isUntimed) return UNTIMED;
  return { language: languages.find((each) => each !== null) ?? params.language, parts };
}

/** All that a server heard in a piece was said where the piece is not silent. */
function timesOfPieces(parts: readonly Part[], pieces: readonly Piece[]): SpokenSegment[] {
  return parts.flatMap(({ segments }, at) =>
    segments.map((segment) => ({ ...segment, ...pieces[at]?.speech })),
  );
}

/** Bit-exact: the same part made again is the same call, which is paid for already. */
async function cutPart(
  audio: InputFile,
  { start, end }: Span,
  index: number,
  ctx: StageContext,
): Promise<OutputFile> {
  const part = await ctx.outputFile(`part-${index + 1}.ogg`);
  const span = ["-ss", start.toFixed(3), "-t", (end - start).toFixed(3)];
  const exact = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"];
  const copy = ["-map", "0:a:0", "-c:a", "copy", ...exact, "-f", "ogg", part.path];
  await ctx.tool("ffmpeg", ["-v", "error", ...span, "-i", audio.path, ...copy]);
  return part;
}

function shift(segment: SpokenSegment, seconds: number): SpokenSegment {
  const { words } = segment;
  return {
    ...segment,
    start: segment.start + seconds,
    end: segment.end + seconds,
    ...(words !== undefined && {
      words: words.map((word) => ({
        ...word,
        start: word.start + seconds,
        end: word.end + seconds,
      })),
    }),
  };
}

/** Pure, and exported for its own tests: orders, cleans and numbers what the model returned. */
export function numberSegments(
  segments: readonly SpokenSegment[],
  durationSeconds: number,
): Transcript["segments"] {
  return segments
    .map((segment) => ({ ...segment, text: safeText(segment.text).replaceAll(/\s+/g, " ").trim() }))
    .filter(({ text, start, end }) => text !== "" && start >= 0 && end >= start)
    .filter(({ start }) => start < durationSeconds + SLACK_S)
    .toSorted((a, b) => a.start - b.start)
    .map(({ start, end, text, speaker, words, confidence }, index) => ({
      id: segmentId(index),
      start,
      end,
      text,
      speaker,
      ...(words !== undefined && { words }),
      ...(confidence !== undefined && { confidence }),
    }));
}
