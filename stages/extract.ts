/**
 * Finds the people, sums and claims in a transcript: by a chat model where one is configured, else
 * offline by documented rules. Either way, code looks every quote up; no model says what is true.
 */
import { z } from "zod";

import { ClipscribeError } from "../core/errors.ts";
import { Intelligence } from "../core/intelligence.ts";
import { chatCost, findModel, foreseeUsage } from "../core/models.ts";
import { defineStage, json } from "../core/stage.ts";
import { Transcript } from "../core/transcript.ts";
import { INSTRUCTIONS } from "./findings/ask-model.ts";
import { findByModel } from "./findings/find-by-model.ts";
import { OFFLINE_MODEL, findOffline } from "./offline-rules/find-offline.ts";

/** Before it is known what was said: 150 words a minute, in segments of 100 characters. */
const SPOKEN_CHARS_PER_SECOND = 14;
const CHARS_PER_SEGMENT = 100;
/** `[s0012 00:12:31 SPEAKER] ` and the line's end. */
const LINE_HEAD_CHARS = 32;

export default defineStage({
  input: { transcript: json(Transcript) },
  output: { intelligence: json(Intelligence) },
  params: z.strictObject({
    /** `auto`: a configured chat model, else `offline/rules`; or `provider/model`. */
    model: z.string().default("auto"),
    /** Asked in their order where the model is out of reach or refuses the account. */
    fallback: z
      .array(z.string().regex(/^[^/]+\/[^/]+$/, "use provider/model"))
      .max(4)
      .default([]),
    /** Offline: entities below this confidence are left out. */
    min_confidence: z.number().min(0).max(1).default(0.6),
    max_key_moments: z.int().min(0).max(100).default(12),
    /** Characters of transcript a request. */
    chunk_chars: z.int().min(1_000).max(400_000).default(24_000),
    /** Requests at once. */
    at_once: z.int().min(1).max(16).default(4),
  }),
  needs: { provider: "chat", providerParam: "model", fallbackParam: "fallback", pool: "llm" },
  estimate({ mediaSeconds, spoken, params, provider }) {
    const asks = params.model !== OFFLINE_MODEL && provider !== null;
    const spec = asks
      ? (provider.spec ?? findModel("chat", provider.provider, provider.model))
      : undefined;
    if (spec?.kind !== "chat") return { seconds: 1 + mediaSeconds / 3600, costUsd: 0 };
    const said = spoken ?? guessSpoken(mediaSeconds);
    const chars = said.chars + said.segments * LINE_HEAD_CHARS;
    const calls = Math.ceil(chars / params.chunk_chars);
    const usage = foreseeUsage(chars + calls * INSTRUCTIONS.length, chars);
    return { seconds: 10 + mediaSeconds / 60, costUsd: chatCost(spec, usage) };
  },

  async run({ input, params, ctx }) {
    const { transcript } = input;
    const { model, chunk_chars: chunkChars, at_once: atOnce } = params;
    if (model === OFFLINE_MODEL || (model === "auto" && ctx.provider === null)) {
      return { intelligence: findOffline(transcript, params, ctx) };
    }
    if (ctx.provider === null) {
      throw new ClipscribeError("config", "the chat model is not configured", {
        details: { model },
        hint: `set its provider's key, or \`model: ${OFFLINE_MODEL}\` in pipeline.yaml, then run again`,
      });
    }
    const options = { chunkChars, atOnce };
    return { intelligence: await findByModel(transcript, ctx.provider, options, ctx) };
  },
});

function guessSpoken(mediaSeconds: number): { chars: number; segments: number } {
  const chars = mediaSeconds * SPOKEN_CHARS_PER_SECOND;
  return { chars, segments: chars / CHARS_PER_SEGMENT };
}
