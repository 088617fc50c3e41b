/** `POST /v1/audio/transcriptions` as OpenAI, vLLM, speaches and LocalAI serve it: verbose_json. */
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

export interface CompatibleTranscriberOptions {
  key: string | null;
  baseUrl: string;
  model: string;
  spec: TranscriberSpec;
}

const Answer = z.object({
  language: z.string().nullish(),
  segments: z
    .array(
      z.object({
        text: z.string(),
        start: z.number(),
        end: z.number(),
        speaker: z.string().nullish(),
        avg_logprob: z.number().nullish(),
      }),
    )
    .nullish(),
  words: z.array(z.object({ word: z.string(), start: z.number(), end: z.number() })).nullish(),
});

export function openCompatibleTranscriber(options: CompatibleTranscriberOptions): Transcriber {
  const { key, baseUrl, model, spec } = options;
  const { provider } = spec;
  return {
    provider,
    model,
    estimateUsd: ({ durationSeconds }) => transcriptionCost(spec, durationSeconds),
    async transcribe({ audio, durationSeconds, language }, signal) {
      const body = async (): Promise<FormData> => {
        const form = new FormData();
        form.append("model", model);
        form.append("response_format", "verbose_json");
        form.append("timestamp_granularities[]", "word");
        form.append("timestamp_granularities[]", "segment");
        if (language !== null) form.append("language", language.slice(0, 2));
        form.append("file", await openAsBlob(audio.path, { type: "audio/ogg" }), "speech.ogg");
        return form;
      };
      const url = endpoint(baseUrl, "/v1/audio/transcriptions");
      const raw = await ask({ provider, url, key, body, signal });
      const parsed = Answer.safeParse(raw);
      if (!parsed.success || (parsed.data.segments ?? parsed.data.words) == null) {
        throw new ClipscribeError("contract", "the server's answer has no times", {
          hint: "use a Whisper model: others answer without the seconds that quotes need",
          cause: parsed.error,
        });
      }
      return {
        answer: { ...readAnswer(parsed.data), raw },
        usage: { audio_seconds: durationSeconds },
        costUsd: transcriptionCost(spec, durationSeconds),
      };
    },
  };
}

function readAnswer({ language, segments, words }: z.infer<typeof Answer>): TranscribeAnswer {
  const timed = (words ?? []).map(({ word, start, end }) => ({ text: word.trim(), start, end }));
  if (segments === undefined || segments === null) {
    const spoken = timed.map((word) => ({ ...word, speaker: null }));
    return { language: language ?? null, segments: wordsToSegments(spoken) };
  }
  return {
    language: language ?? null,
    segments: segments.map(({ text, start, end, speaker, avg_logprob: score }) => {
      const own = timed.filter((word) => word.start >= start - 0.01 && word.start < end);
      return {
        text,
        start,
        end,
        speaker: speaker ?? null,
        ...(own.length > 0 && { words: own }),
        ...(typeof score === "number" && { confidence: Math.min(1, Math.exp(score)) }),
      };
    }),
  };
}
