/** Which paid models are configured, best first, and why: the order that `auto` follows. */
import { openMistralTranscriber } from "../adapters/mistral/mistral-transcriber.ts";
import { openCompatibleChat } from "../adapters/openai-compatible/chat.ts";
import { openCompatibleTranscriber } from "../adapters/openai-compatible/transcriber.ts";
import { openXaiTranscriber } from "../adapters/xai/xai-transcriber.ts";
import { modelData } from "../core/model-data.ts";
import { isRetired } from "../core/models.ts";
import type { ChatModel, Transcriber } from "../ports/providers.ts";
import type { Providers } from "../runner/world.ts";
import type { Settings } from "./settings.ts";

/** Your own server first: what you set up yourself is what you want used, and it costs nothing. */
export function openProviders({ all }: Settings, now = new Date()): Providers {
  const value = (name: string): string | null => all.get(name)?.value ?? null;
  const transcribers: Transcriber[] = [];
  const chats: ChatModel[] = [];

  const asrUrl = value("OPENAI_COMPATIBLE_ASR_URL");
  const chatUrl = value("OPENAI_COMPATIBLE_CHAT_URL");
  const mistralKey = value("MISTRAL_API_KEY");
  const xaiKey = value("XAI_API_KEY");
  for (const spec of modelData().models) {
    // `auto` goes on with the next of its maker's on the day that a model ends.
    if (isRetired(spec, now)) continue;
    if (spec.provider === "openai-compatible") {
      if (spec.kind === "transcriber" && asrUrl !== null) {
        const usd = Number(value("OPENAI_COMPATIBLE_ASR_USD") ?? spec.price.usd);
        transcribers.unshift(
          openCompatibleTranscriber({
            spec: { ...spec, price: { ...spec.price, usd } },
            baseUrl: asrUrl,
            key: value("OPENAI_COMPATIBLE_ASR_KEY"),
            model: value("OPENAI_COMPATIBLE_ASR_MODEL") ?? "whisper-1",
          }),
        );
      }
      if (spec.kind === "chat" && chatUrl !== null) {
        const [input = 0, output = 0] = (value("OPENAI_COMPATIBLE_CHAT_USD") ?? "0/0")
          .split("/")
          .map(Number);
        chats.unshift(
          openCompatibleChat({
            // What is cached may be cheaper; nobody said how much.
            spec: { ...spec, price: { ...spec.price, input, cached: input, output } },
            baseUrl: chatUrl,
            key: value("OPENAI_COMPATIBLE_CHAT_KEY"),
            model: value("OPENAI_COMPATIBLE_CHAT_MODEL") ?? "default",
          }),
        );
      }
    } else if (spec.provider === "mistral" && spec.kind === "transcriber" && mistralKey !== null) {
      const baseUrl = value("MISTRAL_BASE_URL") ?? "";
      transcribers.push(openMistralTranscriber({ spec, key: mistralKey, baseUrl }));
    } else if (spec.provider === "xai" && spec.kind === "transcriber" && xaiKey !== null) {
      const baseUrl = value("XAI_BASE_URL") ?? "";
      transcribers.push(openXaiTranscriber({ spec, key: xaiKey, baseUrl }));
    } else if (spec.provider === "xai" && spec.kind === "chat" && xaiKey !== null) {
      const { model } = spec;
      const baseUrl = value("XAI_BASE_URL") ?? "";
      chats.push(openCompatibleChat({ spec, model, key: xaiKey, baseUrl }));
    }
  }
  return { transcribers, chats, paid: new Map() };
}
