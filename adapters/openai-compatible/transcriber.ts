/**
 * `POST /v1/audio/transcriptions` as OpenAI, vLLM, speaches and LocalAI serve it: verbose_json. A
 * server that knows no times, as vLLM with Voxtral, refuses that or answers with the bare text; the
 * stage then sends it pieces so short that theirs will do.
 */
import { z } from "zod";

import { asClipscribeError, isKind } from "../../core/errors.ts";
import { transcriptionCost } from "../../core/models.ts";
import type { TranscriberSpec } from "../../core/models.ts";
import type { PaidAnswer, TranscribeAnswer } from "../../core/stage.ts";
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
const Answer = Timed.extend({ text: z.string().nullish() }).refine(
  ({ segments, words, text }) => (segments ?? words ?? text) != null,
);
/** What a server says that takes no `verbose_json`. */
const REFUSES_TIMES = /verbose_json|response_format|timestamp/i;

export function openCompatibleTranscriber(options: CompatibleTranscriberOptions): Transcriber {
  const { key, baseUrl, model, spec } = options;
  const { provider } = spec;
  return {
    provider,
    model,
    spec,
    estimateUsd: ({ durationSeconds }) => transcriptionCost(spec, durationSeconds),
    async transcribe(request, signal) {
      const { language, terms = [], durationSeconds } = request;
      const askFor = async (format: readonly (readonly [string, string])[]): Promise<PaidAnswer> =>
        askTranscriber({
          spec,
          url: endpoint(baseUrl, "/v1/audio/transcriptions"),
          key,
          fields: [
            ["model", model],
            ...format,
            ...(language === null ? [] : [["language", language.slice(0, 2)] as const]),
            ...(terms.length === 0 ? [] : [["prompt", terms.join(", ")] as const]),
          ],
          request,
          signal,
          schema: Answer,
          read: (answer) => readAnswer(answer, durationSeconds),
          secondsOf: () => null,
        });
      try {
        return await askFor([
          ["response_format", "verbose_json"],
          ["timestamp_granularities[]", "word"],
          ["timestamp_granularities[]", "segment"],
        ]);
      } catch (error) {
        const { message } = asClipscribeError(error);
        if (!isKind(error, "contract") || !REFUSES_TIMES.test(message)) throw error;
        return askFor([["response_format", "json"]]);
      }
    },
  };
}

type SpokenWord = NonNullable<TranscribeAnswer["segments"][number]["words"]>[number];

function readAnswer(answer: z.infer<typeof Answer>, durationSeconds: number): TranscribeAnswer {
  const language = languageCode(answer.language);
  const timed = timedWords(answer.words ?? []) ?? [];
  const text = answer.text?.trim() ?? "";
  const hasTimes = (answer.segments ?? answer.words ?? []).length > 0;
  if (!hasTimes && text !== "") {
    const all = { start: 0, end: durationSeconds, text, speaker: null };
    return { language, segments: [all], isUntimed: true };
  }
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
