/**
 * xAI's `POST /v1/stt`: every word with its time, speakers by number. `language` only writes
 * figures as figures. https://docs.x.ai/developers/model-capabilities/audio/speech-to-text
 */
import { z } from "zod";

import { transcriptionCost } from "../../core/models.ts";
import type { TranscriberSpec } from "../../core/models.ts";
import type { Transcriber } from "../../ports/providers.ts";
import { askTranscriber } from "../provider-http/ask-transcriber.ts";
import { endpoint } from "../provider-http/base-url.ts";
import { languageCode } from "../provider-http/language-code.ts";
import { wordsToSegments } from "../provider-http/words-to-segments.ts";

export interface XaiTranscriberOptions {
  key: string;
  /** Without `/v1/…`. */
  baseUrl: string;
  spec: TranscriberSpec;
}

const Answer = z.object({
  language: z.string().nullish(),
  duration: z.number().nullish(),
  words: z.array(
    z.object({
      text: z.string(),
      start: z.number(),
      end: z.number(),
      speaker: z.union([z.string(), z.number()]).nullish(),
      confidence: z.number().min(0).max(1).nullish(),
    }),
  ),
});

export function openXaiTranscriber({ key, baseUrl, spec }: XaiTranscriberOptions): Transcriber {
  const { provider, model } = spec;
  return {
    provider,
    model,
    estimateUsd: ({ durationSeconds }) => transcriptionCost(spec, durationSeconds),
    async transcribe(request, signal) {
      const { language, terms = [] } = request;
      return askTranscriber({
        spec,
        url: endpoint(baseUrl, "/v1/stt"),
        key,
        fields: [
          ...(language === null
            ? []
            : [["format", "true"] as const, ["language", language.slice(0, 2)] as const]),
          ["diarize", "true"],
          ...terms.map((term) => ["keyterm", term] as const),
        ],
        request,
        signal,
        schema: Answer,
        read: (answer) => ({
          language: languageCode(answer.language) ?? language,
          segments: wordsToSegments(
            answer.words.map(({ text, start, end, speaker, confidence }) => ({
              text,
              start,
              end,
              speaker: speaker === undefined || speaker === null ? null : `speaker_${speaker}`,
              ...(typeof confidence === "number" && { confidence }),
            })),
          ),
        }),
        secondsOf: ({ duration }) => duration,
      });
    },
  };
}
