/**
 * make campaign-drops SEED=n: 2,000 drops of all kinds into a real folder, 300 of them before the
 * agent first starts, the others while it works, is killed with -9 at random and started again, on a
 * disk that is full now and then and a bucket that answers 500 and cuts connections. Odd seeds have
 * a Mac's file system. At the end each drop is once where it belongs, and nothing half uploaded has
 * a ticket. The same SEED gives the same drops; what they meet depends on the machine.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { build } from "esbuild";

import { openDropLedger } from "../adapters/ledger/drop-ledger.ts";
import { openCloudWorld } from "../samples/cloud-world.ts";
import { checkDrops } from "./drops/check-drops.ts";
import { dropOne, planKinds } from "./drops/drop-kinds.ts";
import type { Dropped } from "./drops/drop-kinds.ts";
import { writePlainPipeline } from "./drops/plain-pipeline.ts";
import { openRandom } from "./evidence/random.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const DROPS = Number(process.env["DROPS"] ?? 2_000);
const AT_START = Math.min(300, Math.floor(DROPS / 4));
/** Hands that drop at the same time. */
const HANDS = 20;
/** The agent lives so long at most before it is killed, and is killed so often at least. */
const KILL_MS = 2_500;
const LEAST_KILLS = Math.ceil(DROPS / 40);
/** What is left once nobody drops or kills any more has to end by itself. */
const END_MS = 200_000;
/** Longer than any wait of the agent's once nothing fails any more. */
const STILL_MS = 12_000;
const MAX_MS = 9 * 60_000;

const { next: random } = openRandom(SEED);
const folded = SEED % 2 === 1;
const dir = mkdtempSync(join(tmpdir(), "clipscribe-drops-"));
const home = join(dir, "home");
const folders = {
  inbox: join(home, "inbox"),
  done: join(home, "done"),
  rejected: join(home, "rejected"),
};
const outside = join(dir, "outside");
for (const folder of [...Object.values(folders), outside]) mkdirSync(folder, { recursive: true });
const pipeline = writePlainPipeline(dir);
const script = await bundleAgent();
await using cloud = await openCloudWorld(pipeline);
const startedMs = performance.now();
const counts = { kills: 0, starts: 0 };
let agent: ChildProcess | undefined;
let lastWords = "";
let isOver = false;

/** As the command line is: an agent that takes seconds to start would spend its lives on that. */
async function bundleAgent(): Promise<string> {
  const root = join(import.meta.dirname, "..");
  for (const name of ["node_modules", "package.json"])
    symlinkSync(join(root, name), join(dir, name));
  const outfile = join(dir, "dist", "agent-child.mjs");
  await build({
    entryPoints: [join(import.meta.dirname, "drops", "agent-child.ts")],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node24",
    external: ["esbuild"],
    logLevel: "error",
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  });
  return outfile;
}

interface Started {
  child: ChildProcess;
  /** It watches the inbox. */
  ready: Promise<void>;
}

function startAgent(diskFaults: number): Started {
  counts.starts++;
  const child = spawn(process.execPath, [script], {
    cwd: dir,
    env: {
      ...cloud.env,
      CLIPSCRIBE_HOME: home,
      CLIPSCRIBE_SETTLE_MS: "150",
      PIPELINE: pipeline,
      FOLDED: folded ? "1" : "",
      DISK_FAULTS: `${diskFaults}`,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ready = Promise.withResolvers<void>();
  const keep = (chunk: Buffer): void => {
    const text = lastWords + chunk.toString();
    if (text.includes('"type":"lid"')) ready.resolve();
    lastWords = text.slice(-3_000);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  return { child, ready: ready.promise };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once("close", resolve));
}

/** Lets the agent live for a while, kills it, and starts it again, until all is dropped. */
async function keepKilling(): Promise<void> {
  while (!isOver) {
    lastWords = "";
    const started = startAgent(0.005);
    agent = started.child;
    // Now and then already while it starts.
    if (random() < 0.15) await delay(random() * 1_000);
    else await Promise.race([started.ready, ended(agent)]);
    await Promise.race([delay(random() * KILL_MS), ended(agent)]);
    if (agent.exitCode !== null) {
      throw new Error(`the agent ended by itself with ${agent.exitCode}: ${lastWords}`);
    }
    agent.kill("SIGKILL");
    counts.kills++;
    await ended(agent);
  }
}

const kinds = planKinds(DROPS, random);
const dropped: Dropped[] = [];
const drop = async (index: number): Promise<void> => {
  const hand = { inbox: folders.inbox, outside, index, random, folded };
  dropped.push(await dropOne(kinds[index] ?? "plain", hand));
};
// What waits for the agent is not for the start.
const early = kinds.flatMap((kind, index) => (kind === "same name and bytes again" ? [] : [index]));
const first = early.slice(0, AT_START);
await Promise.all(first.map(drop));
const isFirst = new Set(first);
const queue = kinds.flatMap((_, index) => (isFirst.has(index) ? [] : [index])).values();
await cloud.setFaults({ seed: SEED, s3: { "500": 0.01, "503": 0.01, reset: 0.005 } });
const killing = keepKilling();
const work = async (): Promise<void> => {
  for (const index of queue) {
    if (performance.now() - startedMs > MAX_MS - END_MS - 60_000) return;
    await drop(index);
    await delay(random() * 120);
  }
};
await Promise.race([Promise.all(Array.from({ length: HANDS }, work)), killing]);
// What has piled up is worked off under kills, too.
while (counts.kills < LEAST_KILLS && performance.now() - startedMs < MAX_MS - END_MS - 60_000) {
  await delay(100);
}
isOver = true;
await killing;
await cloud.setFaults({ seed: SEED });
const droppedMs = performance.now() - startedMs;
lastWords = "";
const last = startAgent(0);
agent = last.child;
await Promise.race([last.ready, ended(agent)]);
const rest = await waitForRest();
agent.kill("SIGTERM");
await ended(agent);
const { problems, files, tickets } = await checkDrops(folders, cloud.store, dropped);
if (agent.exitCode !== 0)
  problems.push(`the last agent ended with ${agent.exitCode}: ${lastWords}`);
if (!rest) problems.push("it never came to rest");
for (const problem of problems.slice(0, 30)) console.error(problem);
const pass = problems.length === 0 && dropped.length === DROPS;
console.log(
  JSON.stringify({
    name: "campaign-drops",
    pass,
    seed: SEED,
    folded,
    drops: dropped.length,
    of: DROPS,
    ...counts,
    files,
    tickets,
    problems: problems.length,
    dropped_seconds: Math.round(droppedMs / 1000),
    seconds: Math.round((performance.now() - startedMs) / 1000),
  }),
);
process.exitCode = pass ? 0 : 1;
if (pass) rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
else console.error(`kept: ${dir}`);

/** Nothing is open in the ledger, and nothing changes in the inbox, for a while. */
async function waitForRest(): Promise<boolean> {
  const untilMs = performance.now() + END_MS;
  let stillSince = performance.now();
  let before = "";
  while (performance.now() < untilMs) {
    await delay(250);
    using ledger = openDropLedger(join(home, "ledger.db"));
    const open = ledger.listOpen().length;
    const now = JSON.stringify(ledger.countByPhase());
    if (now !== before || open > 0) stillSince = performance.now();
    before = now;
    if (performance.now() - stillSince > STILL_MS) return true;
  }
  return false;
}
