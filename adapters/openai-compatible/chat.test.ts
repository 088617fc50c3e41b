import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { findModel } from "../../core/models.ts";
import { startProviderServer } from "../../stand-ins/provider-server.ts";
import type { Reply } from "../../stand-ins/provider-server.ts";
import { openCompatibleChat } from "./chat.ts";

const CALL = {
  instructions: "Find names.",
  prompt: "[s0001 00:00:00 A] Hello",
  jsonSchema: { type: "object" },
  maxAnswerTokens: 100,
  attempt: 1,
};
const reply = (usage: object, finish = "stop"): Reply => ({
  body: { choices: [{ message: { content: "{}" }, finish_reason: finish }], usage },
});

async function ask(t: TestContext, answer: Reply) {
  const server = await startProviderServer(() => answer);
  t.after(() => server[Symbol.asyncDispose]());
  const spec = findModel("chat", "xai", "grok-4.3");
  assert.ok(spec);
  const chat = openCompatibleChat({ key: "k", baseUrl: server.url, model: spec.model, spec });
  return { server, answer: chat.chat(CALL, AbortSignal.timeout(10_000)) };
}

describe("a chat model over the OpenAI wire", () => {
  test("asks with a strict schema, a pinned model and a cache key", async (t) => {
    const { server, answer } = await ask(t, reply({ prompt_tokens: 10, completion_tokens: 2 }));
    await answer;

    const sent = server.received[0]?.json as Record<string, unknown>;
    assert.equal(server.received[0]?.path, "/v1/chat/completions");
    assert.equal(sent["model"], "grok-4.3");
    assert.deepEqual(sent["response_format"], {
      type: "json_schema",
      json_schema: { name: "answer", strict: true, schema: { type: "object" } },
    });
    assert.match(String(sent["prompt_cache_key"]), /^[0-9a-f]{32}$/);
  });

  test("counts cached and reasoning tokens at their own prices", async (t) => {
    const { answer } = await ask(
      t,
      reply({
        prompt_tokens: 100_000,
        completion_tokens: 1_000,
        total_tokens: 103_000,
        prompt_tokens_details: { cached_tokens: 40_000 },
      }),
    );

    // 60k fresh at $1.25, 40k cached at $0.20, 3k of output (2k of it reasoning) at $2.50.
    assert.equal((await answer).costUsd.toFixed(6), "0.090500");
  });

  test("the price doubles from 200k prompt tokens on", async (t) => {
    const { answer } = await ask(t, reply({ prompt_tokens: 200_000, completion_tokens: 0 }));

    assert.equal((await answer).costUsd.toFixed(6), "0.500000");
  });

  test("an answer that ended at its limit is kept and says so", async (t) => {
    const { answer } = await ask(t, reply({ prompt_tokens: 1, completion_tokens: 1 }, "length"));

    assert.deepEqual((await answer).answer, { content: "{}", isWhole: false });
  });

  test("xAI's 400 for a wrong key is denied", async (t) => {
    const body = { code: "invalid-argument", error: "Incorrect API key provided: k***" };
    const { answer } = await ask(t, { status: 400, body });

    await assert.rejects(answer, hasKind("denied"));
  });
});
