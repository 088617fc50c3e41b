/** `clipscribe models`: what each model can do, costs, until when, and whom this pipeline would ask. */
import { basename } from "node:path";

import { EXIT } from "../core/exit-codes.ts";
import { MODEL_FILE, modelData } from "../core/model-data.ts";
import type { ModelSpec } from "../core/models.ts";
import { describeChoices, formatChoice } from "./describe-choices.ts";
import { findPipelineFile } from "./find-pipeline.ts";
import type { Io } from "./io.ts";
import { loadPipeline } from "./load-pipeline.ts";
import { openProviders } from "./providers.ts";
import { readSettings } from "./settings.ts";

export async function models(
  { json, pipeline: named }: { json: boolean; pipeline?: string | undefined },
  io: Io,
): Promise<number> {
  const settings = await readSettings(io);
  const providers = openProviders(settings);
  const file = findPipelineFile(io, named);
  const { pipeline } = await loadPipeline(file, settings.home);
  const choices = describeChoices(providers, pipeline.stages);
  if (json) {
    const report = { schema: 1, ...MODEL_FILE, uses: choices };
    io.stdout(`${JSON.stringify(report)}\n`);
    return EXIT.complete;
  }
  for (const spec of modelData().models) {
    const name = `${spec.provider}/${spec.model}`;
    const until = spec.retiresOn === null ? "" : ` ${spec.retiresOn}`;
    io.stdout(
      `${name.padEnd(36)} ${`${spec.state}${until}`.padEnd(19)} ${priceOf(spec).padEnd(34)} ${abilitiesOf(spec)}\n`,
    );
  }
  io.stdout(`prices in USD, as of ${modelData().asOf}; ~ is inferred\n\n${basename(file)} uses\n`);
  for (const choice of choices) io.stdout(formatChoice(choice, "  ", io));
  return EXIT.complete;
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
