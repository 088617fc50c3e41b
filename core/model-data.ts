/**
 * What is known of paid models: capabilities, limits, prices and retirement dates, as their makers'
 * pages said on MODEL_DATA_DATE. Data only; a price that moves is changed here and nowhere else.
 * `~` in a note: the maker gives no exact figure, and the one here is inferred.
 */
import type { ModelSpec } from "./models.ts";

export const MODEL_DATA_DATE = "2026-11-24";

const MIB = 1024 * 1024;

/** Best first: what `auto` takes of one provider. */
export const MODELS: readonly ModelSpec[] = [
  {
    provider: "mistral",
    model: "voxtral-mini-2602",
    kind: "transcriber",
    state: "superseded",
    retiresOn: null,
    price: { unit: "minute", usd: 0.003 },
    words: true,
    diarizes: true,
    maxSeconds: 3 * 3600,
    maxBytes: 512 * MIB,
    note: "the only Mistral model with a time for each word",
  },
  {
    provider: "mistral",
    model: "voxtral-mini-transcribe-3-0",
    kind: "transcriber",
    state: "current",
    retiresOn: null,
    price: { unit: "minute", usd: 0.0035 },
    words: false,
    diarizes: true,
    maxSeconds: 75 * 60,
    maxBytes: 512 * MIB,
    note: "66k tokens of context, ~75 min; price ~",
  },
  {
    provider: "mistral",
    model: "voxtral-small-transcribe-3",
    kind: "transcriber",
    state: "current",
    retiresOn: null,
    price: { unit: "minute", usd: 0.004 },
    words: false,
    diarizes: true,
    maxSeconds: 75 * 60,
    maxBytes: 512 * MIB,
    note: "66k tokens of context, ~75 min; price ~",
  },
  {
    provider: "mistral",
    model: "voxtral-mini-2507",
    kind: "transcriber",
    state: "retired",
    retiresOn: "2026-05-31",
    price: { unit: "minute", usd: 0.002 },
    words: false,
    diarizes: false,
    maxSeconds: 15 * 60,
    maxBytes: 512 * MIB,
    note: "",
  },
  {
    provider: "openai-compatible",
    model: "*",
    kind: "transcriber",
    state: "current",
    retiresOn: null,
    price: { unit: "minute", usd: 0 },
    words: true,
    diarizes: false,
    // vLLM's defaults, the narrowest of the servers that speak this wire.
    maxSeconds: 600,
    maxBytes: 25 * MIB,
    note: "your own server; counted as free",
  },
  {
    provider: "xai",
    model: "grok-4.3",
    kind: "chat",
    state: "current",
    retiresOn: null,
    price: { unit: "tokens", input: 1.25, cached: 0.2, output: 2.5, doublesFrom: 200_000 },
    contextTokens: 1_000_000,
    note: "",
  },
  ...["grok-4.5", "grok-4.6", "grok-4.7"].map((model) => ({
    provider: "xai" as const,
    model,
    kind: "chat" as const,
    state: "current" as const,
    retiresOn: null,
    price: { unit: "tokens" as const, input: 2, cached: 0.5, output: 6, doublesFrom: null },
    contextTokens: 500_000,
    note: "",
  })),
  ...["grok-4", "grok-4-fast", "grok-4.1-fast"].map((model) => ({
    provider: "xai" as const,
    model,
    kind: "chat" as const,
    state: "retired" as const,
    retiresOn: "2026-05-15",
    price: { unit: "tokens" as const, input: 2, cached: 0.5, output: 6, doublesFrom: null },
    contextTokens: 256_000,
    note: "",
  })),
  {
    provider: "openai-compatible",
    model: "*",
    kind: "chat",
    state: "current",
    retiresOn: null,
    price: { unit: "tokens", input: 0, cached: 0, output: 0, doublesFrom: null },
    contextTokens: 32_000,
    note: "your own server; counted as free",
  },
];
