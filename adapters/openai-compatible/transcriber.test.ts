import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { findModel } from "../../core/models.ts";
import type { TranscribeAnswer, TranscribeRequest } from "../../core/stage.ts";
import { startProviderServer } from "../../stand-ins/provider-server.ts";
import type { Received, Reply } from "../../stand-ins/provider-server.ts";
import { openCompatibleTranscriber } from "./transcriber.ts";

async function ask(
  t: TestContext,
  reply: Reply | ((request: Received) => Reply),
  request: Partial<TranscribeRequest> = {},
) {
  const server = await startProviderServer(typeof reply === "function" ? reply : () => reply);
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-compatible-"));
  t.after(async () => {
    rmSync(dir, { recursive: true });
    await server[Symbol.asyncDispose]();
  });
  const path = join(dir, "part.ogg");
  writeFileSync(path, Buffer.alloc(5_000, 7));
  const spec = findModel("transcriber", "openai-compatible", "whisper-1");
  assert.ok(spec);
  const options = { spec, model: "whisper-1", key: null, baseUrl: `${server.url}/` };
  const transcriber = openCompatibleTranscriber(options);
  const whole = { audio: { path }, language: null, durationSeconds: 60, ...request };
  return { server, answer: transcriber.transcribe(whole, AbortSignal.timeout(20_000)) };
}

const SEGMENTS = [
  { id: 0, text: " Good evening.", start: 0, end: 1.2, avg_logprob: -0.1 },
  { id: 1, text: " Thank you.", start: 1.2, end: 2, avg_logprob: -1.5 },
];

describe("transcription by an OpenAI-compatible server", () => {
  test("asks for times of words and segments; the language goes as two letters", async (t) => {
    const body = { language: "en", segments: SEGMENTS };
    const { server, answer } = await ask(t, { body }, { language: "pt-BR", terms: ["Ana", "Rio"] });
    await answer;

    const [received] = server.received;
    assert.equal(received?.path, "/v1/audio/transcriptions");
    assert.equal(received?.authorization, null);
    assert.deepEqual(
      received?.fields.map(({ name, value, bytes }) => [name, value || bytes]),
      [
        ["model", "whisper-1"],
        ["response_format", "verbose_json"],
        ["timestamp_granularities[]", "word"],
        ["timestamp_granularities[]", "segment"],
        ["language", "pt"],
        ["prompt", "Ana, Rio"],
        ["file", 5_000],
      ],
    );
  });

  test("reads words inside of segments, and a language by its name", async (t) => {
    const words = [
      { word: " Good", start: 0, end: 0.4 },
      { word: " evening.", start: 0.5, end: 1.1 },
    ];
    const half = [{ word: " Thank", start: 1.2, end: 1.4 }, { word: " 2" }];
    const segments = [
      { ...SEGMENTS[0], words },
      { ...SEGMENTS[1], words: half },
    ];
    const { answer } = await ask(t, { body: { language: "english", segments } });
    const heard = (await answer).answer as TranscribeAnswer;

    assert.equal(heard.language, "en");
    assert.deepEqual(heard.segments[0]?.words?.[1], { text: "evening.", start: 0.5, end: 1.1 });
    assert.equal(heard.segments[1]?.words, undefined);
  });

  test("gives each segment its own words, and the model's confidence", async (t) => {
    const words = ["Good", "evening.", "Thank", "you."].map((word, at) => ({
      word,
      start: at * 0.6,
      end: at * 0.6 + 0.5,
    }));
    const { answer } = await ask(t, { body: { language: "en", segments: SEGMENTS, words } });
    const { segments } = (await answer).answer as TranscribeAnswer;

    assert.deepEqual(
      segments.map((segment) => segment.words?.map(({ text }) => text)),
      [
        ["Good", "evening."],
        ["Thank", "you."],
      ],
    );
    assert.deepEqual(
      segments.map(({ confidence }) => confidence?.toFixed(2)),
      ["0.90", "0.22"],
    );
  });

  test("a server that knows words only is understood", async (t) => {
    const words = [
      { word: "Good", start: 0, end: 0.4 },
      { word: "evening.", start: 0.5, end: 1 },
    ];
    const { answer } = await ask(t, { body: { words } });
    const { segments } = (await answer).answer as TranscribeAnswer;

    assert.deepEqual(
      segments.map(({ text }) => text),
      ["Good evening."],
    );
  });

  test("bare text is one segment over all of the sound, and says that it has no times", async (t) => {
    const { answer } = await ask(t, { body: { text: " Good evening. " } }, { durationSeconds: 9 });

    assert.deepEqual((await answer).answer, {
      language: null,
      segments: [{ start: 0, end: 9, text: "Good evening.", speaker: null }],
      isUntimed: true,
      raw: { text: " Good evening. " },
    });
  });

  test("a server that refuses verbose_json, as vLLM with Voxtral, is asked for plain JSON", async (t) => {
    const message = "Currently do not support verbose_json for voxtral";
    const { server, answer } = await ask(t, ({ fields }) =>
      fields.some(({ value }) => value === "verbose_json")
        ? { status: 400, body: { error: { message, type: "BadRequestError", code: 400 } } }
        : { body: { text: "Good evening.", usage: { type: "duration", seconds: 60 } } },
    );

    assert.equal(((await answer).answer as TranscribeAnswer).segments[0]?.text, "Good evening.");
    assert.deepEqual(
      server.received.map(({ fields }) => fields.map(({ name }) => name)),
      [
        [
          ...["model", "response_format"],
          ...["timestamp_granularities[]", "timestamp_granularities[]", "file"],
        ],
        ["model", "response_format", "file"],
      ],
    );
  });

  test("an answer with neither words nor text is refused; silence is an answer", async (t) => {
    const { answer } = await ask(t, { body: { result: "Good evening." } });
    await assert.rejects(answer, hasKind("contract"));

    const silent = await ask(t, { body: { text: "", segments: [] } });
    assert.deepEqual(((await silent.answer).answer as TranscribeAnswer).segments, []);
  });

  test("your own server costs nothing", async (t) => {
    const { answer } = await ask(t, { body: { segments: SEGMENTS } });

    assert.equal((await answer).costUsd, 0);
  });
});
