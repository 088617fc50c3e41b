/**
 * Ten thousand jobs whose last item has ended, as a crash leaves them: state written, ticket there. They
 * come three hundred tickets at a time. Three runners do their tails, make the jobs' ends and send their
 * messages by webhook, to a receiver that fails for three requests in ten; all along one of them is killed
 * with -9. Then every job has to have arrived, each under one id, and nothing may wait or be missing.
 *
 * A message that fails eight times in a row, as one of ten thousand does, is not due for minutes. Whoever
 * would not wait for it says `clipscribe notify send`, and so does this, late: `hurried` counts them.
 */
import { execFile, execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { realDiskFs } from "../adapters/disk/disk-fs.ts";
import type { DiskFs } from "../adapters/disk/disk-fs.ts";
import { openDiskStore } from "../adapters/disk/disk-store.ts";
import { sha256Of } from "../core/digest.ts";
import { ItemId, JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { OutboxMessage } from "../core/message-records.ts";
import { Ticket } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { layFinishedJob } from "../samples/finished-job.ts";
import { ROOT, makeHome } from "./campaign-world.ts";
import { openRandom } from "./evidence/random.ts";
import { round } from "./measure.ts";
import { startNotifyReceiver } from "./notify-receiver.ts";

const TARGET_MESSAGES = 10_000;
const SEED = Number(process.env["SEED"] ?? 1);
const MESSAGES = Number(process.env["MESSAGES"] ?? TARGET_MESSAGES);
/** 1: how far it is; 2: what the runners say, too. */
const VERBOSE = Number(process.env["VERBOSE"] ?? 0);
const FAIL_SHARE = 0.3;
const RUNNERS = 3;
const KILL_EVERY_MS = 8_000;
/** A busy machine's heartbeat may be late by a second. */
const LEASE_MS = 3_000;
/** Nobody hears of these tickets: the sweep alone finds them, so many a pass. */
const SWEEP_MS = 1_000;
/** Nobody is killed any more from here on; what waits then still has to arrive. */
const CALM_SHARE = 0.98;
/** What waits for its next try by then is sent by hand. */
const HURRY_MS = 7 * 60_000;
const MAX_MS = 9 * 60_000;
/** Of the campaign: a target of its own. */
const TARGET_MS = 10 * 60_000;
/** Of 14,000 requests so many fail by chance, more or less. */
const FAIL_TOLERANCE = 0.02;
/** One job in so many has two items, whose tails may be two runners'. */
const PAIRS = 10;
const WRITES_AT_ONCE = 8;
/** Tickets that wait at a time: on a disk each is a folder, and a sweep lists them all. */
const MAX_WAITING = 300;
const WAIT_MS = 50;

const USER = UserId.parse("me");
const SECRET = `whsec_${Buffer.from("a secret of the campaign, 32 bytes").toString("base64")}`;
const keys = keysOf(USER);
const { next: random } = openRandom(SEED);
const home = makeHome({ stages: 1, items: 0 });
const BUNDLE = join(ROOT, "dist", "main.mjs");
const envOfCommands = {
  PATH: process.env["PATH"],
  HOME: home.dir,
  CLIPSCRIBE_HOME: home.home,
  CLIPSCRIBE_LEASE_MS: String(LEASE_MS),
  CLIPSCRIBE_SWEEP_MS: String(SWEEP_MS),
  CLIPSCRIBE_ALLOW_PRIVATE: "webhook",
  CLIPSCRIBE_WEBHOOK_SECRET: SECRET,
};
// Made anew where a source is newer: no kill may hit that.
execFileSync(join(ROOT, "bin", "clipscribe"), ["version"], { stdio: "ignore" });
const receiver = await startNotifyReceiver(SECRET, FAIL_SHARE, random);
const storeDir = join(home.home, "store");
mkdirSync(storeDir, { recursive: true });
const startedMs = Date.now();

const jobs = Array.from({ length: MESSAGES }, (_, at) =>
  JobId.parse(`20261125-0600-campaign-${String(at).padStart(5, "0")}`),
);
await using store = openDiskStore({ root: storeDir });
let waiting = 0;
let isOver = false;
const laying = layUnflushed();

const totals = { kills: 0, starts: 0, hurried: 0 };
const runners = new Set<ChildProcess>();
for (let index = 0; index < RUNNERS; index++) start();
let isCalm = false;
const killing = (async () => {
  while (!isCalm) {
    await delay(KILL_EVERY_MS * (0.5 + random()));
    const [victim] = [...runners].slice(Math.floor(random() * runners.size));
    if (isCalm || victim === undefined) continue;
    totals.kills++;
    victim.kill("SIGKILL");
    start();
  }
})();
const arrived = (): number => new Set([...receiver.taken.values()].map(({ job }) => job)).size;
let left = Number.POSITIVE_INFINITY;
while (left > 0 && Date.now() - startedMs < MAX_MS) {
  await delay(1_000);
  if (arrived() >= MESSAGES * CALM_SHARE) isCalm = true;
  if (VERBOSE > 0) console.error(arrived(), waiting, receiver.counts, totals);
  if (isCalm && Date.now() - startedMs > HURRY_MS) await hurry();
  waiting = await count("inbox/");
  if (arrived() >= MESSAGES) left = waiting + (await count("outbox/"));
}
isCalm = true;
isOver = true;
const seconds = (Date.now() - startedMs) / 1000;
await Promise.all([killing, laying]);
const ends = [...runners].map(
  async (child) => new Promise((resolve) => child.once("close", resolve)),
);
for (const child of runners) child.kill("SIGKILL");
await Promise.all(ends);

const problems = await check();
const taken = [...receiver.taken.values()];
const failShare = receiver.counts.failed / Math.max(1, receiver.counts.requests);
const missed = Object.entries({
  "something is lost, left or doubled": problems.length > 0,
  [`fewer than ${TARGET_MESSAGES} messages`]: MESSAGES < TARGET_MESSAGES,
  "no runner was killed": totals.kills === 0,
  "the receiver did not fail as often": Math.abs(failShare - FAIL_SHARE) > FAIL_TOLERANCE,
  "it took too long": Date.now() - startedMs > TARGET_MS,
}).flatMap(([what, isMissed]) => (isMissed ? [what] : []));
const pass = missed.length === 0;
for (const line of problems.slice(0, 20)) console.error(line);
console.log(
  JSON.stringify({
    name: "campaign-notify",
    pass,
    seed: SEED,
    messages: MESSAGES,
    arrived: arrived(),
    doubles: taken.reduce((sum, { times }) => sum + times - 1, 0),
    ids: taken.length,
    ...receiver.counts,
    fail_share: round(failShare),
    ...totals,
    seconds: round(seconds),
    problems: problems.length,
    missed,
  }),
);
process.exitCode = pass ? 0 : 1;
await receiver[Symbol.asyncDispose]();
// What did not arrive is to be looked for there.
if (pass || process.env["KEEP"] === undefined) home.remove();
else console.error(`kept: ${home.dir}`);

function start(): void {
  totals.starts++;
  const args = [BUNDLE, "runner", "--pipeline", home.pipeline, "--json"];
  const child = spawn(process.execPath, args, {
    cwd: home.dir,
    env: envOfCommands,
    stdio: ["ignore", "ignore", VERBOSE > 1 ? "inherit" : "ignore"],
  });
  runners.add(child);
  child.once("close", () => runners.delete(child));
}

/** As a person does: what waits for its next try is sent now. */
async function hurry(): Promise<void> {
  const args = [BUNDLE, "notify", "send", "--json"];
  const options = { cwd: home.dir, env: envOfCommands, timeout: 60_000 };
  // It fails where the receiver does: the next turn tries again.
  const stdout = await new Promise<string>((resolve) => {
    execFile(process.execPath, args, options, (_error, out) => resolve(out));
  });
  totals.hurried += (JSON.parse(stdout || "{}") as { sent?: number }).sent ?? 0;
}

/** What is only laid down for the campaign need not outlive a power cut. */
async function layUnflushed(): Promise<void> {
  const fs: DiskFs = {
    ...realDiskFs,
    writeNew: (path, body, _sync, isMade) => realDiskFs.writeNew(path, body, false, isMade),
    syncFolder: () => Promise.resolve(),
  };
  await using quick = openDiskStore({ root: storeDir, fs });
  await layJobs(quick);
}

async function layJobs(into: ObjectStore): Promise<void> {
  const queue = jobs.entries();
  const worker = async (): Promise<void> => {
    for (const [at, job] of queue) {
      while (waiting >= MAX_WAITING && !isOver) await delay(WAIT_MS);
      if (isOver) return;
      const ids = at % PAIRS === 0 ? ["first", "second"] : ["only"];
      await layFinishedJob(into, {
        user: USER,
        job,
        items: ids.map((id) => ({
          id,
          status: "failed",
          error: { kind: "contract", message: `medium ${at} is bad`, hint: null, cause: [] },
        })),
        notify: { email: null, webhook: receiver.url },
      });
      for (const id of ids)
        await into.put(keys.ticket("batch", job, ItemId.parse(id), 1), ticket(job, id));
      waiting += ids.length;
    }
  };
  await Promise.all(Array.from({ length: WRITES_AT_ONCE }, worker));
}

function ticket(job: JobId, item: string): Uint8Array {
  const value = Ticket.parse({
    schema: 1,
    job_id: job,
    item_id: item,
    run: 1,
    user: USER,
    lane: "batch",
    pipeline_digest: sha256Of("pipeline"),
    source: {
      kind: "file",
      url: null,
      filename: `${item}.mp4`,
      sha256: sha256Of(item),
      size: 1,
      media_type: "video/mp4",
    },
    artifacts: [],
    info: { file_name: `${item}.mp4` },
    created_at: "2026-11-25T06:00:00.000Z",
  });
  return Buffer.from(JSON.stringify(value));
}

async function count(prefix: string): Promise<number> {
  let found = 0;
  for await (const _object of store.list(prefix)) found++;
  return found;
}

/** What the receiver has and what the store says, told from one another. */
async function check(): Promise<string[]> {
  const found: string[] = [];
  const idsByJob = new Map<string, string[]>();
  for (const [id, { job }] of receiver.taken) {
    idsByJob.set(job, [...(idsByJob.get(job) ?? []), id]);
  }
  for (const [at, job] of jobs.entries()) {
    const ids = idsByJob.get(job) ?? [];
    if (ids.length !== 1) found.push(`${job}: arrived under ${ids.length} ids`);
    const kept: string[] = [];
    for await (const { key } of store.list(`jobs/${USER}/${job}/messages/`)) {
      const { body } = await store.get(key);
      const message = OutboxMessage.parse(JSON.parse(Buffer.from(body).toString("utf8")));
      const isSent = message.deliveries.every(({ state }) => state === "sent");
      if (!isSent) found.push(`${job}: its record does not say that it was sent`);
      kept.push(`msg_${message.id}`);
    }
    if (kept.length !== 1 || kept[0] !== ids[0]) found.push(`${job}: records say ${kept.join()}`);
    const isPair = at % PAIRS === 0;
    const digest = await store.head(keys.jobResult(job, "manifest.json"));
    if (isPair && digest === undefined) {
      found.push(`${job}: has no digest`);
    }
  }
  if (receiver.counts.unverified > 0) found.push("signatures that do not verify");
  if (receiver.counts.changed > 0) found.push("one id with different bodies");
  for (const prefix of ["inbox/", "outbox/", "sys/poison/"]) {
    const there = await count(prefix);
    if (there > 0) found.push(`${there} objects are left under ${prefix}`);
  }
  return found;
}
