import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openTestWorld } from "../samples/test-world.ts";
import { refuseLikeMistral } from "../stand-ins/provider-server.ts";
import type { Received, Reply } from "../stand-ins/provider-server.ts";

const ROOT = join(import.meta.dirname, "..");
const KEY = "stand-in-key";
const TEXT = ["Elena", "Vasquez", "closed", "the", "bridge."];

/** Mistral's and xAI's wire on one port; answers from what it is sent. */
function answer(request: Received): Reply {
  if (request.path === "/v1/audio/transcriptions") {
    const segments = TEXT.map((text, at) => ({
      text,
      start: at,
      end: at + 0.5,
      score: -0.1,
      speaker_id: "s1",
    }));
    return (
      refuseLikeMistral(request, KEY) ?? {
        body: {
          model: "m",
          text: TEXT.join(" "),
          language: "en",
          segments,
          usage: { prompt_audio_seconds: 60 },
        },
      }
    );
  }
  const { messages } = request.json as { messages: { role: string; content: string }[] };
  const [, id = ""] = /^\[(s\d+) /.exec(messages.at(-1)?.content ?? "") ?? [];
  const evidence = [{ segment_id: id, quote: "Elena Vasquez closed the bridge" }];
  const found = {
    entities: [
      { name: "Elena Vasquez", type: "PERSON", aliases: [], evidence },
      {
        name: "Atlantis",
        type: "GPE",
        aliases: [],
        evidence: [{ segment_id: id, quote: "sold Atlantis" }],
      },
    ],
    summary: { text: "A bridge was closed.", evidence },
  };
  return {
    body: {
      choices: [{ message: { content: JSON.stringify(found) }, finish_reason: "stop" }],
      usage: { prompt_tokens: 1000, completion_tokens: 200 },
    },
  };
}

async function world(t: TestContext) {
  const { dir, server, tone, clipscribe } = await openTestWorld(t, answer);
  const run = async (args: string[], key = KEY) => {
    const ended = await clipscribe(["run", "--json", ...args], { MISTRAL_API_KEY: key });
    return { ...ended, items: ended.end.items };
  };
  return { dir, server, talk: tone(), run };
}

describe("a run that pays", () => {
  test("talks to both providers, verifies what they say, and costs what they charge", async (t) => {
    const { server, talk, run } = await world(t);
    const { code, items, stdout, stderr } = await run([talk]);

    assert.equal(code, 0, stderr + stdout);
    // One minute at $0.003, 1,000 tokens in at $1.25/M, 200 out at $2.50/M.
    assert.equal(items[0]?.cost_usd.toFixed(6), "0.004750");
    assert.equal(server.received.length, 2);
    const core = JSON.parse(readFileSync(join(items[0]?.path ?? "", "core.json"), "utf8")) as {
      entities: {
        name: string;
        evidence: { verification: string; start: number; end: number }[];
      }[];
      transcript_segments: { words: unknown[] }[];
      summary: string;
    };
    const by = (name: string) => core.entities.find((entity) => entity.name === name)?.evidence[0];
    assert.equal(by("Elena Vasquez")?.verification, "verified");
    assert.deepEqual([by("Elena Vasquez")?.start, by("Elena Vasquez")?.end], [0, 4.5]);
    assert.equal(by("Atlantis")?.verification, "unverified");
    assert.equal(core.transcript_segments[0]?.words.length, 5);
    assert.equal(core.summary, "A bridge was closed.");
    // What was not found has no mouth to come from, and says what it is.
    const report = readFileSync(join(items[0]?.path ?? "", "report.md"), "utf8");
    assert.match(report, /\[00:00:00–00:00:04\]\([^)]*\) s1: “Elena Vasquez closed the bridge”\n/);
    assert.match(report, /\] “sold Atlantis” \*\*\(unverified\)\*\*/);
    // Who answered is told as it happens; what it was told to do can be compared later.
    assert.match(stdout, /"stage":"intelligence","state":"ran".*"by":"xai\/grok-4\.3"/);
    const manifest = JSON.parse(
      readFileSync(join(items[0]?.path ?? "", "manifest.json"), "utf8"),
    ) as { stages: { id: string; model: string | null; prompt_digest: string | null }[] };
    const asked = manifest.stages.find(({ id }) => id === "intelligence");
    assert.equal(asked?.model, "grok-4.3");
    assert.match(asked.prompt_digest ?? "", /^[0-9a-f]{64}$/);
    assert.equal(manifest.stages.find(({ id }) => id === "transcript")?.prompt_digest, null);
    // It passes the transcript on, and asks nobody.
    assert.equal(manifest.stages.find(({ id }) => id === "export")?.model, null);
  });

  test("two items of the same bytes in one run are paid for once", async (t) => {
    const { dir, server, talk, run } = await world(t);
    const copy = join(dir, "copy.m4a");
    copyFileSync(talk, copy);
    const { code, items, stderr } = await run([talk, copy]);

    assert.equal(code, 0, stderr);
    assert.equal(server.received.length, 2);
    assert.equal(items.reduce((sum, { cost_usd }) => sum + cost_usd, 0).toFixed(6), "0.004750");
  });

  test("a wrong key holds the item; with the right one it goes on", async (t) => {
    const { talk, run } = await world(t);
    const wrong = await run([talk], "wrong");
    assert.equal(wrong.code, 6);
    assert.equal(wrong.items[0]?.error?.kind, "denied");

    assert.equal((await run([talk])).code, 0);
  });

  test("a call that would exceed the budget is not made; a higher budget goes on", async (t) => {
    const { server, talk, run } = await world(t);
    const poor = await run(["--budget", "0.0001", talk]);
    assert.equal(poor.code, 6);
    assert.equal(poor.items[0]?.error?.kind, "budget");
    assert.equal(server.received.length, 0);

    assert.equal((await run(["--budget", "1", talk])).code, 0);
  });

  test("verify finds a changed file and an invented quote, offline", async (t) => {
    const { talk, run } = await world(t);
    const { items } = await run([talk]);
    const folder = items[0]?.path ?? "";
    const check = (): [number | null, string] => {
      const entry = join(ROOT, "bin", "clipscribe.ts");
      const ended = spawnSync(process.execPath, [entry, "verify", folder], { encoding: "utf8" });
      return [ended.status, ended.stdout];
    };
    assert.deepEqual(check()[0], 0);

    const file = join(folder, "core.json");
    const text = readFileSync(file, "utf8");
    const invented = text.replaceAll("Vasquez closed the bridge", "Vasquez opened the bridge");
    assert.notEqual(invented, text);
    chmodSync(file, 0o644);
    writeFileSync(file, invented);
    const [code, said] = check();
    assert.equal(code, 7);
    assert.match(said, /core\.json: changed/);
    assert.match(said, /quote is not in s0001: .*opened/);
  });
});
