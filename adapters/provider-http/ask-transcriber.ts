/**
 * What every transcription by multipart has in common: the sound last, streamed from disk, or the
 * address where the provider fetches it; never both.
 */
import { openAsBlob } from "node:fs";

import type { FormData } from "undici";
import type { z } from "zod";

import { ClipscribeError } from "../../core/errors.ts";
import { transcriptionCost } from "../../core/models.ts";
import type { TranscriberSpec } from "../../core/models.ts";
import type { PaidAnswer, TranscribeAnswer } from "../../core/stage.ts";
import type { SoundRequest } from "../../ports/providers.ts";
import { ask } from "./ask.ts";
import { openHttp } from "./open-http.ts";

export interface TranscriberQuestion<Answer> {
  spec: TranscriberSpec;
  url: string;
  key: string | null;
  /** In the order in which they are sent. */
  fields: readonly (readonly [name: string, value: string])[];
  /** What the provider calls the address of a sound; without it, sound is uploaded. */
  addressField?: string;
  request: SoundRequest;
  signal: AbortSignal;
  schema: z.ZodType<Answer>;
  read: (answer: Answer) => TranscribeAnswer;
  /** What the provider says that it heard, and bills. */
  secondsOf: (answer: Answer) => number | null | undefined;
}

/** @throws by kind, as `ask`; `contract` where the answer has another shape or no times. */
export async function askTranscriber<Answer>(
  question: TranscriberQuestion<Answer>,
): Promise<PaidAnswer> {
  const { spec, url, key, fields, request, signal } = question;
  const { provider } = spec;
  const body = async (): Promise<FormData> => {
    const http = await openHttp();
    const form = new http.FormData();
    for (const [name, value] of fields) form.append(name, value);
    if (question.addressField !== undefined && request.address !== undefined) {
      form.append(question.addressField, (await request.address()).href);
      return form;
    }
    // xAI reads what comes before the file, and nothing after it.
    form.append("file", await openAsBlob(request.audio.path, { type: "audio/ogg" }), "speech.ogg");
    return form;
  };
  const raw = await ask({ provider, url, key, body, signal });
  const parsed = question.schema.safeParse(raw);
  if (!parsed.success) {
    throw new ClipscribeError("contract", `${provider}'s answer has no words with times`, {
      hint: "use a model that `clipscribe models` lists; others answer without the seconds that quotes need",
      cause: parsed.error,
    });
  }
  const seconds = question.secondsOf(parsed.data) ?? request.durationSeconds;
  return {
    answer: { ...question.read(parsed.data), raw },
    usage: { audio_seconds: seconds },
    costUsd: transcriptionCost(spec, seconds),
  };
}
