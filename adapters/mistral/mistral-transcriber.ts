/**
 * Mistral's `POST /v1/audio/transcriptions`: multipart, streamed from disk. `language` is never
 * sent: it excludes `timestamp_granularities`, and a quote without a time is no evidence.
 */
import { openAsBlob } from "node:fs";

import { FormData } from "undici";
import { z } from "zod";

import { ClipscribeError } from "../../core/errors.ts";
import { transcriptionCost } from "../../core/models.ts";
import type { TranscriberSpec } from "../../core/models.ts";
import type { TranscribeAnswer } from "../../core/stage.ts";
import type { Transcriber } from "../../ports/providers.ts";
import { ask } from "../provider-http/ask.ts";
import { endpoint } from "../provider-http/base-url.ts";
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

export function openMistralTranscriber({ key, baseUrl, spec }: MistralOptions): Transcriber {
  const { provider, model } = spec;
  return {
    provider,
    model,
    estimateUsd: ({ durationSeconds }) => transcriptionCost(spec, durationSeconds),
    async transcribe({ audio, durationSeconds }, signal) {
      const body = async (): Promise<FormData> => {
        const form = new FormData();
        form.append("model", model);
        form.append("timestamp_granularities", spec.words ? "word" : "segment");
        if (spec.diarizes) form.append("diarize", "true");
        form.append("file", await openAsBlob(audio.path, { type: "audio/ogg" }), "speech.ogg");
        return form;
      };
      const url = endpoint(baseUrl, "/v1/audio/transcriptions");
      const raw = await ask({ provider, url, key, body, signal });
      const parsed = Answer.safeParse(raw);
      if (!parsed.success) {
        throw new ClipscribeError(
          "contract",
          "mistral's answer has another shape than documented",
          {
            cause: parsed.error,
          },
        );
      }
      const seconds = parsed.data.usage?.prompt_audio_seconds ?? durationSeconds;
      return {
        answer: { ...readAnswer(parsed.data), raw },
        usage: { audio_seconds: seconds },
        costUsd: transcriptionCost(spec, seconds),
      };
    },
  };
}

/** Asked for words, each word arrives as a segment. */
function readAnswer(answer: z.infer<typeof Answer>): TranscribeAnswer {
  const spoken = (answer.segments ?? []).map(({ text, start, end, score, speaker_id: id }) => ({
    text,
    start,
    end,
    speaker: id === undefined || id === null ? null : String(id),
    ...(typeof score === "number" && { confidence: asConfidence(score) }),
  }));
  const single = spoken.filter(({ text }) => !/\s/.test(text.trim())).length;
  const areWords = spoken.length > 1 && single > spoken.length * 0.8;
  return {
    language: answer.language ?? null,
    segments: areWords ? wordsToSegments(spoken) : spoken,
  };
}

/** A score of 0 or less is a log-probability. */
function asConfidence(score: number): number {
  return Math.min(1, Math.max(0, score <= 0 ? Math.exp(score) : score));
}
