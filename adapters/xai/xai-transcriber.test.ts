import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { findModel } from "../../core/models.ts";
import type { TranscribeAnswer, TranscribeRequest } from "../../core/stage.ts";
import { refuseLikeXai, startProviderServer } from "../../stand-ins/provider-server.ts";
import type { Received, Reply } from "../../stand-ins/provider-server.ts";
import { openXaiTranscriber } from "./xai-transcriber.ts";

const HEARD = {
  text: "Good evening. Thank you.",
  language: "English",
  duration: 90,
  words: [
    { text: "Good", start: 0, end: 0.4, speaker: 0 },
    { text: "evening.", start: 0.5, end: 0.9, speaker: 0 },
    { text: "Thank", start: 1, end: 1.4, speaker: 1 },
    { text: "you.", start: 1.5, end: 1.9, speaker: 1 },
  ],
};

async function ask(
  t: TestContext,
  reply: (request: Received) => Reply,
  request: Partial<TranscribeRequest> = {},
  key = "xai-key",
) {
  const server = await startProviderServer(
    (received) => refuseLikeXai(received, "xai-key") ?? reply(received),
  );
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-xai-"));
  t.after(async () => {
    rmSync(dir, { recursive: true });
    await server[Symbol.asyncDispose]();
  });
  const path = join(dir, "part.ogg");
  writeFileSync(path, Buffer.alloc(200_000, 7));
  const spec = findModel("transcriber", "xai", "grok-stt");
  assert.ok(spec);
  const transcriber = openXaiTranscriber({ key, baseUrl: server.url, spec });
  const whole = { audio: { path }, language: null, durationSeconds: 89, ...request };
  return { server, answer: transcriber.transcribe(whole, AbortSignal.timeout(20_000)) };
}

describe("transcription by xAI", () => {
  test("sends its fields, and the file last", async (t) => {
    const terms = ["Elena Vasquez"];
    const { server, answer } = await ask(t, () => ({ body: HEARD }), { language: "en-GB", terms });
    await answer;

    const [received] = server.received;
    assert.equal(received?.path, "/v1/stt");
    assert.deepEqual(
      received?.fields.map(({ name, value, bytes }) => [name, value || bytes]),
      [
        ["format", "true"],
        ["language", "en"],
        ["diarize", "true"],
        ["keyterm", "Elena Vasquez"],
        ["file", 200_000],
      ],
    );
  });

  test("joins words to segments by speaker, and knows the language's code", async (t) => {
    const { answer } = await ask(t, () => ({ body: HEARD }));
    const { language, segments } = (await answer).answer as TranscribeAnswer;

    assert.equal(language, "en");
    assert.deepEqual(
      segments.map(({ text, start, speaker, words }) => [text, start, speaker, words?.length]),
      [
        ["Good evening.", 0, "speaker_0", 2],
        ["Thank you.", 1, "speaker_1", 2],
      ],
    );
  });

  test("costs ten cents an hour of what it heard", async (t) => {
    const { answer } = await ask(t, () => ({ body: HEARD }));

    assert.equal((await answer).costUsd.toFixed(6), "0.002500");
  });

  test("a wrong key is denied, though the status is 400", async (t) => {
    const { answer } = await ask(t, () => ({ body: HEARD }), {}, "wrong");

    await assert.rejects(answer, hasKind("denied"));
  });

  test("an answer without words is refused: quotes need seconds", async (t) => {
    const { answer } = await ask(t, () => ({ body: { text: "Good evening." } }));

    await assert.rejects(answer, hasKind("contract"));
  });
});
