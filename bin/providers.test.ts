import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { makeOwnProject } from "../samples/own-project.ts";
import { chatReply, heardReply, openTestWorld } from "../samples/test-world.ts";
import { refuseLikeXai } from "../stand-ins/provider-server.ts";
import type { Received, Reply } from "../stand-ins/provider-server.ts";

/** Mistral answers what `mistral` says; xAI hears and reads. */
async function world(
  t: TestContext,
  transcriber: string,
  mistral: (request: Received) => Reply,
  chat: (request: Received) => Reply = readNothing,
) {
  const { dir, server, clipscribe, tone, asked } = await openTestWorld(t, (request) => {
    if (request.path.endsWith("/transcriptions")) return mistral(request);
    const refused = refuseLikeXai(request, "x");
    if (refused !== null) return refused;
    if (request.path.endsWith("/completions")) return chat(request);
    const words = ["Xai", "heard", "it."].map((text, at) => ({ text, start: at, end: at + 0.5 }));
    return { body: { language: "English", duration: 6, words } };
  });
  const pipeline = makeOwnProject(dir, (text) =>
    text
      .replace("{ provider: auto }", transcriber)
      .replace("attempts: 4", "attempts: 2")
      // The richest sound there can be: what is too large for a model is too large with it.
      .replace("bitrate_kbps: 24", "bitrate_kbps: 128"),
  );
  const talk = tone();
  return { server, pipeline, clipscribe, run: () => clipscribe(["run", "--json", talk]), asked };
}

function readNothing(): Reply {
  return chatReply({ summary: { text: "It went on.", evidence: [] } });
}

describe("a declared fallback", () => {
  const FALLBACK = "{ provider: mistral/voxtral-mini-2602, fallback: [xai/grok-stt] }";
  for (const [what, reply, times] of [
    ["refuses the account", { status: 402, body: { message: "no credit" } }, 1],
    ["is down, try after try", { status: 500, body: { message: "overloaded" } }, 2],
  ] as const) {
    test(`answers where the first provider ${what}; a second run asks nobody`, async (t) => {
      const { run, asked } = await world(t, FALLBACK, () => reply);
      const first = await run();

      assert.equal(first.code, 0, first.stderr + first.stdout);
      assert.deepEqual([asked("/transcriptions"), asked("/stt")], [times, 1]);
      const [item] = first.end.items;
      const transcript = item?.stages.find(({ id }) => id === "transcript");
      assert.match(transcript?.why ?? "", /; xai\/grok-stt instead: /);
      const said = JSON.parse(readFileSync(join(item?.path ?? "", "transcript.json"), "utf8")) as {
        provider: string;
      };
      assert.equal(said.provider, "xai");

      await run();
      assert.deepEqual([asked("/transcriptions"), asked("/stt")], [times, 1]);
    });
  }

  test("is not asked where the request itself is refused", async (t) => {
    const reply = {
      status: 422,
      body: { message: { detail: [{ loc: ["file"], msg: "too long" }] } },
    };
    const { run, asked } = await world(t, FALLBACK, () => reply);

    assert.equal((await run()).code, 5);
    assert.equal(asked("/stt"), 0);
  });
});

describe("models and validate", () => {
  test("models says whom the pipeline would ask, and why", async (t) => {
    const { clipscribe } = await world(t, "{ provider: auto }", readNothing);
    const { stdout } = await clipscribe(["models"], {
      OPENAI_COMPATIBLE_CHAT_URL: "http://127.0.0.1:9",
    });

    assert.match(stdout, /transcript +mistral\/voxtral-mini-2602: MISTRAL_API_KEY is set\n/);
    assert.match(
      stdout,
      /intelligence +openai-compatible\/default: .* your own server comes first/,
    );
    const nobody = await clipscribe(["models"], { MISTRAL_API_KEY: "", XAI_API_KEY: "" });
    assert.match(nobody.stdout, /transcript +nothing: captions only/);
  });

  for (const [what, transcriber, said] of [
    ["a retired model", "{ provider: mistral/voxtral-mini-2507 }", /was retired on 2026-05-31/],
    [
      "a retired fallback",
      "{ fallback: [mistral/voxtral-mini-2507] }",
      /was retired on 2026-05-31/,
    ],
    [
      "word times of a model without",
      "{ provider: mistral/voxtral-small-transcribe-3, word_times: true }",
      /gives no times for words/,
    ],
    [
      "a language together with times",
      "{ provider: mistral/voxtral-mini-2602, language: en }",
      /takes no language together with times/,
    ],
    [
      "parts that are too long",
      "{ provider: mistral/voxtral-small-transcribe-3, chunk_minutes: 120 }",
      /takes at most 75 minutes at once/,
    ],
    [
      "parts that are too large for the sound's bit rate",
      "{ provider: xai/grok-stt, chunk_minutes: 115 }",
      /takes at most 100 MiB at once: 109 minutes of 128 kbit\/s/,
    ],
  ] as const) {
    test(`validate refuses ${what}, with its line`, async (t) => {
      const { clipscribe } = await world(t, transcriber, readNothing);
      const { code, stdout, stderr } = await clipscribe(["validate"]);

      assert.equal(code, 2);
      assert.match(stdout + stderr, said);
      assert.match(stdout + stderr, /pipeline\.yaml:\d+:\d+/);
    });
  }

  test("what auto picks is checked before anything is paid", async (t) => {
    const { run, server } = await world(t, "{ provider: auto, language: en }", readNothing);
    const { code, end } = await run();

    assert.equal(code, 6);
    assert.equal(server.received.length, 0);
    assert.equal(end.items[0]?.status, "held");
  });
});

describe("a part that could not be read", () => {
  test("makes the item partial; the next run asks for that part only", async (t) => {
    const broken = { isBroken: true };
    const chat = ({ json }: Received): Reply => {
      const { messages } = json as { messages: { content: string }[] };
      const isLast = !(messages.at(-1)?.content.includes("Word0 ") ?? false);
      return broken.isBroken && isLast ? chatReply("?") : readNothing();
    };
    // Sentences of their own: two requests of at least 1,000 characters.
    const said = Array.from(
      { length: 24 },
      (_, at) => `Word${at} is said here, and then the speaker goes on about what happened next.`,
    );
    const heard = (): Reply => heardReply(said);
    const { pipeline, run, asked } = await world(t, "{ provider: auto }", heard, chat);
    const text = readFileSync(pipeline, "utf8");
    writeFileSync(pipeline, text.replace("{ model: auto }", "{ model: auto, chunk_chars: 1500 }"));
    const first = await run();

    assert.equal(first.code, 4, first.stderr);
    const before = asked("/completions");
    broken.isBroken = false;
    const second = await run();
    assert.equal(second.code, 0, second.stderr);
    assert.ok(asked("/completions") - before < before, `${before}, then ${asked("/completions")}`);
    assert.equal(asked("/transcriptions"), 1);
  });
});
