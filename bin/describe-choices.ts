/** Whom the stages of a pipeline would ask here, and why: `models` and `plan` say it. */
import type { ModelKind, ModelSpec } from "../core/models.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import { providersOf } from "../runner/identify-stage.ts";
import type { Providers } from "../runner/world.ts";
import type { Io } from "./io.ts";
import { hangText } from "./ui/wrap-text.ts";

export interface Choice {
  stage: string;
  model: string | null;
  why: string;
  /** Who is asked where the first can't. */
  fallback: string[];
}

/** Of the stages that ask a model. */
export function describeChoices(providers: Providers, stages: readonly CheckedStage[]): Choice[] {
  return stages.flatMap((stage) => chooseFor(providers, stage) ?? []);
}

/** Behind `mark`, ended by a line feed. */
export function formatChoice(
  { stage, model, why, fallback }: Choice,
  mark: string,
  io: Io,
): string {
  const others = fallback.length === 0 ? "" : `; else ${fallback.join(", ")}`;
  return hangText(`${mark}${stage.padEnd(14)} `, `${model ?? "nothing"}: ${why}${others}`, io);
}

/** What makes a provider count as configured. */
const SETTING_OF: Record<string, Record<ModelKind, string>> = {
  mistral: { transcriber: "MISTRAL_API_KEY", chat: "MISTRAL_API_KEY" },
  xai: { transcriber: "XAI_API_KEY", chat: "XAI_API_KEY" },
  "openai-compatible": {
    transcriber: "OPENAI_COMPATIBLE_ASR_URL",
    chat: "OPENAI_COMPATIBLE_CHAT_URL",
  },
};
const NOBODY: Record<ModelKind, string> = {
  transcriber:
    "captions only, until MISTRAL_API_KEY, XAI_API_KEY or OPENAI_COMPATIBLE_ASR_URL is set",
  chat: "rules offline, until XAI_API_KEY or OPENAI_COMPATIBLE_CHAT_URL is set",
};

function chooseFor(providers: Providers, stage: CheckedStage): Choice | undefined {
  const { provider: kind, providerParam = "" } = stage.contract.needs ?? {};
  if (kind === undefined) return undefined;
  const wanted = stage.params[providerParam];
  const [first, ...others] = providersOf(providers, stage);
  const fallback = others.map(nameOf);
  const isNamed = typeof wanted === "string" && wanted.includes("/");
  if (first === null) {
    const why = isNamed ? `\`${wanted}\` is not configured` : NOBODY[kind];
    return { stage: stage.id, model: null, why, fallback };
  }
  const setting = SETTING_OF[first.provider]?.[kind] ?? "";
  const why = whyChosen(nameOf(first), isNamed ? wanted : null, setting, isFree(first.spec));
  return { stage: stage.id, model: nameOf(first), why, fallback };
}

function whyChosen(
  name: string,
  wanted: string | null,
  setting: string,
  countsAsFree: boolean,
): string {
  if (wanted === name) return `the pipeline names it, and ${setting} is set`;
  if (wanted !== null) return `\`${wanted}\` is not configured, and this is its fallback`;
  if (!setting.startsWith("OPENAI_COMPATIBLE")) return `${setting} is set`;
  const price = setting.replace(/URL$/, "USD");
  const free = countsAsFree ? `; counted as free until ${price} says what it charges` : "";
  return `${setting} is set, and your own server comes first${free}`;
}

function isFree(spec: ModelSpec | undefined): boolean {
  if (spec === undefined) return false;
  return spec.kind === "chat" ? spec.price.input + spec.price.output === 0 : spec.price.usd === 0;
}

function nameOf({ provider, model }: { provider: string; model: string }): string {
  return `${provider}/${model}`;
}
