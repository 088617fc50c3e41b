/** Looks up what a model can do and what it costs. The figures are in models.json. */
import { didYouMean } from "./did-you-mean.ts";
import { PROVIDER_NAMES, modelData } from "./model-data.ts";

export type ProviderName = (typeof PROVIDER_NAMES)[number];

interface ModelBase {
  readonly provider: ProviderName;
  /** `*`: whatever the server runs. */
  readonly model: string;
  readonly state: "current" | "superseded" | "retired";
  /** ISO date; past for a retired model, null where none is announced. */
  readonly retiresOn: string | null;
  readonly note: string;
}

export interface TranscriberSpec extends ModelBase {
  readonly kind: "transcriber";
  readonly price: { readonly unit: "minute"; readonly usd: number };
  readonly words: boolean;
  readonly diarizes: boolean;
  /** A language can be named without losing the times. */
  readonly takesLanguage: boolean;
  /** Longest sound in one request. */
  readonly maxSeconds: number;
  readonly maxBytes: number;
  /** It can fetch the sound itself, from an address of at most so many characters. */
  readonly address: { readonly maxChars: number } | null;
}

export interface ChatSpec extends ModelBase {
  readonly kind: "chat";
  /** USD a million tokens; all double from `doublesFrom` prompt tokens on. */
  readonly price: {
    readonly unit: "tokens";
    readonly input: number;
    readonly cached: number;
    readonly output: number;
    readonly doublesFrom: number | null;
  };
  readonly contextTokens: number;
}

export type ModelSpec = TranscriberSpec | ChatSpec;
export type ModelKind = ModelSpec["kind"];

export function findModel<Kind extends ModelKind>(
  kind: Kind,
  provider: string,
  model: string,
): Extract<ModelSpec, { kind: Kind }> | undefined {
  const isOf = (spec: ModelSpec): spec is Extract<ModelSpec, { kind: Kind }> =>
    spec.kind === kind && spec.provider === provider;
  return modelData()
    .models.filter(isOf)
    .find((spec) => spec.model === model || spec.model === "*");
}

/** The model that a pipeline names as `provider/model`. */
export function findNamedModel(kind: ModelKind, name: string): ModelSpec | undefined {
  const slash = name.indexOf("/");
  return slash === -1 ? undefined : findModel(kind, name.slice(0, slash), name.slice(slash + 1));
}

/** Days before a model's end that a person is told. */
const RETIREMENT_NOTICE_DAYS = 60;
const DAY_MS = 86_400_000;

/** Says that a model in use will not answer much longer; undefined where nothing is known of it. */
export function retirementWarning(spec: ModelSpec, now: Date): string | undefined {
  const { provider, model, retiresOn } = spec;
  if (retiresOn === null) return undefined;
  const days = Math.ceil((Date.parse(retiresOn) - now.getTime()) / DAY_MS);
  if (days > RETIREMENT_NOTICE_DAYS) return undefined;
  const when = days > 0 ? `in ${days} days, on` : "on";
  return `${provider}/${model} ${days > 0 ? "retires" : "was retired"} ${when} ${retiresOn}`;
}

/** Whether a model answers no more, by its state or by its date. */
export function isRetired({ state, retiresOn }: ModelSpec, now: Date): boolean {
  return state === "retired" || (retiresOn !== null && Date.parse(retiresOn) <= now.getTime());
}

/** The first of a provider that still works. */
export function defaultModel(kind: ModelKind, provider: ProviderName): string | undefined {
  return modelData().models.find(
    (spec) => spec.kind === kind && spec.provider === provider && spec.state !== "retired",
  )?.model;
}

/**
 * Says what is wrong with a model that a pipeline names as `provider/model`, or returns undefined.
 * Names without a known provider before the slash are the stage's own words and not looked at.
 */
export function problemOfModel(
  kind: ModelKind,
  wanted: string,
): { message: string; hint: string } | undefined {
  const slash = wanted.indexOf("/");
  const provider = wanted.slice(0, slash);
  if (slash === -1 || !(PROVIDER_NAMES as readonly string[]).includes(provider)) return undefined;
  const model = wanted.slice(slash + 1);
  const usable = modelData()
    .models.filter((spec) => spec.kind === kind && spec.state !== "retired")
    .map((spec) => `${spec.provider}/${spec.model}`);
  const instead = `use one of ${usable.join(", ")}; \`clipscribe models\` says what each can do`;
  if (model.endsWith("-latest")) {
    const message = `\`${wanted}\` is an alias that changes its meaning`;
    return { message, hint: instead };
  }
  const found = findModel(kind, provider, model);
  if (found === undefined) {
    const message = `no ${kind} \`${wanted}\` is known`;
    return { message, hint: didYouMean(wanted, usable) ?? instead };
  }
  if (found.state !== "retired") return undefined;
  return { message: `\`${wanted}\` was retired on ${found.retiresOn ?? "?"}`, hint: instead };
}

/** USD for `seconds` of sound. */
export function transcriptionCost(spec: TranscriberSpec, seconds: number): number {
  return (seconds / 60) * spec.price.usd;
}

export interface TokenUsage {
  /** All tokens of the prompt, cached ones included. */
  promptTokens: number;
  cachedTokens: number;
  /** Everything that is billed as output, reasoning included. */
  outputTokens: number;
}

/** USD of one chat call. */
export function chatCost({ price }: ChatSpec, usage: TokenUsage): number {
  const { promptTokens, cachedTokens, outputTokens } = usage;
  const fresh = Math.max(0, promptTokens - cachedTokens);
  const usd = fresh * price.input + cachedTokens * price.cached + outputTokens * price.output;
  const factor = price.doublesFrom !== null && promptTokens >= price.doublesFrom ? 2 : 1;
  return (factor * usd) / 1e6;
}

/** English with ids, times and names, by a tokenizer of the kind that chat models have. */
const CHARS_PER_TOKEN = 3.7;
/**
 * Findings in tokens, by those of the transcript; inferred. Each claim comes with its quote, so they
 * are long: 6/5 where every sentence has a name and a figure, 2/5 in small talk.
 */
const ANSWER_SHARE = 0.8;

/** What a question about a transcript would use, before it is asked. */
export function foreseeUsage(questionChars: number, transcriptChars: number): TokenUsage {
  return {
    promptTokens: Math.ceil(questionChars / CHARS_PER_TOKEN),
    cachedTokens: 0,
    outputTokens: Math.ceil((transcriptChars / CHARS_PER_TOKEN) * ANSWER_SHARE),
  };
}
