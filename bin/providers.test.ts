import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { makeOwnProject } from "../samples/own-project.ts";
import { refuseLikeXai, startProviderServer } from "../stand-ins/provider-server.ts";
import type { Received, Reply } from "../stand-ins/provider-server.ts";

const ROOT = join(import.meta.dirname, "..");

interface End {
  items: { path: string; status: string; stages: { id: string; state: string; why: string }[] }[];
}

/** Mistral answers what `mistral` says; xAI hears and reads. */
async function world(
  t: TestContext,
  transcriber: string,
  mistral: (request: Received) => Reply,
  chat: (request: Received) => Reply = readNothing,
) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-providers-"));
  const server = await startProviderServer((request) => {
    if (request.path.endsWith("/transcriptions")) return mistral(request);
    const refused = refuseLikeXai(request, "x");
    if (refused !== null) return refused;
    if (request.path.endsWith("/completions")) return chat(request);
    const words = ["Xai", "heard", "it."].map((text, at) => ({ text, start: at, end: at + 0.5 }));
    return { body: { language: "English", duration: 6, words } };
  });
  t.after(async () => {
    await server[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const pipeline = makeOwnProject(dir, (text) =>
    text.replace("{ provider: auto }", transcriber).replace("attempts: 4", "attempts: 2"),
  );
  const talk = join(dir, "talk.m4a");
  const tone = ["-f", "lavfi", "-i", "sine=frequency=300:duration=6"];
  execFileSync("ffmpeg", ["-v", "error", ...tone, "-c:a", "aac", talk]);
  const clipscribe = async (args: string[], env: Record<string, string> = {}) => {
    const entry = join(ROOT, "bin", "clipscribe.ts");
    const child = spawn(process.execPath, [entry, ...args], {
      cwd: dir,
      env: {
        PATH: process.env["PATH"],
        HOME: dir,
        CLIPSCRIBE_HOME: join(dir, "home"),
        MISTRAL_API_KEY: "m",
        MISTRAL_BASE_URL: server.url,
        XAI_API_KEY: "x",
        XAI_BASE_URL: server.url,
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, stdout, stderr };
  };
  const run = async () => {
    const ended = await clipscribe(["run", "--json", talk]);
    return { ...ended, end: JSON.parse(ended.stdout.trim().split("\n").at(-1) ?? "{}") as End };
  };
  const asked = (path: string) => server.received.filter((each) => each.path.endsWith(path)).length;
  return { dir, server, pipeline, clipscribe, run, asked };
}

function readNothing(): Reply {
  const content = JSON.stringify({ summary: { text: "It went on.", evidence: [] } });
  const usage = { prompt_tokens: 300, completion_tokens: 20 };
  return { body: { choices: [{ message: { content }, finish_reason: "stop" }], usage } };
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
      if (broken.isBroken && isLast)
        return { body: { choices: [{ message: { content: "?" } }], usage: { prompt_tokens: 9 } } };
      return readNothing();
    };
    // Three minutes of speech in sentences of their own: two requests of at least 1,000 characters.
    const segments = Array.from({ length: 24 }, (_, at) => ({
      text: `Word${at} is said here, and then the speaker goes on about what happened next.`,
      start: at / 4,
      end: at / 4 + 0.2,
    }));
    const heard = { body: { language: "en", segments, usage: { prompt_audio_seconds: 6 } } };
    const { dir, pipeline, run, asked } = await world(t, "{ provider: auto }", () => heard, chat);
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
    assert.ok(dir);
  });
});
