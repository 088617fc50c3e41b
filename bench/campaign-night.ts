/**
 * A night: the emulated cloud, three runners as processes, items of mixed length, and all along
 * what goes wrong: events that are lost, late, doubled and out of order; 429, 500, 503, cut and lost
 * answers and stalls of store, queue and provider; runners that are killed, or stopped past their
 * lease and woken again; replays and cancels. In the morning everything must add up. The same SEED
 * gives the same faults; what they meet depends on the machine.
 */
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { loadPipeline } from "../bin/load-pipeline.ts";
import { openCloudWorld } from "../samples/cloud-world.ts";
import type { CloudWorld } from "../samples/cloud-world.ts";
import { startProviderServer } from "../stand-ins/provider-server.ts";
import { openRandom } from "./evidence/random.ts";
import { checkBucket } from "./night-check.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const ITEMS = Number(process.env["ITEMS"] ?? 200);
const RUNNERS = 3;
const ITEMS_A_JOB = 40;
/** No fault begins after this; what is left then has to end by itself. */
const FAULTS_MS = 120_000;
const MAX_MS = 270_000;
const KILL_EVERY_MS = 6_000;
const LEASE_MS = 4_000;
/** An answer that nobody could note before the kill may be paid for again. */
const GRACE_MS = 3_000;

/** How often the memory of the runner that nobody disturbs is read. */
const MEMORY_EVERY_MS = 2_000;
/** Until then it loads its code, and its heap finds its size. */
const WARM_UP_MS = 30_000;
/** Flat: between the first and the last third of its life after that, it grows by no more. */
const MAX_GROWTH_MB = 48;

/** A runner's process. */
type Worker = ChildProcess & { name: string; stopped?: boolean };

const { next: random } = openRandom(SEED);
const dir = mkdtempSync(join(tmpdir(), "clipscribe-night-"));
const startedMs = Date.now();
const books = { asked: 0, answered: 0, faults: 0, twice: 0, twice_in_grace: 0 };
const answers = new Map<string, { atMs: number; runner: string }>();
/** When each runner was killed, or stopped and woken: what it was told then, nobody may know. */
const silences = new Map<string, { fromMs: number; toMs: number }[]>();

await using provider = await startProviderServer(async ({ json, path, isOpen }) => {
  const digest = createHash("sha256").update(JSON.stringify(json)).digest("hex");
  books.asked++;
  const runner = path.split("/")[1] ?? "";
  const before = answers.get(digest);
  if (before !== undefined) {
    const isLost = (silences.get(before.runner) ?? []).some(
      ({ fromMs, toMs }) => fromMs - GRACE_MS < before.atMs && before.atMs < toMs,
    );
    if (isLost) books.twice_in_grace++;
    else {
      books.twice++;
      console.error(
        `asked twice: ${before.runner} had its answer ${Date.now() - before.atMs} ms ago; now ${runner} asks`,
      );
    }
  }
  await delay(100 + random() * 700);
  if (!isOpen()) return { body: {} };
  const chance = random();
  if (chance < 0.1) {
    books.faults++;
    return chance < 0.05 ? { cut: { content: "x".repeat(4_000) } } : { status: 503, body: {} };
  }
  books.answered++;
  answers.set(digest, { atMs: Date.now(), runner });
  const content = JSON.stringify({ said: digest.slice(0, 16) });
  const usage = { prompt_tokens: 100, completion_tokens: 10 };
  return { body: { choices: [{ message: { content }, finish_reason: "stop" }], usage } };
});

const pipeline = makePipeline();
const { digest } = (await loadPipeline(pipeline, join(dir, "home"))).pipeline;
await using cloud = await openCloudWorld(pipeline);
const envOf = (name: string) => ({
  XAI_API_KEY: "x",
  // Each asks under an address of its own: the books know who was told what.
  XAI_BASE_URL: `${provider.url}/${name}`,
  CLIPSCRIBE_LEASE_MS: String(LEASE_MS),
});
const jobs = await submitAll(cloud, digest);
await cloud.setFaults({
  seed: SEED,
  events: { drop: 0.1, double: 0.1, delay_ms: 1_500, reorder: 0.2 },
  s3: { "429": 0.01, "500": 0.01, "503": 0.01, reset: 0.01, stall: 0.01, stall_ms: 800 },
  queues: { "429": 0.02, "500": 0.02, reset: 0.02 },
});

const runners: Worker[] = [];
const said: string[] = [];
const peakMb: number[] = [];
const totals = { kills: 0, stops: 0, replays: 0, cancels: 0 };
let started = 0;
const start = (): Worker => {
  const name = `runner-${started++}`;
  const child: Worker = Object.assign(cloud.startRunner(name, { env: envOf(name) }), { name });
  child.stdout?.resume();
  child.stderr?.on("data", (chunk: Buffer) => {
    for (const line of chunk.toString().split("\n"))
      if (/"level":"error"/.test(line)) said.push(line);
  });
  return child;
};
/** A fourth, whose memory is looked at: of the others none lives long. */
const steady = start();
const memory: number[] = [];
const sampling = setInterval(() => {
  if (Date.now() - startedMs > WARM_UP_MS) memory.push(residentMb(steady));
}, MEMORY_EVERY_MS);
for (let index = 0; index < RUNNERS; index++) runners.push(start());

const night = (async () => {
  while (Date.now() - startedMs < FAULTS_MS) {
    await delay(KILL_EVERY_MS * (0.5 + random()));
    peakMb.push(...runners.map(residentMb));
    await disturb();
  }
})();
await night;
// Morning: nothing more goes wrong.
await cloud.setFaults({ seed: SEED });
for (const child of runners) if (child.stopped === true) child.kill("SIGCONT");
while (runners.filter(isUp).length < RUNNERS) runners.push(start());
const left = await waitUntilEnded();
const tookS = Math.round((Date.now() - startedMs) / 1000);
clearInterval(sampling);
const grownMb = growthOf(memory);
for (const child of [steady, ...runners]) child.kill("SIGTERM");
await Promise.all([steady, ...runners].map(ended));

const audit = JSON.parse((await cloud.clipscribe("audit", "--json")).stdout || "{}") as {
  ok?: boolean;
  counts?: Record<string, number>;
  problems?: string[];
};
const bucket = await checkBucket(cloud.emulator.address, "me");
const problems = [...(audit.problems ?? ["audit said nothing"]), ...bucket.problems, ...left];
const isFlat = grownMb !== null && grownMb <= MAX_GROWTH_MB;
const pass = audit.ok === true && problems.length === 0 && books.twice === 0 && isFlat;
if (!pass) for (const line of [...problems.slice(0, 20), ...said.slice(-5)]) console.error(line);
console.log(
  JSON.stringify({
    name: "campaign-night",
    pass,
    seed: SEED,
    items: ITEMS,
    seconds: tookS,
    counts: audit.counts,
    published: bucket.published,
    ...totals,
    ...books,
    requests: sumOf(cloud.emulator.counts, /^(?:s3|queues):/),
    faults_of_the_cloud: sumOf(cloud.emulator.counts, /^fault:|event:dropped/),
    peak_mb: Math.max(0, ...peakMb, ...memory),
    memory_mb: { first: memory[0] ?? null, last: memory.at(-1) ?? null, grown: grownMb },
    problems: problems.length,
  }),
);
process.exitCode = pass ? 0 : 1;
rmSync(dir, { recursive: true, force: true });

/** Two stages: one that only takes time, one that pays. */
function makePipeline(): string {
  mkdirSync(join(dir, "stages"));
  const root = join(import.meta.dirname, "..");
  cpSync(join(root, "core"), join(dir, "core"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  writeFileSync(
    join(dir, "stages", "work.ts"),
    `import { z } from "zod";
import { defineStage, file, json } from "../core/stage.ts";
export const Work = z.object({ text: z.string() });
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { work: json(Work) },
  params: z.strictObject({}),
  async run({ input, ctx }) {
    const text = await ctx.readText(input.source);
    await new Promise((resolve) => setTimeout(resolve, Number(/ms=(\\d+)/.exec(text)?.[1] ?? 100)));
    return { work: { text } };
  },
});
`,
  );
  writeFileSync(
    join(dir, "stages", "ask.ts"),
    `import { z } from "zod";
import { defineStage, file, json } from "../core/stage.ts";
import { Work } from "./work.ts";
const Said = z.object({ said: z.string() });
export default defineStage({
  input: { work: json(Work) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({ model: z.string().default("auto") }),
  needs: { provider: "chat", providerParam: "model" },
  async run({ input, ctx }) {
    const answers = [];
    for (const part of [1, 2]) {
      const { said } = await ctx.chat({ prompt: part + " " + input.work.text, schema: Said });
      answers.push(said);
    }
    return { out: await ctx.write("out.txt", answers.join("\\n") + "\\n" + input.work.text) };
  },
});
`,
  );
  const path = join(dir, "pipeline.yaml");
  writeFileSync(
    path,
    "pipeline: night\naccept: [mp4]\nstages:\n  - id: work\n    uses: stages/work.ts\n  - id: ask\n    uses: stages/ask.ts\n    pool: llm\n    retry: { attempts: 10, backoff: fixed }\npublish: [out.txt]\npools: { llm: 4 }\n",
  );
  return path;
}

async function submitAll(world: CloudWorld, pipelineDigest: string): Promise<string[]> {
  const names: string[] = [];
  mkdirSync(join(dir, "media"));
  for (let first = 0; first < ITEMS; first += ITEMS_A_JOB) {
    const job = `20261124-2200-night-${String(first).padStart(4, "0")}`;
    const files = Array.from({ length: Math.min(ITEMS_A_JOB, ITEMS - first) }, (_, index) => {
      const path = join(dir, "media", `item-${first + index}.mp4`);
      const ms = Math.round(random() < 0.1 ? 2_000 + random() * 3_000 : random() * 600);
      writeFileSync(path, `medium ${first + index} of night ${SEED} ms=${ms}\n`);
      return path;
    });
    await world.submit(job, first % 80 === 0 ? "urgent" : "batch", pipelineDigest, files);
    names.push(job);
  }
  return names;
}

async function disturb(): Promise<void> {
  const child = runners.filter(isUp)[Math.floor(random() * RUNNERS)];
  const what = random();
  if (child !== undefined && what < 0.5) {
    totals.kills++;
    silence(child, Infinity);
    child.kill("SIGKILL");
    runners.push(start());
  } else if (child !== undefined && what < 0.75) {
    totals.stops++;
    child.stopped = true;
    child.kill("SIGSTOP");
    runners.push(start());
    silence(child, LEASE_MS * 2.5);
    void delay(LEASE_MS * 2.5).then(() => child.kill("SIGCONT"));
  } else if (what < 0.9) {
    const number = Math.floor(random() * ITEMS);
    const target = `${jobs[Math.floor(number / ITEMS_A_JOB)]}/item-${number}`;
    const { code } = await cloud.clipscribe("replay", "--pipeline", pipeline, target);
    if (code === 0) totals.replays++;
  } else {
    totals.cancels++;
    await cancel(jobs.at(-1) ?? "");
  }
}

function silence({ name }: Worker, forMs: number): void {
  const fromMs = Date.now();
  silences.set(name, [...(silences.get(name) ?? []), { fromMs, toMs: fromMs + forMs }]);
}

/** As a person does: by the job's `control`. */
async function cancel(job: string): Promise<void> {
  const key = `jobs/me/${job}/metadata.json` as Parameters<CloudWorld["store"]["get"]>[0];
  for (let tries = 0; tries < 10; tries++) {
    try {
      const { body, etag } = await cloud.store.get(key);
      const metadata = JSON.parse(Buffer.from(body).toString("utf8")) as { control: object };
      const control = { ...metadata.control, state: "cancelled" };
      await cloud.store.put(key, Buffer.from(JSON.stringify({ ...metadata, control })), {
        ifMatch: etag,
      });
      return;
    } catch {
      await delay(200);
    }
  }
}

/** Returns what has not ended in time. */
async function waitUntilEnded(): Promise<string[]> {
  for (;;) {
    const waiting: string[] = [];
    for await (const { key } of cloud.store.list("inbox/")) waiting.push(key);
    if (waiting.length === 0) return [];
    if (Date.now() - startedMs > MAX_MS) return waiting.map((key) => `${key} has not ended`);
    peakMb.push(...runners.map(residentMb));
    await delay(1_000);
  }
}

function isUp(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function ended(child: ChildProcess): Promise<void> {
  if (!isUp(child)) return;
  await Promise.race([new Promise((resolve) => child.once("close", resolve)), delay(20_000)]);
}

function residentMb({ pid }: ChildProcess): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}

/** Between the medians of the first and the last third; null where there is too little to say. */
function growthOf(samples: readonly number[]): number | null {
  const third = Math.floor(samples.length / 3);
  if (third < 5) return null;
  const median = (part: readonly number[]): number =>
    part.toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0;
  return median(samples.slice(-third)) - median(samples.slice(0, third));
}

function sumOf(counts: Readonly<Record<string, number>>, kind: RegExp): number {
  return Object.entries(counts)
    .filter(([name]) => kind.test(name))
    .reduce((sum, [, count]) => sum + count, 0);
}
