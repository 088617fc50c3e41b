/**
 * The night's batch: 50 videos over a line of 20 Mbit/s, by `batch submit` on a laptop and runners on
 * a server, with providers that hear and read 200 times as fast as people speak. How long until the lid
 * may be closed, and until the last result: audio first, as the pipeline is, and whole videos, as it
 * is without `runs_on: edge`. Both against what nobody can beat: max(CPU, line, providers).
 *
 * Laptop, bucket and server share this machine's cores. The server is given what the laptop leaves, until
 * that is through, and the bound of the last result counts the work of both. Of CPU it counts what no
 * program could leave out: hashing, probing, encoding, each by its plainest command, on all cores at once,
 * as far as others on this machine left them: how much those took is measured and reported.
 *
 * FULL=1: videos of 500 MB and an hour, all of them whole, too; takes hours. ITEMS, WHOLE_ITEMS: fewer.
 */
import { execFileSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { JobId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { ItemState, JobStatus } from "../core/records.ts";
import { openCloudWorld } from "../samples/cloud-world.ts";
import type { CloudWorld } from "../samples/cloud-world.ts";
import { makeOwnProject } from "../samples/own-project.ts";
import { USER } from "../samples/submit-to.ts";
import { chatReply } from "../samples/test-world.ts";
import { startProviderServer } from "../stand-ins/provider-server.ts";
import type { ProviderServer, Received, Reply } from "../stand-ins/provider-server.ts";
import { keepLast } from "./keep-last.ts";
import { openOthersShare } from "./others-share.ts";
import { report, round } from "./measure.ts";
import { runTimed } from "./peers/timed-child.ts";
import { openSlowLink } from "./slow-link.ts";

const FULL = process.env["FULL"] === "1";
const ITEMS = Number(process.env["ITEMS"] ?? 50);
const SECONDS = FULL ? 3_600 : 360;
/** Of the whole videos so many really go; the rest is the same again. */
const WHOLE_ITEMS = Number(
  process.env["WHOLE_ITEMS"] ?? Math.max(1, Math.round(FULL ? ITEMS : ITEMS / 10)),
);
const LINK_BITS_PER_SECOND = 20e6;
/** Speech in a second of sound, for providers. */
const PROVIDER_SPEED = 200;
/** What 24 kbit/s of Opus come to for speech: tells a stand-in how long it would listen. */
const SPEECH_BYTES_PER_SECOND = 2_700;
/** Calls at once, as pipeline.yaml has them. */
const ASR_AT_ONCE = 4;
const LLM_AT_ONCE = 8;
const RUNNERS = 2;
const TARGET = { ratio: 1.3, share: 0.025 };
/** All of it. An arm that has not ended by then has failed, and is reported as far as it came. */
const MAX_MS = FULL ? 12 * 3_600_000 : 9.5 * 60_000;
const WHOLE_MS = FULL ? 0 : 150_000;
const ROOT = join(import.meta.dirname, "..");
/** As it is shipped; made anew below where a source is newer. */
const PROGRAM = join(ROOT, "dist", "main.mjs");
const MEASURED = 4;

execFileSync(join(ROOT, "bin", "clipscribe"), ["version"], { stdio: "ignore" });
const deadlineMs = performance.now() + MAX_MS;
const cores = availableParallelism();
const busyBefore = loadavg()[0] ?? 0;
const dir = mkdtempSync(join(tmpdir(), "clipscribe-batch-"));
try {
  const original = makeOriginal();
  const cpu = measureCpu(original);
  const { size } = cpu;
  const audio = await runArm(
    "audio first",
    { items: ITEMS, untilMs: deadlineMs - WHOLE_MS },
    original,
    (pipeline) => pipeline,
  );
  const whole = await runArm(
    "whole",
    { items: WHOLE_ITEMS, untilMs: deadlineMs },
    original,
    (pipeline) => pipeline.replaceAll(/^ *runs_on: edge.*\n/gm, ""),
  );
  const providersS = (items: number): number =>
    (items * SECONDS) / PROVIDER_SPEED / Math.min(ASR_AT_ONCE, LLM_AT_ONCE);
  const lineS = (bytes: number): number => (bytes * 8) / LINK_BITS_PER_SECOND;
  /** With the cores that others left. */
  const boundOf = (arm: Arm, items: number, bytes: number, lidCpu: number): Bound => {
    const left = 1 - arm.othersShare;
    const allCpu = cpu.hash + cpu.speech + cpu.player;
    return {
      lid: Math.max((items * lidCpu) / left, lineS(items * bytes)),
      last: Math.max((items * allCpu) / left, lineS(items * bytes), providersS(items)),
    };
  };
  const bounds = {
    audio: boundOf(audio, ITEMS, cpu.speechBytes, cpu.hash + cpu.speech),
    whole: boundOf(whole, WHOLE_ITEMS, size, cpu.hash),
  };
  const share = audio.upBytes / (ITEMS * size);
  const times = ITEMS / WHOLE_ITEMS;
  const figures = {
    audio_first: describe(audio, bounds.audio, 1),
    whole: describe(whole, bounds.whole, times),
  };
  const ratios = [figures.audio_first, figures.whole].flatMap(({ lid_ratio, last_ratio }) => [
    lid_ratio,
    last_ratio,
  ]);
  report({
    name: "bench-batch",
    pass:
      ratios.every((ratio) => ratio <= TARGET.ratio) &&
      share <= TARGET.share &&
      audio.complete === ITEMS &&
      whole.complete === WHOLE_ITEMS,
    target: { ratio_to_bound: TARGET.ratio, share_of_bytes: TARGET.share },
    videos: ITEMS,
    megabytes_each: round(size / 1e6),
    minutes_each: SECONDS / 60,
    link_mbit_s: LINK_BITS_PER_SECOND / 1e6,
    percent_of_bytes: round(share * 100),
    ...figures,
    complete: { audio_first: audio.complete, whole: whole.complete },
    whole_items_run: WHOLE_ITEMS,
    cpu_seconds_an_item: {
      hash: round(cpu.hash * cores),
      speech: round(cpu.speech * cores),
      player: round(cpu.player * cores),
    },
    cores,
    load_before: round(busyBefore),
  });
} finally {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

interface Bound {
  lid: number;
  last: number;
}

interface Arm {
  lidS: number;
  lastS: number;
  /** Of all cores, what neither laptop nor bucket nor server had. */
  othersShare: number;
  upBytes: number;
  complete: number;
}

/** `times`: so often what went would go; after the last of them comes what comes after any last one. */
function describe(arm: Arm, bound: Bound, times: number) {
  const lidS = arm.lidS * times;
  const lastS = lidS + arm.lastS - arm.lidS;
  return {
    minutes_until_lid: round(lidS / 60),
    minutes_until_last_result: round(lastS / 60),
    megabytes_up: round((arm.upBytes * times) / 1e6),
    percent_of_cpu_taken_by_others: round(arm.othersShare * 100),
    bound_lid_s: round(bound.lid * times),
    bound_last_s: round(bound.last * times),
    lid_ratio: round(lidS / (bound.lid * times)),
    last_ratio: round(lastS / (bound.last * times)),
  };
}

async function runArm(
  name: string,
  { items, untilMs }: { items: number; untilMs: number },
  original: string,
  edit: (pipeline: string) => string,
): Promise<Arm> {
  const folder = name.replaceAll(" ", "-");
  const media = join(dir, `${folder}-media`);
  mkdirSync(media);
  for (let item = 0; item < items; item++) remux(original, join(media, `talk-${item}.mp4`), item);
  mkdirSync(join(dir, folder));
  const pipeline = makeOwnProject(join(dir, folder), edit);
  await using provider = await startProviderServer(answer);
  await using cloud = await openCloudWorld(pipeline, PROGRAM);
  await using link = await openSlowLink(cloud.emulator.address.s3_endpoint, LINK_BITS_PER_SECOND);
  const runners = Array.from({ length: RUNNERS }, (_, at) =>
    startServer(cloud, provider, `s${at}`),
  );
  using server = keepLast(runners.flatMap(({ pid }) => pid ?? []));
  await Promise.all(runners.map(isReady));
  using others = openOthersShare();
  const startedMs = performance.now();
  const job = await submit(cloud, link.url, { pipeline, media });
  const lidS = (performance.now() - startedMs) / 1000;
  server[Symbol.dispose]();
  console.error(`${name}: the lid may be closed after ${round(lidS)} s`);
  const outcomes = await waitForAll(cloud, job, untilMs);
  const lastS = (performance.now() - startedMs) / 1000;
  const { complete = 0 } = outcomes;
  const othersShare = others.read();
  console.error(`${name}: ${JSON.stringify(outcomes)} after ${round(lastS)} s`);
  for (const why of await listTroubles(cloud, job)) console.error(`${name}: ${why}`);
  const { upBytes } = link;
  await Promise.all(runners.map(end));
  rmSync(media, { recursive: true, force: true });
  return { lidS, lastS, upBytes, complete, othersShare };
}

/** As a person does it. Resolves with the job's id once the command has ended. */
async function submit(
  cloud: CloudWorld,
  endpoint: string,
  { pipeline, media }: { pipeline: string; media: string },
): Promise<string> {
  const args = ["batch", "submit", media, "--vps", "--json", "--pipeline", pipeline];
  const env = { R2_ENDPOINT: endpoint, CLIPSCRIBE_HOME: join(cloud.dir, "laptop") };
  const { stdout } = await runTimed([process.execPath, PROGRAM, ...args], {
    ...cloud.env,
    ...env,
  });
  const end = JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as { job_id?: string };
  if (end.job_id === undefined) throw new Error(`submit named no job: ${stdout.slice(-500)}`);
  return end.job_id;
}

function startServer(cloud: CloudWorld, provider: ProviderServer, name: string): ChildProcess {
  const env = {
    MISTRAL_API_KEY: "m",
    MISTRAL_BASE_URL: provider.url,
    XAI_API_KEY: "x",
    XAI_BASE_URL: provider.url,
    CLIPSCRIBE_LEASE_MS: "",
    CLIPSCRIBE_SWEEP_MS: "",
  };
  const child = cloud.startRunner(name, { env });
  child.stdout?.resume();
  return child;
}

async function isReady(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on("data", (chunk: Buffer) => {
      if (chunk.toString().includes('"ready"')) resolve();
    });
    child.once("close", () => reject(new Error("a runner did not start")));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGTERM");
  await closed;
}

/** Returns how many have which outcome once all have ended, or time is up. */
async function waitForAll(
  cloud: CloudWorld,
  job: string,
  untilMs: number,
): Promise<Record<string, number>> {
  const key = keysOf(USER).status(JobId.parse(job));
  for (let outcomes: Record<string, number> = {}; ;) {
    const found = await cloud.store.get(key).catch(() => undefined);
    if (found !== undefined) {
      const status = JobStatus.parse(JSON.parse(Buffer.from(found.body).toString("utf8")));
      outcomes = {};
      for (const row of Object.values(status.rows)) {
        outcomes[row.status] = (outcomes[row.status] ?? 0) + 1;
      }
      if (status.status === "finished") return outcomes;
    }
    if (performance.now() > untilMs) return outcomes;
    await delay(250);
  }
}

/** Why items are not complete, each reason once. */
async function listTroubles(cloud: CloudWorld, job: string): Promise<Set<string>> {
  const troubles = new Set<string>();
  for await (const { key } of cloud.store.list(
    `${keysOf(USER).metadata(JobId.parse(job)).replace("metadata.json", "items/")}`,
  )) {
    const { body } = await cloud.store.get(key);
    const { data } = ItemState.safeParse(JSON.parse(Buffer.from(body).toString("utf8")));
    if (data?.error != null)
      troubles.add(`${data.status}: ${data.error.message}; ${data.error.cause.join("; ")}`);
  }
  return troubles;
}

/** Hears and reads at 200 times the speed of speech. */
async function answer(request: Received): Promise<Reply> {
  if (request.path.endsWith("/audio/transcriptions")) {
    const bytes = request.fields.find(({ name }) => name === "file")?.bytes ?? 0;
    const seconds = Math.min(SECONDS, Math.max(1, bytes / SPEECH_BYTES_PER_SECOND));
    await delay((seconds / PROVIDER_SPEED) * 1000);
    const count = Math.ceil(seconds / 6);
    const segments = Array.from({ length: count }, (_, at) => ({
      text: `Sentence ${at} of the council meeting is about bridge number ${at % 7}.`,
      start: at * 6,
      end: Math.min(seconds, at * 6 + 5.5),
    }));
    return { body: { language: "en", segments, usage: { prompt_audio_seconds: seconds } } };
  }
  await delay((SECONDS / PROVIDER_SPEED) * 1000);
  const { messages } = request.json as { messages: { content: string }[] };
  const [, id = ""] = /^\[(s\d+) /m.exec(messages.at(-1)?.content ?? "") ?? [];
  const evidence = [{ segment_id: id, quote: "Sentence 0 of the council meeting" }];
  const entities = [{ name: "council", type: "ORG", aliases: [], evidence }];
  return chatReply({ entities, summary: { text: "A council met.", evidence } });
}

/** One encode, longer than a video is: noisy pictures, and the sample's speech over and over. */
function makeOriginal(): string {
  const path = join(dir, "original.mp4");
  const picture = "testsrc2=size=320x180:rate=8,noise=alls=24:allf=t";
  const speech = ["-stream_loop", "-1", "-i", join(ROOT, "samples", "council-meeting.mp4")];
  const video = ["-map", "0:v", "-c:v", "mjpeg", "-q:v", "8"];
  const audio = ["-map", "1:a:0", "-c:a", "aac", "-b:a", "64k"];
  ffmpeg(
    "-f",
    "lavfi",
    "-i",
    picture,
    ...speech,
    ...video,
    ...audio,
    "-t",
    String(SECONDS + ITEMS),
    path,
  );
  return path;
}

/** Another piece of it each time, so that neither pictures nor speech are anybody else's. */
function remux(original: string, path: string, item: number): void {
  const piece = ["-ss", String(item), "-i", original, "-t", String(SECONDS)];
  ffmpeg(...piece, "-map", "0", "-c", "copy", path);
}

interface Cpu {
  /** Seconds an item, with every core at it. */
  hash: number;
  speech: number;
  player: number;
  speechBytes: number;
  /** Of one video: the original is longer. */
  size: number;
}

/**
 * What the plainest commands take of the processor, as many at once as there are cores: nobody can do
 * without. Processor time, not the clock's: what else the machine does is not held against anybody.
 */
function measureCpu(original: string): Cpu {
  const copies = Array.from({ length: MEASURED }, (_, at) => join(dir, `measured-${at}.mp4`));
  for (const [at, path] of copies.entries()) remux(original, path, at);
  const timed = (command: string): number => {
    const all = `xargs -P ${cores} -n 1 sh -c '${command}' -- && times`;
    const out = execFileSync("bash", ["-c", all], { input: copies.join("\n"), encoding: "utf8" });
    // The last line of `times`: user and system time of all that were waited for.
    const spent = [...(out.trim().split("\n").at(-1) ?? "").matchAll(/(\d+)m([\d.]+)s/g)];
    const seconds = spent.reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0);
    return seconds / MEASURED / cores;
  };
  const ff = "ffmpeg -v error -y -nostdin";
  const hash = timed(`sha256sum "$1" > "$1.sum"`);
  const speech = timed(
    `ffprobe -v error -show_streams "$1" > "$1.txt" && ${ff} -i "$1" -vn -ac 1 -ar 16000 -c:a libopus -b:a 24k -application voip "$1.ogg"`,
  );
  const player = timed(`${ff} -i "$1.ogg" -ac 1 -c:a aac -b:a 48k "$1.m4a"`);
  const speechBytes = statSync(`${copies[0]}.ogg`).size;
  const { size } = statSync(copies[0] ?? original);
  for (const path of copies) rmSync(path);
  return { hash, speech, player, speechBytes, size };
}

function ffmpeg(...args: string[]): void {
  execFileSync("ffmpeg", ["-v", "error", "-y", "-nostdin", ...args]);
}
