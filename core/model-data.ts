/**
 * What is known of paid models, read from models.json: capabilities, limits, prices and retirement
 * dates, as their makers' pages said on `as_of`. A price that moves is changed there and nowhere else.
 * `~` in a note: the maker gives no exact figure, and the one here is inferred.
 */
import { z } from "zod";

import type { ModelSpec } from "./models.ts";
import data from "./models.json" with { type: "json" };

export const PROVIDER_NAMES = ["mistral", "xai", "openai-compatible"] as const;

const usd = z.number().min(0);
const base = {
  provider: z.enum(PROVIDER_NAMES),
  /** `*`: whatever the server runs. Never an alias that changes its meaning. */
  model: z
    .string()
    .regex(/^(?:\*|.*[^-*]$)/)
    .refine((name) => !name.endsWith("-latest")),
  state: z.enum(["current", "superseded", "retired"]),
  retires_on: z.iso.date().nullable(),
  note: z.string(),
};

const Transcriber = z
  .strictObject({
    ...base,
    kind: z.literal("transcriber"),
    price: z.strictObject({ unit: z.literal("minute"), usd }),
    words: z.boolean(),
    diarizes: z.boolean(),
    takes_language: z.boolean(),
    max_seconds: z.number().positive(),
    max_bytes: z.int().positive(),
    address: z.strictObject({ max_chars: z.int().positive() }).nullable(),
  })
  .transform(({ retires_on, takes_language, max_seconds, max_bytes, address, ...spec }) => ({
    ...spec,
    retiresOn: retires_on,
    takesLanguage: takes_language,
    maxSeconds: max_seconds,
    maxBytes: max_bytes,
    address: address && { maxChars: address.max_chars },
  }));

const Chat = z
  .strictObject({
    ...base,
    kind: z.literal("chat"),
    /** USD a million tokens. */
    price: z.strictObject({
      unit: z.literal("tokens"),
      input: usd,
      cached: usd,
      output: usd,
      doubles_from: z.int().positive().nullable(),
    }),
    context_tokens: z.int().positive(),
  })
  .transform(({ retires_on, context_tokens, price: { doubles_from, ...price }, ...spec }) => ({
    ...spec,
    retiresOn: retires_on,
    contextTokens: context_tokens,
    price: { ...price, doublesFrom: doubles_from },
  }));

const ModelFile = z.strictObject({
  as_of: z.iso.date(),
  /** Best first: what `auto` takes of one provider. */
  models: z.array(z.union([Transcriber, Chat])),
});

let read: { asOf: string; models: readonly ModelSpec[] } | undefined;

/** Parsed when it is first asked for. @throws a ZodError for a file that is none. */
export function modelData(): { asOf: string; models: readonly ModelSpec[] } {
  if (read === undefined) {
    const { as_of: asOf, models } = ModelFile.parse(data);
    read = { asOf, models };
  }
  return read;
}

/** As it is on disk, for `clipscribe models --json`. */
export const MODEL_FILE: { readonly as_of: string; readonly models: readonly object[] } = data;
