/**
 * The paid models. A provider only asks and answers; keys, cache, budgets and retries are the
 * runner's. None is wired without a key or an address: a stage that needs one is then held.
 */
import type { ChatSpec, TranscriberSpec } from "../core/models.ts";
import type { PaidAnswer, TranscribeRequest } from "../core/stage.ts";
import type { HostChatCall } from "./stage-pool.ts";

/** Sound on its way to a provider. */
export interface SoundRequest extends TranscribeRequest {
  /**
   * Where the provider can fetch it for some minutes; made anew for each request. Absent where it
   * has to be uploaded. Whoever holds it may read the sound: it is never logged and never kept.
   */
  address?: () => Promise<URL>;
}

export interface Transcriber {
  readonly provider: string;
  readonly model: string;
  /** What is known of it, its price here included. */
  readonly spec?: TranscriberSpec;
  estimateUsd(request: TranscribeRequest): number;
  /**
   * `answer` is a TranscribeAnswer and `raw`, what the provider sent.
   * @throws by kind: `transient`, `denied`, `config`, `contract`.
   */
  transcribe(request: SoundRequest, signal: AbortSignal): Promise<PaidAnswer>;
}

/** What a chat model said, before anybody looked whether it is of use: it is paid for either way. */
export interface ChatAnswer {
  content: string;
  /** False where the answer ended at a limit. */
  isWhole: boolean;
}

export interface ChatModel {
  readonly provider: string;
  readonly model: string;
  /** What is known of it, its price here included. */
  readonly spec?: ChatSpec;
  estimateUsd(call: HostChatCall): number;
  /** `answer` is a ChatAnswer. @throws by kind, as a transcriber does. */
  chat(call: HostChatCall, signal: AbortSignal): Promise<PaidAnswer>;
}

/** `wanted`: `provider/model` for that one; anything else is `auto`: the first configured. */
export function chooseProvider<Provider extends { provider: string; model: string }>(
  configured: readonly Provider[],
  wanted: unknown,
): Provider | null {
  if (typeof wanted !== "string" || !wanted.includes("/")) return configured[0] ?? null;
  return configured.find(({ provider, model }) => `${provider}/${model}` === wanted) ?? null;
}
