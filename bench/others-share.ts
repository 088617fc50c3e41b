/**
 * How much of the processor went to others while something ran: on a machine that is shared, nobody
 * can have more than they left. Looked at often rather than summed up at the end: what a sandbox has
 * run is in nobody's account once it has ended. What of others comes and goes between two looks is
 * not seen, so they never seem to take more than they do.
 */
import { readFileSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";

const LOOK_MS = 250;
/** Of Linux, wherever Node runs: 100 a second (sysconf(3), _SC_CLK_TCK). */
const TICKS_PER_SECOND = 100;

interface Process {
  /** The same number may be another process later. */
  id: string;
  pid: number;
  parent: number;
  ticks: number;
}

export interface OthersShare extends Disposable {
  /** From 0 to 1 of all cores, since it was opened. */
  read(): number;
}

/** Where there is no /proc, others are taken to do nothing. */
export function openOthersShare(): OthersShare {
  const startedMs = performance.now();
  const ours = new Set<string>();
  const before = new Map<string, number>();
  let theirTicks = 0;
  const look = (isFirst: boolean): void => {
    const all = readProcesses();
    markOurs(all, ours);
    for (const { id, ticks } of all) {
      const since = before.get(id) ?? (isFirst ? ticks : 0);
      if (!ours.has(id)) theirTicks += ticks - since;
      before.set(id, ticks);
    }
  };
  look(true);
  const timer = setInterval(() => look(false), LOOK_MS);
  return {
    read() {
      look(false);
      const seconds = (performance.now() - startedMs) / 1000;
      return theirTicks / TICKS_PER_SECOND / seconds / availableParallelism();
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** Whoever once descended from this process is ours, whoever is its parent later. */
function markOurs(all: readonly Process[], ours: Set<string>): void {
  const children = new Map<number, Process[]>();
  for (const each of all) {
    const siblings = children.get(each.parent) ?? [];
    siblings.push(each);
    children.set(each.parent, siblings);
  }
  const known = all.filter(({ id, pid }) => pid === process.pid || ours.has(id));
  for (const { id, pid } of known) {
    ours.add(id);
    // What is added here is walked through, too.
    for (const child of children.get(pid) ?? []) if (!ours.has(child.id)) known.push(child);
  }
}

function readProcesses(): Process[] {
  let names: string[];
  try {
    names = readdirSync("/proc");
  } catch {
    return [];
  }
  return names.flatMap((name) => (/^\d+$/.test(name) ? (readProcess(name) ?? []) : []));
}

function readProcess(name: string): Process | undefined {
  try {
    // After the name, which may hold anything: state, parent, … utime, stime, … start (proc(5)).
    const [, after = ""] = /\) (.*)$/s.exec(readFileSync(`/proc/${name}/stat`, "utf8")) ?? [];
    const fields = after.split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { id: `${name} ${fields[19]}`, pid: Number(name), parent: Number(fields[1]), ticks };
  } catch {
    // It has ended.
    return undefined;
  }
}
