import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { makeOwnProject } from "../samples/own-project.ts";
import { chatReply, openTestWorld } from "../samples/test-world.ts";
import type { Received, Reply } from "../stand-ins/provider-server.ts";

const SECONDS = 6;

/** Charges what it got: $0.0003 for six seconds, about $0.0004 to read the few words in them. */
function answer({ path, fields, json }: Received): Reply {
  if (path.endsWith("/transcriptions")) {
    // Each medium has words of its own: equal ones would be read, and paid for, once.
    const words = ["The", "bridge", "was", `${fields.at(-1)?.sha256.slice(0, 6) ?? ""}.`];
    const segments = words.map((text, at) => ({ text, start: at, end: at + 0.5 }));
    return { body: { language: "en", segments, usage: { prompt_audio_seconds: SECONDS } } };
  }
  const { messages } = json as { messages: { content: string }[] };
  const asked = messages.map((message) => message.content).join("");
  const billed = { promptTokens: Math.ceil(asked.length / 4), outputTokens: 10 };
  return chatReply({ summary: { text: "A bridge.", evidence: [] } }, billed);
}

/** A hundred sentences in six seconds: more than anybody foresees. */
function answerAtLength(request: Received): Reply {
  if (!request.path.endsWith("/transcriptions")) return answer(request);
  const segments = Array.from({ length: 100 }, (_, at) => ({
    text: `Sentence ${at} of a speaker who has a great deal to say and only seconds to say it in.`,
    start: at * 0.06,
    end: at * 0.06 + 0.05,
  }));
  return { body: { language: "en", segments, usage: { prompt_audio_seconds: SECONDS } } };
}

async function world(t: TestContext, budget: string, reply = answer) {
  const { dir, server, clipscribe, tone } = await openTestWorld(t, reply);
  const pipeline = makeOwnProject(dir, (text) =>
    text
      .replace(/^budget: .*$/m, `budget: ${budget}`)
      .replace("{ model: auto }", "{ model: auto, chunk_chars: 1500 }"),
  );
  const media = [300, 500].map((frequency) => tone(`tone-${frequency}.m4a`, frequency));
  return { server, pipeline, media, clipscribe: (...args: string[]) => clipscribe(args) };
}

describe("a budget", () => {
  test("holds an item whose whole work does not fit, before its first call; approve goes on", async (t) => {
    // The transcriber's $0.0003 would fit; what follows would not.
    const { server, media, clipscribe } = await world(t, "{ item_usd: 0.0005 }");
    const [talk = ""] = media;
    const held = await clipscribe("run", "--json", talk);

    assert.equal(held.code, 6, held.stderr);
    assert.equal(server.received.length, 0);
    const { job_id: job, items } = held.end;
    assert.match(
      items[0]?.error?.message ?? "",
      /^it would take the item to \$0\.0007; the budget is \$0\.0005$/,
    );
    assert.match(items[0]?.error?.hint ?? "", new RegExp(`clipscribe approve ${job}`));

    const approved = await clipscribe("approve", "--json", job);
    assert.equal(approved.code, 0, approved.stderr);
    assert.deepEqual(
      approved.end.items.map(({ status }) => status),
      ["complete"],
    );
    assert.equal(server.received.length, 2);
    const again = await clipscribe("approve", job);
    assert.deepEqual([again.code, again.stdout], [0, `nothing in ${job} is held for money\n`]);
    assert.equal((await clipscribe("run", talk)).code, 0);
    assert.equal(server.received.length, 2);
  });

  test("holds an item in which more was said than was foreseen, before a chat model reads it", async (t) => {
    // Each question alone would fit; the ten of them do not.
    const { server, media, clipscribe } = await world(t, "{ item_usd: 0.005 }", answerAtLength);
    const held = await clipscribe("run", "--json", media[0] ?? "");

    assert.equal(held.code, 6, held.stderr);
    assert.deepEqual(
      server.received.map(({ path }) => path),
      ["/v1/audio/transcriptions"],
    );
    const { stdout } = await clipscribe("plan", media[0] ?? "");
    assert.match(stdout, /transcript +reuse .*\n +intelligence +run +0\.2 min +\$0\.0[1-9]/);
    assert.equal((await clipscribe("approve", held.end.job_id)).code, 0);
  });

  test("of a job holds the item that no longer fits; what is paid for stays paid", async (t) => {
    const { server, media, clipscribe } = await world(t, "{ job_usd: 0.001 }");
    const held = await clipscribe("run", "--json", ...media);

    assert.equal(held.code, 6, held.stderr);
    assert.deepEqual(held.end.items.map(({ status }) => status).toSorted(), ["complete", "held"]);
    const spent = held.end.items.reduce((sum, { cost_usd }) => sum + cost_usd, 0);
    assert.ok(spent <= 0.001, `spent ${spent}`);
    const asked = server.received.length;

    const approved = await clipscribe("approve", "--json", held.end.job_id);
    assert.equal(approved.code, 0, approved.stderr);
    assert.equal(server.received.length, 4, `asked ${asked} before`);
  });

  test("of a day counts what other jobs have spent, runs of a new process too", async (t) => {
    const { server, media, clipscribe } = await world(t, "{ day_usd: 0.001 }");
    const [one = "", two = ""] = media;
    assert.equal((await clipscribe("run", one)).code, 0);
    const held = await clipscribe("run", "--json", two);

    assert.equal(held.code, 6);
    assert.equal(server.received.length, 2);
    assert.match(held.end.items[0]?.error?.message ?? "", /^it would take the day to/);
    assert.equal((await clipscribe("approve", held.end.job_id)).code, 0);
    assert.equal(server.received.length, 4);
  });

  test("an approval keeps to the pipeline that was held, and to jobs that there are", async (t) => {
    const { server, pipeline, media, clipscribe } = await world(t, "{ item_usd: 0 }");
    const held = await clipscribe("run", "--json", media[0] ?? "");
    writeFileSync(
      pipeline,
      readFileSync(pipeline, "utf8").replace("item_usd: 0 ", "item_usd: 0.1 "),
    );
    const changed = await clipscribe("approve", held.end.job_id);

    assert.equal(changed.code, 2, changed.stdout);
    assert.match(changed.stderr, /pipeline has changed.*\n.*--budget/);
    assert.match((await clipscribe("approve", "run-none-00000000")).stderr, /there is no such job/);
    assert.equal((await clipscribe("approve", "../x")).code, 2);
    assert.equal(server.received.length, 0);
  });

  test("plan says what whoever is configured would cost", async (t) => {
    const { media, clipscribe } = await world(t, "{ item_usd: 1 }");
    const { stdout } = await clipscribe("plan", media[0] ?? "");

    assert.match(stdout, /transcript +depends +0\.0 min +\$0\.0003/);
    assert.match(stdout, /at most \$0\.0007$/m);
    assert.match(stdout, /asks +transcript +mistral\/\S+: MISTRAL_API_KEY is set$/m);
  });

  test("holds for a server that somebody charges for, once it is said what; without that it is free", async (t) => {
    const { dir, server, clipscribe, tone } = await openTestWorld(t, answer);
    const pipeline = makeOwnProject(dir, (text) =>
      text.replace(/^budget: .*$/m, "budget: { item_usd: 0.0005 }"),
    );
    const talk = tone();
    const own = {
      MISTRAL_API_KEY: "",
      XAI_API_KEY: "",
      OPENAI_COMPATIBLE_ASR_URL: server.url,
      OPENAI_COMPATIBLE_CHAT_URL: server.url,
    };
    const prices = { OPENAI_COMPATIBLE_ASR_USD: "0.006", OPENAI_COMPATIBLE_CHAT_USD: "0.15/0.60" };
    const run = (...args: string[]) =>
      clipscribe(["run", "--json", "--pipeline", pipeline, ...args, talk], { ...own, ...prices });

    const held = await run();
    assert.equal(held.code, 6, held.stderr);
    assert.equal(server.received.length, 0);

    const paid = await run("--budget", "0.01");
    assert.equal(paid.code, 0, paid.stderr);
    // Six seconds at $0.006 a minute, and tokens at cents a million.
    const [item] = paid.end.items;
    assert.ok(item !== undefined && item.cost_usd > 0.0006 && item.cost_usd < 0.0008);

    const { stdout } = await clipscribe(["models"], own);
    assert.match(stdout, /counted as free until OPENAI_COMPATIBLE_ASR_USD says what it charges/);
    const wrong = await clipscribe(["models"], { ...own, OPENAI_COMPATIBLE_CHAT_USD: "cheap" });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /IN\/OUT|in and out/);
  });
});
