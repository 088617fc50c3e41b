/**
 * The paid models. A provider only asks and answers; keys, cache, budgets and retries are the
 * runner's. None is wired without a key or an address: a stage that needs one is then held.
 */
import type { PaidAnswer, TranscribeRequest } from "../core/stage.ts";
import type { HostChatCall } from "./stage-pool.ts";

export interface Transcriber {
  readonly provider: string;
  readonly model: string;
  estimateUsd(request: TranscribeRequest): number;
  /**
   * `answer` is a TranscribeAnswer and `raw`, what the provider sent.
   * @throws by kind: `transient`, `denied`, `config`, `contract`.
   */
  transcribe(request: TranscribeRequest, signal: AbortSignal): Promise<PaidAnswer>;
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
