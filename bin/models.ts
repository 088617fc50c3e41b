/** `clipscribe models`: what each model can do, costs, until when, and what `auto` means here. */
import { EXIT } from "../core/exit-codes.ts";
import { MODELS, MODEL_DATA_DATE } from "../core/model-data.ts";
import type { ModelSpec } from "../core/models.ts";
import type { Io } from "./io.ts";
import { openProviders } from "./providers.ts";
import { readSettings } from "./settings.ts";

export async function models({ json }: { json: boolean }, io: Io): Promise<number> {
  const settings = await readSettings(io);
  const { transcribers, chats } = openProviders(settings);
  const isSet = (name: string): boolean => settings.all.get(name)?.value != null;
  const choice = {
    transcriber: explain(transcribers[0], isSet("OPENAI_COMPATIBLE_ASR_URL"), {
      own: "OPENAI_COMPATIBLE_ASR_URL is set, and your own server comes first",
      key: "MISTRAL_API_KEY is set",
      none: "set MISTRAL_API_KEY or OPENAI_COMPATIBLE_ASR_URL; until then captions only",
    }),
    chat: explain(chats[0], isSet("OPENAI_COMPATIBLE_CHAT_URL"), {
      own: "OPENAI_COMPATIBLE_CHAT_URL is set, and your own server comes first",
      key: "XAI_API_KEY is set",
      none: "set XAI_API_KEY or OPENAI_COMPATIBLE_CHAT_URL; until then offline rules",
    }),
  };
  if (json) {
    const report = { schema: 1, as_of: MODEL_DATA_DATE, models: MODELS, auto: choice };
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
  io.stdout(`prices in USD, as of ${MODEL_DATA_DATE}; ~ is inferred\n\n`);
  io.stdout(`auto transcribes by ${choice.transcriber}\nauto finds by       ${choice.chat}\n`);
  return EXIT.complete;
}

function explain(
  chosen: { provider: string; model: string } | undefined,
  isOwn: boolean,
  why: { own: string; key: string; none: string },
): string {
  if (chosen === undefined) return `nothing: ${why.none}`;
  return `${chosen.provider}/${chosen.model}: ${isOwn ? why.own : why.key}`;
}

function priceOf(spec: ModelSpec): string {
  if (spec.kind === "transcriber") return `${spec.price.usd}/min`;
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
        ];
  return [...can, ...(note === "" ? [] : [note])].join(", ");
}
