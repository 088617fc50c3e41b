/**
 * make bench-watch: an inbox of 100,000 files. How long until a watcher is ready, what it holds in
 * memory, how soon it tells of one new file, of a thousand at once, and of twenty thousand while it
 * could not listen (the kernel's queue overflows then); beside chokidar, @parcel/watcher and
 * fs.watch, in turns. Then the agent itself: from a drop to its ticket, beyond the settling time.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { build } from "esbuild";

import { measureTickets } from "./drops/measure-tickets.ts";
import { median, report, round } from "./measure.ts";

const FILES = Number(process.env["FILES"] ?? 100_000);
const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const FOLDERS = 500;
const SINGLES = 60;
const BURST = 1_000;
const OVERFLOW = 20_000;
/** Who has not told of a file by then has missed it. */
const MISSED_MS = 8_000;
const TARGET = { readyMs: 1_000, rssMb: 120, p50Ms: 15, burstMs: 400 };
const KINDS = ["own", "chokidar", "parcel", "fs.watch"] as const;
type Kind = (typeof KINDS)[number];

interface Sample {
  readyMs: number;
  rssMb: number;
  maxRssMb: number;
  singlesMs: number[];
  burstMs: number;
  /** What the writing alone took. */
  burstWriteMs: number;
  missed: number;
  overflowMissed: number;
  overflowMs: number;
}

const nowMs = (): number => performance.timeOrigin + performance.now();
const dir = mkdtempSync(join(tmpdir(), "clipscribe-watch-"));
const root = join(dir, "inbox");
const watchers = join(import.meta.dirname, "..", ".tools", "watchers", "package.json");
let next = 0;

function fill(): void {
  mkdirSync(root);
  const inTop = Math.floor(FILES / 20);
  for (let at = 0; at < inTop; at++) writeFileSync(join(root, `video ${at}.mp4`), "");
  const each = (FILES - inTop) / FOLDERS;
  for (let folder = 0; folder < FOLDERS; folder++) {
    mkdirSync(join(root, `talks ${folder}`));
    for (let at = 0; at < each; at++) {
      writeFileSync(join(root, `talks ${folder}`, `talk ${at}.mp4`), "");
    }
  }
}

interface Watched {
  child: ChildProcess;
  ready: Promise<{ readyMs: number; rssMb: number }>;
  seen: Map<string, number>;
  maxRssMb(): number;
}

function start(kind: Kind): Watched {
  const child = spawn(process.execPath, [script, kind, root, watchers], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const seen = new Map<string, number>();
  const ready = Promise.withResolvers<{ readyMs: number; rssMb: number }>();
  let maxRssMb = 0;
  child.on("message", (message: Record<string, unknown>) => {
    if ("readyMs" in message) ready.resolve(message as { readyMs: number; rssMb: number });
    if ("maxRssMb" in message) maxRssMb = message["maxRssMb"] as number;
    for (const [path, atMs] of (message["seen"] as [string, number][] | undefined) ?? []) {
      if (!seen.has(path)) seen.set(path, atMs);
    }
  });
  child.once("exit", () => ready.reject(new Error(`${kind} ended by itself`)));
  return { child, ready: ready.promise, seen, maxRssMb: () => maxRssMb };
}

const newName = (): string => {
  const at = next++;
  return at % 2 === 0 ? `new ${at}.mp4` : `talks ${at % FOLDERS}/new ${at}.mp4`;
};

async function waitFor(seen: ReadonlyMap<string, number>, names: readonly string[]): Promise<void> {
  for (const untilMs = nowMs() + MISSED_MS; nowMs() < untilMs;) {
    if (names.every((name) => seen.has(name))) return;
    await delay(5);
  }
}

async function measure(kind: Kind): Promise<Sample> {
  const watched = start(kind);
  const { child, seen } = watched;
  const { readyMs, rssMb } = await watched.ready;
  const singlesMs: number[] = [];
  let missed = 0;
  for (let at = 0; at < SINGLES; at++) {
    await delay(20 + Math.random() * 30);
    const name = newName();
    const beganMs = nowMs();
    writeFileSync(join(root, name), "");
    await waitFor(seen, [name]);
    const atMs = seen.get(name);
    if (atMs === undefined) missed++;
    else singlesMs.push(atMs - beganMs);
  }
  const burst = await dropMany(seen, BURST, () => undefined);
  missed += burst.missed;
  child.kill("SIGSTOP");
  const overflow = await dropMany(seen, OVERFLOW, () => child.kill("SIGCONT"));
  const maxRssMb = watched.maxRssMb();
  child.removeAllListeners("exit");
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await ended;
  for (const name of [...burst.names, ...overflow.names]) rmSync(join(root, name), { force: true });
  return {
    readyMs,
    rssMb,
    maxRssMb,
    singlesMs,
    burstMs: burst.ms,
    burstWriteMs: burst.writeMs,
    missed,
    overflowMissed: overflow.missed,
    overflowMs: overflow.ms - overflow.writeMs,
  };
}

/** From the first write to the last of them that was told. */
async function dropMany(
  seen: ReadonlyMap<string, number>,
  count: number,
  afterwards: () => void,
): Promise<{ ms: number; writeMs: number; missed: number; names: string[] }> {
  const names = Array.from({ length: count }, newName);
  const beganMs = nowMs();
  for (const name of names) writeFileSync(join(root, name), "");
  const writeMs = nowMs() - beganMs;
  afterwards();
  await waitFor(seen, names);
  const times = names.flatMap((name) => seen.get(name) ?? []);
  const lastMs = times.reduce((most, each) => Math.max(most, each), beganMs);
  return { ms: lastMs - beganMs, writeMs, missed: count - times.length, names };
}

// Bundled, as the command line is: taking types off costs memory that is nobody's.
const script = join(dir, "watch-child.mjs");
await build({
  entryPoints: [join(import.meta.dirname, "drops", "watch-child.ts")],
  outfile: script,
  bundle: true,
  format: "esm",
  platform: "node",
  logLevel: "warning",
});
fill();
const samples = new Map<Kind, Sample[]>(KINDS.map((kind) => [kind, []]));
for (let turn = 0; turn < ROUNDS; turn++) {
  for (const kind of KINDS) {
    console.error(`round ${turn + 1} of ${ROUNDS}: ${kind} …`);
    samples.get(kind)?.push(await measure(kind));
  }
}
rmSync(dir, { recursive: true, force: true });

const figures = Object.fromEntries(
  [...samples].map(([kind, each]) => [
    kind,
    {
      ready_s: round(median(each.map(({ readyMs }) => readyMs)) / 1000),
      rss_mb: round(median(each.map(({ rssMb }) => rssMb))),
      max_rss_mb: round(median(each.map(({ maxRssMb }) => maxRssMb))),
      detection_p50_ms: round(median(each.flatMap(({ singlesMs }) => singlesMs))),
      burst_s: round(median(each.map(({ burstMs }) => burstMs)) / 1000),
      burst_write_s: round(median(each.map(({ burstWriteMs }) => burstWriteMs)) / 1000),
      missed: each.reduce((sum, { missed }) => sum + missed, 0),
      overflow_missed: each.reduce((sum, { overflowMissed }) => sum + overflowMissed, 0),
      overflow_s: round(median(each.map(({ overflowMs }) => overflowMs)) / 1000),
    },
  ]),
);
const own = figures["own"];
const tickets = await measureTickets();
const pass =
  own !== undefined &&
  own.ready_s * 1000 <= TARGET.readyMs &&
  own.rss_mb <= TARGET.rssMb &&
  own.detection_p50_ms <= TARGET.p50Ms &&
  own.burst_s * 1000 <= TARGET.burstMs &&
  own.missed + own.overflow_missed === 0;
report({
  name: "bench-watch",
  pass,
  files: FILES,
  rounds: ROUNDS,
  ...figures,
  drop_to_ticket: tickets,
});
