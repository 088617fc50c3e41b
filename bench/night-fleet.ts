/**
 * The runners of a night, as processes. A slot is a server: who is killed there is started again in
 * the same home; who is stopped past its lease is replaced by another server, and woken as a zombie.
 */
import type { ChildProcess } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { EXIT } from "../core/exit-codes.ts";
import type { CloudWorld } from "../samples/cloud-world.ts";

/** A time in which a process did nothing; a killed one does nothing ever after. */
export interface Absence {
  fromMs: number;
  toMs: number;
}

/** A runner's process: its name is new at each start. */
interface Worker {
  name: string;
  home: string;
  child: ChildProcess;
  /** Of the runners that it was. */
  runnerIds: string[];
  /** When it was killed, or stopped and woken. */
  absences: Absence[];
  isStopped: boolean;
  /** What it said last. */
  lines: string[];
}

/** What a process that nobody disturbs holds on to, from one look to the next. */
export interface MemorySample {
  at: number;
  heapMb: number;
  residentMb: number;
  /** Open files, sockets among them. */
  files: number;
}

export interface NightFleet {
  /** Of the one that is never disturbed. */
  samples(): MemorySample[];
  peakMb(): number;
  about(name: string): { absences: readonly Absence[]; runnerIds: readonly string[] };
  kill(slot: number): void;
  stop(slot: number): void;
  killAll(): void;
  /** Wakes who is stopped, and sees that every slot has a living runner. */
  wakeAll(): void;
  /** Lets all end by themselves; what they said that they should not, and left that they should not. */
  retire(): Promise<string[]>;
  lastErrors(): string[];
}

export interface NightFleetOptions {
  cloud: CloudWorld;
  slots: number;
  leaseMs: number;
  providerUrl: string;
  providerKey: string;
  /** No line that a runner says may hold one. */
  secrets: readonly string[];
  /** A folder that keeps every line, a file a process. */
  logs: string | undefined;
}

/** Stopped for so many leases: others have taken over what it had. */
const STOPPED_LEASES = 2.5;
/** What is under way when it is told to stop may take so long, and ten seconds more to close. */
const DRAIN_S = 5;
/** Five more for a machine that is busy. */
const MAX_END_MS = 20_000;
const LINES_KEPT = 8;

export function startNightFleet(options: NightFleetOptions): NightFleet {
  const { cloud, leaseMs, logs } = options;
  if (logs !== undefined) mkdirSync(logs, { recursive: true });
  const workers: Worker[] = [];
  const slots: Worker[] = [];
  const said: string[] = [];
  const leaked: string[] = [];
  const ended: string[] = [];
  let isOver = false;
  const probe = join(cloud.dir, "memory.jsonl");
  const peaks = [0];
  let homes = 0;

  function start(home: string, more: Record<string, string> = {}): Worker {
    const name = `runner-${workers.length}`;
    const child = cloud.startRunner(home, {
      args: ["--drain", String(DRAIN_S)],
      env: {
        XAI_API_KEY: options.providerKey,
        // Each asks under an address of its own: the books know who was told what.
        XAI_BASE_URL: `${options.providerUrl}/${name}`,
        CLIPSCRIBE_LEASE_MS: String(leaseMs),
        ...more,
      },
    });
    const worker: Worker = {
      name,
      home,
      child,
      runnerIds: [],
      absences: [],
      isStopped: false,
      lines: [],
    };
    for (const stream of [child.stdout, child.stderr]) {
      let rest = "";
      stream?.on("data", (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) hear(worker, line);
      });
    }
    child.once("close", (code) => {
      if (isOver || worker.absences.length > 0) return;
      // As a supervisor does. That it has to is a finding, but where the store refused the start.
      if (code !== EXIT.unreachable)
        ended.push(`${name} ended by itself with ${code}: ${worker.lines.join("\n  ")}`);
      const next = start(home, more);
      const slot = slots.indexOf(worker);
      if (slot !== -1) slots[slot] = next;
    });
    workers.push(worker);
    return worker;
  }

  function hear(worker: Worker, line: string): void {
    worker.lines.push(line);
    if (worker.lines.length > LINES_KEPT) worker.lines.shift();
    keep(worker, line);
    const id = /"ready".*"runner":"([^"]+)"|"runner":"([^"]+)".*"ready"/.exec(line);
    const runnerId = id?.[1] ?? id?.[2];
    if (runnerId !== undefined) worker.runnerIds.push(runnerId);
    if (/"level":"error"/.test(line)) said.push(line);
    if (options.secrets.some((secret) => line.includes(secret))) {
      leaked.push(`${worker.name} says a secret: ${line.slice(0, 200)}`);
    }
  }

  function keep({ name }: Worker, line: string): void {
    if (logs !== undefined) appendFileSync(join(logs, `${name}.jsonl`), `${line}\n`);
  }

  const newHome = (): string => `home-${homes++}`;
  const preload = pathToFileURL(join(import.meta.dirname, "memory-probe.ts")).href;
  start(newHome(), {
    CLIPSCRIBE_MEMORY_PROBE: probe,
    NODE_OPTIONS: `--import=${preload}`,
  });
  for (let slot = 0; slot < options.slots; slot++) slots.push(start(newHome()));

  return {
    samples: () => readSamples(probe),
    peakMb: () => Math.max(...peaks, ...readSamples(probe).map(({ residentMb }) => residentMb)),
    about(name) {
      const { absences = [], runnerIds = [] } = workers.find((each) => each.name === name) ?? {};
      return { absences, runnerIds };
    },
    kill(slot) {
      const worker = slots[slot];
      if (worker === undefined) return;
      peaks.push(residentMb(worker));
      worker.absences.push({ fromMs: Date.now(), toMs: Infinity });
      keep(worker, "killed");
      worker.child.kill("SIGKILL");
      slots[slot] = start(worker.home);
    },
    stop(slot) {
      const worker = slots[slot];
      if (worker === undefined) return;
      peaks.push(residentMb(worker));
      worker.absences.push({ fromMs: Date.now(), toMs: Infinity });
      worker.isStopped = true;
      keep(worker, "stopped");
      worker.child.kill("SIGSTOP");
      slots[slot] = start(newHome());
      void delay(leaseMs * STOPPED_LEASES).then(() => wake(worker));
    },
    killAll() {
      isOver = true;
      for (const { child } of workers) child.kill("SIGKILL");
    },
    wakeAll() {
      for (const worker of workers) wake(worker);
      for (const [slot, worker] of slots.entries()) {
        if (!isUp(worker)) slots[slot] = start(worker.home);
      }
    },
    async retire() {
      isOver = true;
      const living = workers.filter(isUp);
      for (const { child } of living) child.kill("SIGTERM");
      await Promise.all(living.map(waitForEnd));
      const stuck = living
        .filter(isUp)
        .map(({ name, lines }) => `${name} did not end on SIGTERM: ${lines.join("\n  ")}`);
      const homesLeft = [...new Set(living.map(({ home }) => home))];
      return [
        ...stuck,
        ...ended,
        ...leaked,
        ...homesLeft.flatMap((home) => leftIn(cloud.dir, home)),
      ];
    },
    lastErrors: () => said.slice(-5),
  };
}

function wake(worker: Worker): void {
  if (!worker.isStopped) return;
  worker.isStopped = false;
  const last = worker.absences.at(-1);
  if (last !== undefined) last.toMs = Date.now();
  worker.child.kill("SIGCONT");
}

function isUp({ child }: Worker): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function waitForEnd(worker: Worker): Promise<void> {
  const closed = new Promise((resolve) => worker.child.once("close", resolve));
  await Promise.race([closed, delay(MAX_END_MS)]);
}

/** Scratch of work that nobody does any more: a server's next start, or its end, removes it. */
function leftIn(dir: string, home: string): string[] {
  const work = join(dir, home, "work");
  const names = existsSync(work) ? readdirSync(work) : [];
  return names.map((name) => `${home} still holds the scratch folder ${name}`);
}

function readSamples(file: string): MemorySample[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => {
    const { at, heapUsed, external, rss, files } = JSON.parse(line) as Record<string, number>;
    return {
      at: at ?? 0,
      heapMb: ((heapUsed ?? 0) + (external ?? 0)) / 1e6,
      residentMb: Math.round((rss ?? 0) / 1e6),
      files: files ?? 0,
    };
  });
}

function residentMb({ child }: Worker): number {
  try {
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}
