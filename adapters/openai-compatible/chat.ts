/**
 * `POST /v1/chat/completions` with a strict JSON schema: xAI, OpenAI, vLLM, Ollama. The answer is
 * checked by the caller all the same: some servers accept a schema and ignore it.
 */
import { z } from "zod";

import { sha256Of } from "../../core/digest.ts";
import { ClipscribeError } from "../../core/errors.ts";
import { chatCost, foreseeUsage } from "../../core/models.ts";
import type { ChatSpec } from "../../core/models.ts";
import type { ChatAnswer, ChatModel } from "../../ports/providers.ts";
import type { HostChatCall } from "../../ports/stage-pool.ts";
import { ask } from "../provider-http/ask.ts";
import { endpoint } from "../provider-http/base-url.ts";

export interface CompatibleChatOptions {
  key: string | null;
  baseUrl: string;
  model: string;
  spec: ChatSpec;
}

/** English text; other scripts have fewer characters a token, so an estimate errs low there. */
const CHARS_PER_TOKEN = 4;

const tokens = z.int().min(0).nullish();
const Answer = z.object({
  choices: z
    .array(
      z.object({
        message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }),
        finish_reason: z.string().nullish(),
      }),
    )
    .min(1),
  usage: z
    .object({
      prompt_tokens: tokens,
      completion_tokens: tokens,
      total_tokens: tokens,
      prompt_tokens_details: z.object({ cached_tokens: tokens }).nullish(),
    })
    .nullish(),
});

export function openCompatibleChat({
  key,
  baseUrl,
  model,
  spec,
}: CompatibleChatOptions): ChatModel {
  const { provider } = spec;
  return {
    provider,
    model,
    spec,
    estimateUsd(call) {
      const { length } = call.prompt;
      const foreseen = foreseeUsage((call.instructions?.length ?? 0) + length, length);
      const outputTokens = Math.min(foreseen.outputTokens, call.maxAnswerTokens ?? Infinity);
      return chatCost(spec, { ...foreseen, outputTokens });
    },
    async chat(call, signal) {
      const body = JSON.stringify(requestOf(call, model, provider));
      const url = endpoint(baseUrl, "/v1/chat/completions");
      const raw = await ask({ provider, url, key, body: () => body, signal });
      const parsed = Answer.safeParse(raw);
      const choice = parsed.data?.choices[0];
      if (!parsed.success || choice === undefined) {
        throw new ClipscribeError("contract", `${provider}'s answer has an unknown shape`, {
          cause: parsed.error,
        });
      }
      const content = choice.message.content ?? "";
      const usage = usageOf(parsed.data.usage, call, content);
      const answer: ChatAnswer = { content, isWhole: choice.finish_reason !== "length" };
      return {
        answer,
        usage: {
          prompt_tokens: usage.promptTokens,
          cached_tokens: usage.cachedTokens,
          output_tokens: usage.outputTokens,
        },
        costUsd: chatCost(spec, usage),
      };
    },
  };
}

function requestOf(call: HostChatCall, model: string, provider: string): unknown {
  const { instructions, prompt, jsonSchema, maxAnswerTokens } = call;
  const system = instructions === null ? [] : [{ role: "system", content: instructions }];
  return {
    model,
    messages: [...system, { role: "user", content: prompt }],
    temperature: 0,
    response_format: {
      type: "json_schema",
      json_schema: { name: "answer", strict: true, schema: jsonSchema },
    },
    ...(maxAnswerTokens !== null && { max_tokens: maxAnswerTokens }),
    // Requests with the same beginning land where it is cached.
    ...(provider === "xai" && { prompt_cache_key: sha256Of(instructions ?? "").slice(0, 32) }),
  };
}

function estimateTokens({ instructions, prompt }: HostChatCall): number {
  return Math.ceil(((instructions?.length ?? 0) + prompt.length) / CHARS_PER_TOKEN);
}

/** `total - prompt` where it is more than the completion: reasoning tokens are billed as output. */
function usageOf(
  usage: z.infer<typeof Answer>["usage"],
  call: HostChatCall,
  content: string,
): { promptTokens: number; cachedTokens: number; outputTokens: number } {
  const promptTokens = usage?.prompt_tokens ?? estimateTokens(call);
  const completion = usage?.completion_tokens ?? Math.ceil(content.length / CHARS_PER_TOKEN);
  return {
    promptTokens,
    cachedTokens: Math.min(promptTokens, usage?.prompt_tokens_details?.cached_tokens ?? 0),
    outputTokens: Math.max(completion, (usage?.total_tokens ?? 0) - promptTokens),
  };
}
