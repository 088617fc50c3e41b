/**
 * Mistral's `POST /v1/audio/transcriptions`. `language` is never sent: it excludes
 * `timestamp_granularities`, and a quote without a time is no evidence.
 */
import { z } from "zod";

import { transcriptionCost } from "../../core/models.ts";
import type { TranscriberSpec } from "../../core/models.ts";
import type { TranscribeAnswer } from "../../core/stage.ts";
import type { Transcriber } from "../../ports/providers.ts";
import { askTranscriber } from "../provider-http/ask-transcriber.ts";
import { endpoint } from "../provider-http/base-url.ts";
import { languageCode } from "../provider-http/language-code.ts";
import { wordsToSegments } from "../provider-http/words-to-segments.ts";

export interface MistralOptions {
  key: string;
  /** Without `/v1/…`. */
  baseUrl: string;
  spec: TranscriberSpec;
}

const Answer = z.object({
  text: z.string().nullish(),
  language: z.string().nullish(),
  segments: z
    .array(
      z.object({
        text: z.string(),
        start: z.number(),
        end: z.number(),
        score: z.number().nullish(),
        speaker_id: z.union([z.string(), z.number()]).nullish(),
      }),
    )
    .nullish(),
  usage: z.object({ prompt_audio_seconds: z.number().nullish() }).nullish(),
});
/** Words without a time are no evidence; no words at all are an answer. */
const TimedAnswer = Answer.refine(
  ({ text, segments }) => (segments ?? []).length > 0 || (text ?? "").trim() === "",
);

export function openMistralTranscriber({ key, baseUrl, spec }: MistralOptions): Transcriber {
  const { provider, model } = spec;
  return {
    provider,
    model,
    estimateUsd: ({ durationSeconds }) => transcriptionCost(spec, durationSeconds),
    async transcribe(request, signal) {
      return askTranscriber({
        spec,
        url: endpoint(baseUrl, "/v1/audio/transcriptions"),
        key,
        fields: [
          ["model", model],
          ["timestamp_granularities", spec.words ? "word" : "segment"],
          ...(spec.diarizes ? [["diarize", "true"] as const] : []),
          // Neither spaces nor commas are taken.
          ...(request.terms ?? []).map(
            (term) => ["context_bias", term.replaceAll(/[\s,]+/g, "_")] as const,
          ),
        ],
        addressField: "file_url",
        request,
        signal,
        schema: TimedAnswer,
        read: (answer) => readAnswer(answer, spec.words),
        secondsOf: ({ usage }) => usage?.prompt_audio_seconds,
      });
    },
  };
}

/** Asked for words, each word arrives as a segment; a sentence in Japanese has no spaces either. */
function readAnswer(answer: z.infer<typeof Answer>, askedForWords: boolean): TranscribeAnswer {
  const spoken = (answer.segments ?? []).map(({ text, start, end, score, speaker_id: id }) => ({
    text,
    start,
    end,
    speaker: id === undefined || id === null ? null : String(id),
    ...(typeof score === "number" && { confidence: asConfidence(score) }),
  }));
  const single = spoken.filter(({ text }) => !/\s/.test(text.trim())).length;
  const areWords = askedForWords && spoken.length > 1 && single > spoken.length * 0.8;
  return {
    language: languageCode(answer.language),
    segments: areWords ? wordsToSegments(spoken) : spoken,
  };
}

/** A score of 0 or less is a log-probability. */
function asConfidence(score: number): number {
  return Math.min(1, Math.max(0, score <= 0 ? Math.exp(score) : score));
}
