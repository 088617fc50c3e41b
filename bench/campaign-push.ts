/**
 * A hundred pushes while three runners work on the emulated cloud, with its faults and kills: other
 * code, other params, rollbacks, files that do not compile, and pushes that are killed half-way. All
 * along items are handed over, and dropped by other tools. In the end each item's manifest has to name
 * one pushed pipeline; the bytes in the bucket under that name alone have to give the keys of its
 * stages again; and what was published has to be what that code and these params say.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { systemClock } from "../adapters/system/system-clock.ts";
import { loadPipeline } from "../bin/load-pipeline.ts";
import { main } from "../bin/main.ts";
import { parseObjectKey } from "../core/keys.ts";
import { retrying } from "../ports/retrying.ts";
import { openCloudWorld } from "../samples/cloud-world.ts";
import { submitTo } from "../samples/submit-to.ts";
import { openRandom } from "./evidence/random.ts";
import { checkBucket } from "./night-check.ts";
import { openNightReader } from "./night-reader.ts";
import { checkPushed } from "./push-check.ts";
import type { Pushed } from "./push-check.ts";
import { captureIo } from "../samples/captured-io.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const PUSHES = Number(process.env["PUSHES"] ?? 100);
const TARGET_PUSHES = 100;
const RUNNERS = 3;
const KILL_EVERY_MS = 6_000;
/** Of the pushes: so many are rollbacks, broken files, and killed before they are made. */
const ROLLBACK_SHARE = 0.1;
const BROKEN_SHARE = 0.1;
const KILLED_SHARE = 0.15;
/** Drops and submissions come a little apart. */
const PAUSE_MS = 600;
const MAX_MS = 9 * 60_000;
const TRIES = { attempts: 8, baseMs: 200, maxMs: 3_000, clock: systemClock, random: Math.random };
const ROOT = join(import.meta.dirname, "..");

const { next: random, int } = openRandom(SEED);
const dir = mkdtempSync(join(tmpdir(), "clipscribe-push-"));
const pipeline = join(dir, "pipeline.yaml");
const startedMs = Date.now();
layFolder();
const now: Pushed = { code: 0, label: "first" };
layPipeline();

await using cloud = await openCloudWorld(pipeline);
const store = retrying(cloud.store, TRIES);
/** By digest: what it has to say. */
const pushed = new Map<string, Pushed>();
/** Item → the digest that it was handed over under; null: a drop, which takes the one in force. */
const items = new Map<string, string | null>();
const totals = { pushes: 0, rollbacks: 0, refused: 0, pushes_killed: 0, kills: 0, starts: 0 };
const troubles: string[] = [];
const runners: ChildProcess[] = [];
let isOver = false;

await push();
/** So long takes a push by a process of its own. */
const pushMs = await timePush();
await cloud.setFaults({
  seed: SEED,
  events: { drop: 0.1, double: 0.1, delay_ms: 1_000, reorder: 0.2 },
  s3: { "429": 0.01, "500": 0.01, "503": 0.01, reset: 0.01 },
  queues: { "429": 0.02, "500": 0.02, reset: 0.02 },
});
for (let index = 0; index < RUNNERS; index++) start();
const killing = killOn();
while (totals.pushes < PUSHES && Date.now() - startedMs < MAX_MS) {
  await change();
  await bringWork(totals.pushes);
  await delay(PAUSE_MS * random());
}
isOver = true;
await killing;
await cloud.setFaults({ seed: SEED });
const left = await waitUntilEnded();
const ends = runners.map(ended);
for (const child of runners) child.kill("SIGTERM");
await Promise.all(ends);

const checked = await checkPushed(cloud.store, { pushed, items, dir });
using reader = openNightReader(cloud.emulator.address, "me");
const bucket = await checkBucket(reader, { texts: new Map(), secrets: [], isTold: false });
const problems = [...troubles, ...left, ...checked.problems, ...bucket.problems];
const seconds = Math.round((Date.now() - startedMs) / 1000);
const missed = Object.entries({
  "an item or a pipeline is not as it should be": problems.length > 0,
  [`fewer than ${TARGET_PUSHES} pushes`]: totals.pushes < TARGET_PUSHES,
  "nothing was killed": totals.kills === 0 || totals.pushes_killed === 0,
  "no bad push, or no rollback": totals.refused === 0 || totals.rollbacks === 0,
}).flatMap(([what, isMissed]) => (isMissed ? [what] : []));
const pass = missed.length === 0;
for (const line of problems.slice(0, 20)) console.error(line);
console.log(
  JSON.stringify({
    name: "campaign-push",
    pass,
    seed: SEED,
    ...totals,
    pipelines: pushed.size,
    items: items.size,
    published: bucket.published,
    pipelines_published_by: checked.pipelines,
    stage_keys_reproduced: checked.keys,
    seconds,
    problems: problems.length,
    missed,
  }),
);
process.exitCode = pass ? 0 : 1;
rmSync(dir, { recursive: true, force: true });

/** One change of what is in force, or a try at it. */
async function change(): Promise<void> {
  const chance = random();
  if (chance < ROLLBACK_SHARE && pushed.size > 1) return rollback();
  if (chance < ROLLBACK_SHARE + BROKEN_SHARE) return pushBroken();
  if (random() < 0.5) now.code++;
  else now.label = `label ${int(1_000_000)}`;
  layPipeline();
  if (random() < KILLED_SHARE) await pushKilled();
  return push();
}

async function push(): Promise<void> {
  // Before it is pushed: a runner may be faster than its answer, and a killed push may have been made.
  const { digest } = (await loadPipeline(pipeline, join(dir, "desk"))).pipeline;
  pushed.set(digest, { ...now });
  const { code, stdout, stderr } = await clipscribe("push", pipeline);
  if (code !== 0) troubles.push(`a push ended with ${code}: ${stdout}${stderr}`);
  else totals.pushes++;
}

async function rollback(): Promise<void> {
  const { code, stdout } = await clipscribe("rollback");
  if (code !== 0) troubles.push(`a rollback ended with ${code}: ${stdout}`);
  else totals.rollbacks++;
}

/** What does not compile must not displace what does. */
async function pushBroken(): Promise<void> {
  const inForce = async (): Promise<string> =>
    Buffer.from((await store.get(parseObjectKey("pipelines/current.json"))).body).toString();
  const before = await inForce();
  writeFileSync(join(dir, "stages", "words.ts"), "export const code = ;\n");
  const { code } = await clipscribe("push", pipeline);
  layPipeline();
  if (code !== 2 || (await inForce()) !== before) troubles.push(`a broken push ended with ${code}`);
  totals.refused++;
}

/** Half-way, wherever that is; what it left is there when the same is pushed again. */
async function pushKilled(): Promise<void> {
  const { digest } = (await loadPipeline(pipeline, join(dir, "desk"))).pipeline;
  pushed.set(digest, { ...now });
  const child = startPush();
  await Promise.race([ended(child), delay(pushMs * (0.2 + 0.8 * random()))]);
  if (child.exitCode !== null) return;
  child.kill("SIGKILL");
  await ended(child);
  totals.pushes_killed++;
}

/** What is in force is pushed again. */
async function timePush(): Promise<number> {
  const beforeMs = performance.now();
  await ended(startPush());
  return performance.now() - beforeMs;
}

function startPush(): ChildProcess {
  const args = [join(ROOT, "bin", "clipscribe.ts"), "pipeline", "push", pipeline];
  const env = { ...cloud.env, CLIPSCRIBE_HOME: join(dir, "killed-desk") };
  return spawn(process.execPath, args, { cwd: dir, env, stdio: "ignore" });
}

/** The real verb, in this process: a hundred processes would take the machine away from the runners. */
async function clipscribe(verb: string, ...more: string[]) {
  const env = { ...cloud.env, CLIPSCRIBE_HOME: join(dir, "desk") };
  const heard = captureIo({ env, cwd: dir });
  const code = await main(["pipeline", verb, "--json", ...more], heard.io);
  return { code, stdout: heard.stdout, stderr: heard.stderr };
}

/** One item by a pipeline that was pushed, mostly the latest, and one that another tool dropped. */
async function bringWork(number: number): Promise<void> {
  const digests = [...pushed.keys()];
  const digest = digests[Math.max(0, digests.length - 1 - int(3))] ?? "";
  const item = `item-${items.size}`;
  const path = join(dir, "media", `${item}.mp4`);
  writeFileSync(path, `medium of ${item}`);
  const job = `20261125-2200-push-${String(items.size).padStart(4, "0")}`;
  items.set(item, digest);
  await submitTo(store, job, number % 2 === 0 ? "urgent" : "batch", digest, [path]);
  const drop = `drop-${items.size}`;
  items.set(drop, null);
  await store.put(parseObjectKey(`drops/me/${drop}.mp4`), Buffer.from(`medium of ${drop}`));
}

function start(): void {
  const child = cloud.startRunner(`runner-${totals.starts++}`, { pushed: true });
  child.stdout?.resume();
  child.stderr?.resume();
  runners.push(child);
}

async function killOn(): Promise<void> {
  while (!isOver) {
    await delay(KILL_EVERY_MS * (0.5 + random()));
    const up = runners.filter(({ exitCode, signalCode }) => exitCode === null && !signalCode);
    // One that found nothing it could use at its start has ended: a supervisor starts it again.
    for (let lacking = up.length; lacking < RUNNERS; lacking++) start();
    if (isOver || up.length === 0) continue;
    up[int(up.length)]?.kill("SIGKILL");
    totals.kills++;
    start();
  }
}

/** Returns what has not ended in time. */
async function waitUntilEnded(): Promise<string[]> {
  for (;;) {
    const waiting: string[] = [];
    for await (const { key } of store.list("inbox/")) waiting.push(key);
    let states = 0;
    for await (const { key } of store.list("jobs/me/")) if (key.includes("/items/")) states++;
    if (waiting.length === 0 && states >= items.size) return [];
    if (Date.now() - startedMs > MAX_MS) {
      return [...waiting.map((key) => `${key} has not ended`), `${states} of ${items.size} items`];
    }
    await delay(1_000);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once("close", resolve));
}

function layFolder(): void {
  for (const each of ["stages", "media"]) mkdirSync(join(dir, each));
  cpSync(join(ROOT, "core"), join(dir, "core"), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  const head = `import { z } from "zod";\nimport { defineStage, file } from "../core/stage.ts";\n`;
  const text = (name: string): string =>
    `file({ mediaType: "text/plain", fileName: "${name}.txt" })`;
  writeFileSync(
    join(dir, "stages", "hear.ts"),
    `${head}export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { heard: ${text("heard")} },
  params: z.strictObject({ ms: z.number() }),
  async run({ input, params, ctx }) {
    await new Promise((resolve) => setTimeout(resolve, params.ms));
    return { heard: await ctx.write("heard.txt", await ctx.readText(input.source)) };
  },
});
`,
  );
  writeFileSync(
    join(dir, "stages", "say.ts"),
    `${head}import { code } from "./words.ts";
export default defineStage({
  input: { heard: ${text("heard")} },
  output: { out: ${text("out")} },
  params: z.strictObject({ label: z.string() }),
  async run({ input, params, ctx }) {
    const heard = await ctx.readText(input.heard);
    return { out: await ctx.write("out.txt", \`code \${code}, \${params.label}: \${heard}\`) };
  },
});
`,
  );
}

function layPipeline(): void {
  writeFileSync(join(dir, "stages", "words.ts"), `export const code = ${now.code};\n`);
  writeFileSync(
    pipeline,
    `pipeline: push\naccept: [mp4]\nstages:\n  - id: hear\n    uses: stages/hear.ts\n    with: { ms: 100 }\n  - id: say\n    uses: stages/say.ts\n    with: { label: ${JSON.stringify(now.label)} }\npublish: [out.txt]\n`,
  );
}
