/**
 * Kills a run that pays, again and again, while its providers are slow, break off or fail; then lets
 * it end. Books of the stand-in: a call whose answer had arrived must not be asked again. An answer
 * that arrives less than GRACE_MS before the kill may not be on disk yet: counted apart, no failure.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { makeOwnProject } from "../samples/own-project.ts";
import { startProviderServer } from "../stand-ins/provider-server.ts";
import type { Received, Reply } from "../stand-ins/provider-server.ts";

const ROOT = join(import.meta.dirname, "..");
const SEED = Number(process.env["SEED"] ?? 1);
const RUNS = 14;
const GRACE_MS = 250;
const SECONDS = 360;

/** mulberry32 */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = randomOf(SEED);
const dir = mkdtempSync(join(tmpdir(), "clipscribe-campaign-paid-"));
const answeredAt = new Map<string, number>();
const books = {
  asked: 0,
  answered: 0,
  faults: 0,
  twice: 0,
  twice_in_grace: 0,
  killed_while_asking: 0,
};
let killedAt = 0;
/** Runs so far; the one that asks is the last. */
let run = 0;
const killed = new Set<number>();

function digestOf({ path, fields, json }: Received): string {
  const hash = createHash("sha256").update(path).update(JSON.stringify(json));
  for (const { name, value, bytes, sha256 } of fields)
    hash.update(`${name}${value}${bytes}${sha256}`);
  return hash.digest("hex");
}

async function answer(request: Received): Promise<Reply> {
  const digest = digestOf(request);
  const asker = run;
  books.asked++;
  const before = answeredAt.get(digest);
  if (before !== undefined) {
    if (killedAt > before && killedAt - before < GRACE_MS) books.twice_in_grace++;
    else books.twice++;
    // Told once: what is asked again because this answer fails is no further one.
    answeredAt.delete(digest);
  }
  await delay(300 + random() * 1_200);
  // Whoever asked was killed: the answer arrives nowhere, though the socket may not know it yet.
  if (killed.has(asker) || !request.isOpen()) {
    books.killed_while_asking++;
    return { body: {} };
  }
  const chance = random();
  if (chance < 0.15) {
    books.faults++;
    return chance < 0.08 ? { cut: { text: "x".repeat(5_000) } } : { status: 500, body: {} };
  }
  books.answered++;
  answeredAt.set(digest, Date.now());
  if (request.path.endsWith("/transcriptions")) {
    const segments = Array.from({ length: 25 }, (_, at) => ({
      text: `sentence number ${at} of ${digest.slice(0, 8)} is spoken here`,
      start: at,
      end: at + 0.9,
    }));
    return { body: { model: "m", language: "en", segments, usage: { prompt_audio_seconds: 30 } } };
  }
  const content = JSON.stringify({ summary: { text: "It went on.", evidence: [] } });
  const usage = { prompt_tokens: 300, completion_tokens: 20 };
  return { body: { choices: [{ message: { content }, finish_reason: "stop" }], usage } };
}

await using server = await startProviderServer(answer);
const pipelinePath = makeOwnProject(dir, (text) =>
  text
    .replace(
      "{ provider: auto }",
      "{ provider: mistral/voxtral-mini-transcribe-3-0, chunk_minutes: 0.75 }",
    )
    .replace("{ model: auto }", "{ model: auto, chunk_chars: 2000 }")
    .replace("attempts: 4, backoff: exponential", "attempts: 10, backoff: fixed"),
);
const tone = ["-f", "lavfi", "-i", `sine=frequency=${200 + (SEED % 400)}:duration=${SECONDS}`];
execFileSync("ffmpeg", ["-v", "error", ...tone, "-c:a", "aac", join(dir, "one.m4a")]);
copyFileSync(join(dir, "one.m4a"), join(dir, "two.m4a"));

function start(): ReturnType<typeof spawn> {
  const files = [join(dir, "one.m4a"), join(dir, "two.m4a")];
  return spawn(
    process.execPath,
    [join(ROOT, "bin", "clipscribe.ts"), "run", "--json", "--pipeline", pipelinePath, ...files],
    {
      cwd: dir,
      detached: true,
      stdio: ["ignore", "pipe", "ignore"],
      env: {
        PATH: process.env["PATH"],
        HOME: dir,
        CLIPSCRIBE_HOME: join(dir, "home"),
        CLIPSCRIBE_LEASE_MS: "1000",
        CLIPSCRIBE_SWEEP_MS: "300",
        MISTRAL_API_KEY: "k",
        MISTRAL_BASE_URL: server.url,
        XAI_API_KEY: "k",
        XAI_BASE_URL: server.url,
      },
    },
  );
}

/** Kills come while calls are under way: before the first one, there is nothing to pay for. */
let kills = 0;
for (let runs = 0; runs < RUNS; runs++) {
  const askedBefore = books.asked;
  run++;
  const child = start();
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!isOver && books.asked === askedBefore) await delay(20);
  await Promise.race([ended, delay(random() * 2_500)]);
  if (isOver) {
    // Five claims in a row that end no stage fail an item: a person runs it again.
    if ((await ended) === 0) break;
    continue;
  }
  killed.add(run);
  killedAt = Date.now();
  if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  kills++;
  await ended;
}
let stdout = "";
let code: number | null = null;
// A part whose attempts all failed makes an item partial: running again is what a person does.
for (let again = 0; again < 5 && code !== 0; again++) {
  stdout = "";
  run++;
  const last = start();
  last.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  code = await new Promise<number | null>((resolve) => last.on("close", resolve));
}
rmSync(dir, { recursive: true, force: true });
const pass = code === 0 && books.twice === 0 && books.killed_while_asking > 0 && books.faults > 0;
const figures = { seed: SEED, kills, exit_code: code, calls: answeredAt.size, ...books };
process.stdout.write(`${JSON.stringify({ name: "campaign-paid", pass, ...figures })}\n`);
process.exitCode = pass ? 0 : 1;
