/** `clipscribe models`: what each model can do, costs, until when, and whom this pipeline would ask. */
import { basename } from "node:path";

import { EXIT } from "../core/exit-codes.ts";
import { MODELS, MODEL_DATA_DATE } from "../core/model-data.ts";
import type { ModelKind, ModelSpec } from "../core/models.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import { providersOf } from "../runner/identify-stage.ts";
import type { Providers } from "../runner/world.ts";
import { findPipelineFile } from "./find-pipeline.ts";
import type { Io } from "./io.ts";
import { loadPipeline } from "./load-pipeline.ts";
import { openProviders } from "./providers.ts";
import { readSettings } from "./settings.ts";

interface Choice {
  stage: string;
  model: string | null;
  why: string;
  /** Who is asked where the first can't. */
  fallback: string[];
}

export async function models(
  { json, pipeline: named }: { json: boolean; pipeline?: string | undefined },
  io: Io,
): Promise<number> {
  const settings = await readSettings(io);
  const providers = openProviders(settings);
  const file = findPipelineFile(io, named);
  const { pipeline } = await loadPipeline(file, settings.home);
  const choices = pipeline.stages.flatMap((stage) => chooseFor(providers, stage) ?? []);
  if (json) {
    const report = { schema: 1, as_of: MODEL_DATA_DATE, models: MODELS, uses: choices };
    io.stdout(`${JSON.stringify(report)}\n`);
    return EXIT.complete;
  }
  for (const spec of MODELS) {
    const name = `${spec.provider}/${spec.model}`;
    const until = spec.retiresOn === null ? "" : ` ${spec.retiresOn}`;
    io.stdout(
      `${name.padEnd(36)} ${`${spec.state}${until}`.padEnd(19)} ${priceOf(spec).padEnd(34)} ${abilitiesOf(spec)}\n`,
    );
  }
  io.stdout(`prices in USD, as of ${MODEL_DATA_DATE}; ~ is inferred\n\n${basename(file)} uses\n`);
  for (const { stage, model, why, fallback } of choices) {
    const others = fallback.length === 0 ? "" : `; else ${fallback.join(", ")}`;
    io.stdout(`  ${stage.padEnd(14)} ${model ?? "nothing"}: ${why}${others}\n`);
  }
  return EXIT.complete;
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
  const why = whyChosen(nameOf(first), isNamed ? wanted : null, setting);
  return { stage: stage.id, model: nameOf(first), why, fallback };
}

function whyChosen(name: string, wanted: string | null, setting: string): string {
  if (wanted === name) return `the pipeline names it, and ${setting} is set`;
  if (wanted !== null) return `\`${wanted}\` is not configured, and this is its fallback`;
  const first = setting.startsWith("OPENAI_COMPATIBLE") ? ", and your own server comes first" : "";
  return `${setting} is set${first}`;
}

function nameOf({ provider, model }: { provider: string; model: string }): string {
  return `${provider}/${model}`;
}

function priceOf(spec: ModelSpec): string {
  if (spec.kind === "transcriber") return `${Number(spec.price.usd.toFixed(5))}/min`;
  const { input, cached, output, doublesFrom } = spec.price;
  const double = doublesFrom === null ? "" : `, double from ${doublesFrom / 1000}k`;
  return `${input} in, ${cached} cached, ${output} out/M${double}`;
}

function abilitiesOf(spec: ModelSpec): string {
  const { note } = spec;
  const can =
    spec.kind === "chat"
      ? [`${spec.contextTokens / 1000}k tokens`]
      : [
          `${Math.round(spec.maxSeconds / 60)} min`,
          spec.words ? "word times" : "segment times",
          ...(spec.diarizes ? ["speakers"] : []),
          ...(spec.address === null ? [] : ["fetches from a bucket"]),
        ];
  return [...can, ...(note === "" ? [] : [note])].join(", ");
}
