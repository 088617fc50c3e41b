/** Runs commands side by side, in turns, and gives medians: order and warm caches favour nobody. */
import { spawnSync } from "node:child_process";

export interface Contestant {
  name: string;
  command: string[];
  cwd?: string;
  env?: Record<string, string | undefined>;
  /** Before each run, not timed. */
  prepare?: () => void;
  /** Exit codes that count as done; default 0. */
  accept?: number[];
}

export interface Measured {
  name: string;
  medianMs: number;
  runsMs: number[];
}

export function measureInTurns(
  contestants: readonly Contestant[],
  rounds: number,
  budgetMs: number,
): Measured[] {
  const runs = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  const startedMs = performance.now();
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) {
      if (performance.now() - startedMs > budgetMs && (runs.get(contestant.name)?.length ?? 0) > 0)
        continue;
      runs.get(contestant.name)?.push(measureOnce(contestant));
    }
  }
  return [...runs].map(([name, runsMs]) => ({
    name,
    medianMs: median(runsMs),
    runsMs: runsMs.map(Math.round),
  }));
}

function measureOnce({ name, command, cwd, env, prepare, accept = [0] }: Contestant): number {
  prepare?.();
  const [program = "", ...args] = command;
  const before = performance.now();
  const end = spawnSync(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 256 * 1024 * 1024,
  });
  const took = performance.now() - before;
  if (end.status === null || !accept.includes(end.status)) {
    throw new Error(
      `${name} ended with ${end.status ?? end.signal}: ${end.stderr.toString().slice(-500)}${end.stdout.toString().slice(-300)}`,
    );
  }
  return took;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** The one line on stdout; `pass` is what the target says, no more. */
export function report(result: { name: string; pass: boolean } & Record<string, unknown>): void {
  console.log(JSON.stringify(result));
  process.exitCode = result.pass ? 0 : 1;
}
