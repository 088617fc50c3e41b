import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind, isKind } from "../../core/errors.ts";
import type { TranscribeAnswer } from "../../core/stage.ts";
import { findModel } from "../../core/models.ts";
import { refuseLikeMistral, startProviderServer } from "../../stand-ins/provider-server.ts";
import type { Received, Reply } from "../../stand-ins/provider-server.ts";
import { openMistralTranscriber } from "./mistral-transcriber.ts";

const KEY = "stand-in-key";
const word = (text: string, start: number, speaker: string) => ({
  type: "transcription_segment",
  text,
  start,
  end: start + 0.4,
  score: -0.2,
  speaker_id: speaker,
});
const WORDS = {
  model: "voxtral-mini-2602",
  text: "Good evening. Thank you.",
  language: "en",
  segments: [
    word("Good", 0, "s1"),
    word("evening.", 0.5, "s1"),
    word("Thank", 1, "s2"),
    word("you.", 1.5, "s2"),
  ],
  usage: { prompt_audio_seconds: 120, request_count: 1 },
};

const timed = (text: string, at: number) => ({ text, start: at / 2, end: at / 2 + 0.4 });

async function ask(
  t: TestContext,
  reply: (request: Received, index: number) => Reply,
  { key = KEY, model = "voxtral-mini-2602" } = {},
) {
  const server = await startProviderServer(
    (request, index) => refuseLikeMistral(request, KEY) ?? reply(request, index),
  );
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-mistral-"));
  t.after(async () => {
    rmSync(dir, { recursive: true });
    await server[Symbol.asyncDispose]();
  });
  const path = join(dir, "part.ogg");
  writeFileSync(path, Buffer.alloc(300_000, 7));
  const spec = findModel("transcriber", "mistral", model);
  assert.ok(spec);
  const transcriber = openMistralTranscriber({ key, baseUrl: server.url, spec });
  const request = { audio: { path }, language: "en", durationSeconds: 119 };
  const answer = transcriber.transcribe(request, AbortSignal.timeout(20_000));
  return { server, answer };
}

describe("transcription by Mistral", () => {
  test("sends model, granularity and diarization, then the file, and never the language", async (t) => {
    const { server, answer } = await ask(t, () => ({ body: WORDS }));
    await answer;

    const fields = server.received[0]?.fields.map(({ name, value, bytes }) => [
      name,
      value || bytes,
    ]);
    assert.deepEqual(fields, [
      ["model", "voxtral-mini-2602"],
      ["timestamp_granularities", "word"],
      ["diarize", "true"],
      ["file", 300_000],
    ]);
  });

  test("joins words to segments by speaker, and keeps their times", async (t) => {
    const { answer } = await ask(t, () => ({ body: WORDS }));
    const { segments } = (await answer).answer as TranscribeAnswer;

    assert.deepEqual(
      segments.map(({ text, start, speaker, words }) => [text, start, speaker, words?.length]),
      [
        ["Good evening.", 0, "s1", 2],
        ["Thank you.", 1, "s2", 2],
      ],
    );
  });

  test("costs what the provider says it heard, at the model's price", async (t) => {
    const { answer } = await ask(t, () => ({ body: WORDS }));

    assert.equal((await answer).costUsd.toFixed(6), "0.006000");
  });

  test("a model without word times is asked for segments", async (t) => {
    const body = { segments: [{ text: "One two", start: 0, end: 2 }] };
    const { answer } = await ask(t, () => ({ body }), { model: "voxtral-mini-transcribe-3-0" });

    assert.equal(((await answer).answer as TranscribeAnswer).segments[0]?.text, "One two");
  });

  test("a sentence in a script without spaces is no word, and words of one join without spaces", async (t) => {
    const body = { segments: ["今日は雨です。", "明日は晴れます。"].map(timed) };
    const sentences = await ask(t, () => ({ body }), { model: "voxtral-mini-transcribe-3-0" });
    const words = await ask(t, () => ({
      body: { segments: ["今日", "は", "雨", "です", "。"].map(timed) },
    }));

    const texts = async (asked: typeof words): Promise<string[]> =>
      ((await asked.answer).answer as TranscribeAnswer).segments.map(({ text }) => text);
    assert.deepEqual(await texts(sentences), ["今日は雨です。", "明日は晴れます。"]);
    assert.deepEqual(await texts(words), ["今日は雨です。"]);
  });

  test("words without times are refused, not taken for silence", async (t) => {
    const said = await ask(t, () => ({ body: { text: "Good evening.", segments: [] } }));
    await assert.rejects(said.answer, hasKind("contract"));

    const silent = await ask(t, () => ({ body: { text: "", segments: null } }));
    assert.deepEqual(((await silent.answer).answer as TranscribeAnswer).segments, []);
  });

  test("a wrong key is denied, and is in no message", async (t) => {
    const { answer } = await ask(t, () => ({ body: WORDS }), { key: "wrong-key-123" });

    await assert.rejects(answer, (error: Error) => {
      assert.doesNotMatch(error.message, /wrong-key-123/);
      return isKind(error, "denied");
    });
  });

  test("422 names the field that is wrong", async (t) => {
    const message = { detail: [{ loc: ["body", "file"], msg: "too long" }] };
    const body = { object: "error", message, raw_status_code: 422 };
    const { answer } = await ask(t, () => ({ status: 422, body }));

    await assert.rejects(answer, { kind: "contract", message: /body\.file: too long/ });
  });

  test("429 is asked again after the seconds that the provider names", async (t) => {
    const { server, answer } = await ask(t, (_, index) =>
      index === 0 ? { status: 429, headers: { "retry-after": "0" }, body: {} } : { body: WORDS },
    );
    await answer;

    assert.equal(server.received.length, 2);
  });

  test("429 with a date is waited for; one with hours is told instead of waited for", async (t) => {
    const soon = new Date(Date.now() + 1_000).toUTCString();
    const { server, answer } = await ask(t, (_, index) =>
      index === 0 ? { status: 429, headers: { "retry-after": soon }, body: {} } : { body: WORDS },
    );
    await answer;
    assert.equal(server.received.length, 2);

    const busy = { status: 429, headers: { "retry-after": "7200" }, body: { message: "no more" } };
    const long = await ask(t, () => busy);
    await assert.rejects(long.answer, { kind: "transient", message: /no more; .* in 120 min/ });
    assert.equal(long.server.received.length, 1);
  });

  for (const [what, reply] of [
    ["a connection that breaks off", { cut: WORDS }],
    ["an answer that is no JSON", { body: "<html>" }],
    ["500", { status: 500, body: { message: "overloaded" } }],
    ["200 with an error inside", { body: { error: "internal", code: "500" } }],
  ] as const) {
    test(`${what} is transient, and is not asked again here`, async (t) => {
      const { server, answer } = await ask(t, () => reply);

      await assert.rejects(answer, hasKind("transient"));
      assert.equal(server.received.length, 1);
    });
  }
});
