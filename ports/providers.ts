/**
 * The paid models. A provider only asks and answers; keys, cache, budgets and retries are the
 * runner's (`PaidCalls`). None is wired by default: without one, a stage that needs it is held.
 */
import type { ChatRequest, PaidAnswer, TranscribeRequest } from "../core/stage.ts";

export interface Transcriber {
  readonly provider: string;
  readonly model: string;
  estimateUsd(request: TranscribeRequest): number;
  /** `answer` is a TranscribeAnswer. @throws by kind: `transient`, `denied`, `contract`. */
  transcribe(request: TranscribeRequest, signal: AbortSignal): Promise<PaidAnswer>;
}

export interface ChatModel {
  readonly provider: string;
  readonly model: string;
  estimateUsd(request: ChatRequest<unknown>): number;
  /** `answer` fits the request's schema. */
  chat(request: ChatRequest<unknown>, signal: AbortSignal): Promise<PaidAnswer>;
}
