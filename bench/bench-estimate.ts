/**
 * What a run says that it costs, against the books of the providers, and against what was estimated
 * before the first paid call. The providers are stand-ins: one speaks a known transcript, the other
 * names what is written with a capital or a digit; both bill by the published prices, the words by
 * a tokenizer that the estimate does not know.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { countTokens } from "gpt-tokenizer";

import { makeOwnProject } from "../samples/own-project.ts";
import { startProviderServer } from "../stand-ins/provider-server.ts";
import type { Received, Reply } from "../stand-ins/provider-server.ts";

const ROOT = join(import.meta.dirname, "..");
const SETS = ["talk", "panel", "hearing"];
/** voxtral-mini-2602 a minute; grok-4.3 a million tokens: the providers' pages, 2026-11-24. */
const USD_MINUTE = 0.003;
const USD_IN = 1.25 / 1e6;
const USD_OUT = 2.5 / 1e6;
const MAX_ERROR = 0.2;
const HALF_A_CENT = 0.005;

interface Spoken {
  segments: { id: string; start: number; end: number; text: string; speaker?: string }[];
}

const dir = mkdtempSync(join(tmpdir(), "clipscribe-cost-"));
const pipeline = makeOwnProject(dir, (text) =>
  text.replace("{ provider: auto }", "{ provider: auto, chunk_minutes: 180 }"),
);
interface Figures {
  name: string;
  minutes: number;
  cost: number;
  books: number;
  /** Of the books, what the chat model charged: the part that has to be guessed. */
  chat: number;
  estimate: number;
}

const figures: Figures[] = [];
for (const name of SETS) figures.push(await measure(name));
rmSync(dir, { recursive: true, force: true });

const offBooks = figures.map(({ cost, books }) => Math.abs(cost - books));
const errors = figures.map(({ estimate, books }) => estimate / books - 1);
const pass =
  offBooks.every((usd) => usd < HALF_A_CENT) &&
  errors.every((error) => Math.abs(error) <= MAX_ERROR);
console.log(
  JSON.stringify({
    name: "bench-estimate",
    pass,
    sets: figures.map(({ name, minutes, cost, books, chat, estimate }, at) => ({
      name,
      minutes: round(minutes, 1),
      cost_usd: round(cost, 5),
      books_usd: round(books, 5),
      estimate_usd: round(estimate, 5),
      estimate_error_percent: round(100 * (errors[at] ?? Number.NaN), 1),
      of_chat_error_percent: round(100 * ((estimate - (books - chat)) / chat - 1), 1),
    })),
  }),
);
process.exitCode = pass ? 0 : 1;

async function measure(name: string): Promise<Figures> {
  const spoken = JSON.parse(
    readFileSync(join(import.meta.dirname, "evidence", name, "transcript.json"), "utf8"),
  ) as Spoken;
  const seconds = Math.ceil(spoken.segments.at(-1)?.end ?? 0) + 1;
  let books = 0;
  let chat = 0;
  const answer = (request: Received): Reply => {
    if (request.path.endsWith("/transcriptions")) {
      books += (seconds / 60) * USD_MINUTE;
      return { body: speak(spoken, seconds) };
    }
    const { body, usd } = read(request);
    books += usd;
    chat += usd;
    return { body };
  };
  const server = await startProviderServer(answer);
  const media = join(dir, `${name}.m4a`);
  const tone = ["-f", "lavfi", "-i", `sine=frequency=200:sample_rate=8000:duration=${seconds}`];
  execFileSync("ffmpeg", ["-v", "error", ...tone, "-c:a", "aac", "-b:a", "16k", media]);
  const ended = await run(media, server.url);
  await server[Symbol.asyncDispose]();
  const [item] = ended.items;
  if (item?.status !== "complete")
    throw new Error(`${name}: ${JSON.stringify(ended).slice(0, 800)}`);
  const { cost_usd: cost, estimate_usd: estimate } = item;
  return { name, minutes: seconds / 60, cost, books, chat, estimate };
}

interface End {
  items: { status: string; cost_usd: number; estimate_usd: number }[];
}

async function run(media: string, url: string): Promise<End> {
  const entry = join(ROOT, "bin", "clipscribe.ts");
  const child = spawn(process.execPath, [entry, "run", "--json", "--pipeline", pipeline, media], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      PATH: process.env["PATH"],
      HOME: dir,
      CLIPSCRIBE_HOME: join(dir, "home"),
      MISTRAL_API_KEY: "m",
      MISTRAL_BASE_URL: url,
      XAI_API_KEY: "x",
      XAI_BASE_URL: url,
    },
  });
  let stdout = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  await new Promise((resolve) => child.on("close", resolve));
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as End;
}

/** The pipeline asks for all of it at once. */
function speak({ segments }: Spoken, seconds: number): unknown {
  return {
    language: "en",
    segments: segments.map(({ start, end, text, speaker }) => ({
      start,
      end,
      text,
      speaker_id: speaker ?? null,
    })),
    usage: { prompt_audio_seconds: seconds },
  };
}

/** Names each run of capitals and each figure, with the sentence that it stands in. */
function read({ json }: Received): { body: unknown; usd: number } {
  const { messages } = json as { messages: { role: string; content: string }[] };
  const lines = (messages.at(-1)?.content ?? "").matchAll(/^\[(\S+) \S+ [^\]]*\] (.*)$/gm);
  const entities = new Map<
    string,
    { name: string; type: string; aliases: []; evidence: unknown[] }
  >();
  for (const [, id = "", text = ""] of lines) {
    for (const [name] of text.matchAll(/(?:[A-Z][a-z]+ [A-Z][a-z]+)|\d[\d,.]*\d/g)) {
      const type = /\d/.test(name) ? "QUANTITY" : "PERSON";
      const entity = entities.get(name) ?? { name, type, aliases: [], evidence: [] };
      entities.set(name, entity);
      const at = text.indexOf(name);
      const from = text.lastIndexOf(" ", Math.max(0, at - 25)) + 1;
      const quote = text.slice(from, at + name.length + 20).trim();
      if (entity.evidence.length < 3) entity.evidence.push({ segment_id: id, quote });
    }
  }
  const content = JSON.stringify({
    entities: [...entities.values()],
    relationships: [],
    topics: [],
    key_moments: [],
    sentiment: { overall: "neutral", evidence: [] },
    summary: { text: "They spoke at length.", evidence: [] },
  });
  const promptTokens = messages.reduce((sum, message) => sum + countTokens(message.content), 0);
  const outputTokens = countTokens(content);
  return {
    body: {
      choices: [{ message: { content }, finish_reason: "stop" }],
      usage: { prompt_tokens: promptTokens, completion_tokens: outputTokens },
    },
    usd: promptTokens * USD_IN + outputTokens * USD_OUT,
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
