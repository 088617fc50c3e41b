/** `POST /v1/audio/transcriptions` as OpenAI, vLLM, speaches and LocalAI serve it: verbose_json. */
import { z } from "zod";

import { transcriptionCost } from "../../core/models.ts";
import type { TranscriberSpec } from "../../core/models.ts";
import type { TranscribeAnswer } from "../../core/stage.ts";
import type { Transcriber } from "../../ports/providers.ts";
import { askTranscriber } from "../provider-http/ask-transcriber.ts";
import { endpoint } from "../provider-http/base-url.ts";
import { languageCode } from "../provider-http/language-code.ts";
import { wordsToSegments } from "../provider-http/words-to-segments.ts";

export interface CompatibleTranscriberOptions {
  key: string | null;
  baseUrl: string;
  model: string;
  spec: TranscriberSpec;
}

const Word = z.object({ word: z.string(), start: z.number(), end: z.number() });
const Timed = z.object({
  language: z.string().nullish(),
  segments: z
    .array(
      z.object({
        text: z.string(),
        start: z.number(),
        end: z.number(),
        speaker: z.string().nullish(),
        avg_logprob: z.number().nullish(),
        // whisper.cpp and WhisperX put them here, OpenAI beside the segments.
        words: z.array(Word.partial({ start: true, end: true })).nullish(),
      }),
    )
    .nullish(),
  words: z.array(Word).nullish(),
});
/** Servers without `verbose_json` answer with the bare text. */
const Answer = Timed.refine(({ segments, words }) => (segments ?? words) != null);

export function openCompatibleTranscriber(options: CompatibleTranscriberOptions): Transcriber {
  const { key, baseUrl, model, spec } = options;
  const { provider } = spec;
  return {
    provider,
    model,
    estimateUsd: ({ durationSeconds }) => transcriptionCost(spec, durationSeconds),
    async transcribe(request, signal) {
      const { language, terms = [] } = request;
      return askTranscriber({
        spec,
        url: endpoint(baseUrl, "/v1/audio/transcriptions"),
        key,
        fields: [
          ["model", model],
          ["response_format", "verbose_json"],
          ["timestamp_granularities[]", "word"],
          ["timestamp_granularities[]", "segment"],
          ...(language === null ? [] : [["language", language.slice(0, 2)] as const]),
          ...(terms.length === 0 ? [] : [["prompt", terms.join(", ")] as const]),
        ],
        request,
        signal,
        schema: Answer,
        read: readAnswer,
        secondsOf: () => null,
      });
    },
  };
}

type SpokenWord = NonNullable<TranscribeAnswer["segments"][number]["words"]>[number];

function readAnswer(answer: z.infer<typeof Timed>): TranscribeAnswer {
  const language = languageCode(answer.language);
  const timed = timedWords(answer.words ?? []) ?? [];
  if (answer.segments === undefined || answer.segments === null) {
    const spoken = timed.map((word) => ({ ...word, speaker: null }));
    return { language, segments: wordsToSegments(spoken) };
  }
  return {
    language,
    segments: answer.segments.map(({ text, start, end, speaker, avg_logprob: score, words }) => {
      const own =
        words === undefined || words === null
          ? timed.filter((word) => word.start >= start - 0.01 && word.start < end)
          : (timedWords(words) ?? []);
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

/** Undefined where one has no time, as WhisperX leaves figures: the others' would be counted wrongly. */
function timedWords(
  words: readonly { word: string; start?: number | undefined; end?: number | undefined }[],
): SpokenWord[] | undefined {
  const timed = words.flatMap(({ word, start, end }) =>
    start === undefined || end === undefined ? [] : [{ text: word.trim(), start, end }],
  );
  return timed.length === words.length ? timed : undefined;
}
