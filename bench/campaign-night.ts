/**
 * A night: the emulated cloud, three runners as processes, items of mixed length that come all night,
 * and as long what goes wrong: events that are lost, late, doubled and out of order; 429, 500, 503,
 * cut and lost answers and stalls of store, queue and provider; runners that are killed, or stopped
 * past their lease and woken again; replays, a job that is cancelled and goes on. In the morning
 * everything must add up. The same SEED gives the same night (`plan` is its digest); what it meets
 * depends on the machine. LOGS=folder keeps what the runners say.
 *
 * The oracle are the ten invariants of docs/faults.md, by readers that share no code with a runner.
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { systemClock } from "../adapters/system/system-clock.ts";
import { loadPipeline } from "../bin/load-pipeline.ts";
import { retrying } from "../ports/retrying.ts";
import { openCloudWorld } from "../samples/cloud-world.ts";
import { USER, submitTo } from "../samples/submit-to.ts";
import { openRandom } from "./evidence/random.ts";
import { report } from "./measure.ts";
import { checkBucket } from "./night-check.ts";
import { startNightFleet } from "./night-fleet.ts";
import type { MemorySample } from "./night-fleet.ts";
import { expectedText, makeNightPipeline } from "./night-pipeline.ts";
import { planNight } from "./night-plan.ts";
import type { Disturbance, NightJob } from "./night-plan.ts";
import { startNightProvider } from "./night-provider.ts";
import { openNightReader } from "./night-reader.ts";
import { startNightWatch } from "./night-watch.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const ITEMS = Number(process.env["ITEMS"] ?? 200);
const RUNNERS = 3;
/** No fault begins after this; what is left then has to end by itself. */
const FAULTS_MS = 110_000;
const MAX_MS = 260_000;
const LEASE_MS = 4_000;

/** Until then a runner loads its code and opens what it keeps open. */
const WARM_UP_MS = 30_000;
/**
 * Flat: from the second to the last third of its life after that, what a runner holds on to, its
 * garbage gone, grows by no more. `steady-memory.test.ts` asks for more, item by item.
 */
const MAX_HEAP_GROWTH_MB = 4;
/** The same of what the system says that it holds: pages that the allocator keeps come and go. */
const MAX_RESIDENT_GROWTH_MB = 48;

/** And of files and sockets: each open request has some. */
const MAX_FILES_GROWTH = 12;

const PROVIDER_KEY = "canary-of-the-provider-9c1f";
const CLOUD_FAULTS = {
  seed: SEED,
  events: { drop: 0.1, double: 0.1, delay_ms: 1_500, reorder: 0.2 },
  s3: { "429": 0.01, "500": 0.01, "503": 0.01, reset: 0.01, stall: 0.01, stall_ms: 800 },
  queues: { "429": 0.02, "500": 0.02, reset: 0.02, stall: 0.02, stall_ms: 800 },
};

const plan = planNight({ seed: SEED, items: ITEMS, runners: RUNNERS, faultsMs: FAULTS_MS });
const dir = mkdtempSync(join(tmpdir(), "clipscribe-night-"));
const pipeline = makeNightPipeline(dir);
const { digest } = (await loadPipeline(pipeline, join(dir, "home"))).pipeline;
await using cloud = await openCloudWorld(pipeline);
const { address, counts } = cloud.emulator;
using reader = openNightReader(address, USER);
await using provider = await startNightProvider({
  seed: SEED,
  reader,
  about: (name) => fleet.about(name),
});
const secrets = [PROVIDER_KEY, address.secret_access_key, address.api_token];
const startedMs = Date.now();
const fleet = startNightFleet({
  cloud,
  slots: RUNNERS,
  leaseMs: LEASE_MS,
  providerUrl: provider.url,
  providerKey: PROVIDER_KEY,
  secrets,
  logs: process.env["LOGS"],
});
// A campaign that is ended leaves no runners behind.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    fleet.killAll();
    process.exit(130);
  });
}
const texts = new Map<string, string>();
const all = plan.jobs.flatMap(({ id: job, items }) =>
  items.map(({ name: item }) => ({ job, item })),
);
const done = { kills: 0, stops: 0, replays: 0, cancels: 0, resumes: 0 };

await cloud.setFaults(CLOUD_FAULTS);
const watch = startNightWatch(reader, all, openRandom(SEED + 1).next);
const commands: Promise<void>[] = [];
await Promise.all([inTime(plan.jobs, drop), inTime(plan.disturbances, disturb), delay(FAULTS_MS)]);
// Morning: nothing more goes wrong.
tell("the faults are over");
await cloud.setFaults({ seed: SEED });
fleet.wakeAll();
await Promise.all(commands);
const left = await waitUntilEnded();
const seconds = tell("nothing is left to do");
await watch.stop();
await provider.judged();
const memory = growthOf(fleet.samples().filter(({ at }) => at - startedMs > WARM_UP_MS));
const ofFleet = await fleet.retire();

const { stdout } = await cloud.clipscribe("audit", "--json");
const audit = JSON.parse(stdout || "{}") as {
  ok?: boolean;
  counts?: Record<string, number>;
  problems?: string[];
};
tell("everybody has gone");
const bucket = await checkBucket(reader, { texts, secrets, isTold: true });
const problems = [
  ...(audit.problems ?? ["audit said nothing"]),
  ...bucket.problems,
  ...watch.problems,
  ...left,
  ...ofFleet,
];
tell("the bucket is read");
const { books } = provider;
const isFlat =
  memory !== null &&
  memory.heap_grown_mb <= MAX_HEAP_GROWTH_MB &&
  memory.resident_grown_mb <= MAX_RESIDENT_GROWTH_MB &&
  memory.files_grown <= MAX_FILES_GROWTH;
const pass = audit.ok === true && problems.length === 0 && books.twice === 0 && isFlat;
if (!pass)
  for (const line of [...problems.slice(0, 20), ...fleet.lastErrors()]) console.error(line);
report({
  name: "campaign-night",
  pass,
  seed: SEED,
  plan: createHash("sha256").update(JSON.stringify(plan)).digest("hex").slice(0, 8),
  items: ITEMS,
  seconds,
  counts: audit.counts,
  published: bucket.published,
  ...done,
  ...books,
  looks_at_night: watch.looks,
  of_them_published: watch.published,
  requests: sumOf(/^(?:s3|queues):/),
  faults_of_the_cloud: sumOf(/^fault:|event:dropped/),
  peak_mb: fleet.peakMb(),
  memory,
  problems: problems.length,
});
rmSync(dir, { recursive: true, force: true });

/** Says how far the night is, since a terminal shows nothing else for minutes; returns the seconds. */
function tell(what: string): number {
  const secondsNow = Math.round((Date.now() - startedMs) / 1000);
  console.error(`${String(secondsNow).padStart(4)} s  ${what}`);
  return secondsNow;
}

/** Does each at its time, or as soon as the one before is done. */
async function inTime<Event extends { atMs: number }>(
  events: readonly Event[],
  act: (event: Event) => Promise<void> | void,
): Promise<void> {
  for (const event of events) {
    await delay(Math.max(0, startedMs + event.atMs - Date.now()));
    await act(event);
  }
}

/** As an agent does, which tries again what fails. */
async function drop({ id, lane, items }: NightJob): Promise<void> {
  const folder = join(dir, "media", id);
  mkdirSync(folder, { recursive: true });
  const files = items.map(({ name, ms }) => {
    const path = join(folder, `${name}.mp4`);
    const medium = `medium ${name} of night ${SEED} ms=${ms}\n`;
    writeFileSync(path, medium);
    texts.set(`${id}/${name}`, expectedText(medium, provider.saidTo(medium.trim())));
    return path;
  });
  const tries = { clock: systemClock, random: Math.random, attempts: 12, baseMs: 50, maxMs: 2_000 };
  await submitTo(retrying(cloud.store, tries), id, lane, digest, files);
}

function disturb(each: Disturbance): void {
  if (each.what === "kill") {
    done.kills++;
    fleet.kill(each.slot);
  } else if (each.what === "stop") {
    done.stops++;
    fleet.stop(each.slot);
  } else commands.push(command(each));
}

/** What a person types: it takes as long as it takes, and the night goes on meanwhile. */
async function command(each: Exclude<Disturbance, { slot: number }>): Promise<void> {
  if (each.what === "replay") {
    const target = `${each.job}/${each.item}`;
    const { code } = await cloud.clipscribe("replay", "--pipeline", pipeline, target);
    if (code === 0) done.replays++;
  } else if (await control(each.what, each.job)) {
    done[each.what === "cancel" ? "cancels" : "resumes"]++;
  }
}

/** As a person does: by the job's `control`. */
async function control(verb: "cancel" | "resume", job: string): Promise<boolean> {
  for (let tries = 0; tries < 5; tries++) {
    const { code } = await cloud.clipscribe("batch", verb, job);
    if (code === 0) return true;
  }
  return false;
}

/** Returns what has not ended in time. */
async function waitUntilEnded(): Promise<string[]> {
  for (;;) {
    const waiting = [...(await reader.list("inbox/")), ...(await reader.list("outbox/"))];
    if (waiting.length === 0) return [];
    if (Date.now() - startedMs > MAX_MS) return waiting.map((key) => `${key} has not ended`);
    await delay(1_000);
  }
}

/** Between the medians of the second and the last third; null where there is too little to say. */
function growthOf(
  samples: readonly MemorySample[],
): Record<"heap_mb" | "heap_grown_mb" | "resident_grown_mb" | "files_grown", number> | null {
  type Kind = "heapMb" | "residentMb" | "files";
  const third = Math.floor(samples.length / 3);
  if (third < 5) return null;
  const median = (part: readonly MemorySample[], of: Kind): number =>
    part.map((each) => each[of]).toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0;
  const [middle, last] = [samples.slice(third, 2 * third), samples.slice(-third)];
  const grown = (of: Kind): number => Math.round((median(last, of) - median(middle, of)) * 10) / 10;
  return {
    heap_mb: Math.round(median(last, "heapMb")),
    heap_grown_mb: grown("heapMb"),
    resident_grown_mb: grown("residentMb"),
    files_grown: grown("files"),
  };
}

function sumOf(kind: RegExp): number {
  return Object.entries(counts)
    .filter(([name]) => kind.test(name))
    .reduce((sum, [, count]) => sum + count, 0);
}
