/**
 * Processes that get what others leave of the processor, with everything that they start. Niceness is
 * not enough: Linux weighs sessions against each other first (sched(7), autogroup), and each sandboxed
 * ffmpeg is a session of its own, as good as any other.
 */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";

const LOWEST = 19;
/** So long a new session may be as good as any other. */
const LOOK_MS = 200;

/**
 * Until it is disposed of: then they are as good as any other again, if this process may say so. Where
 * there are no autogroups, niceness alone does it.
 */
export function keepLast(pids: readonly number[]): Disposable {
  const done = new Set<number>();
  // Their own session is that of who started them, and of everybody else whom that has started.
  const { session: ours } = readProcess(process.pid);
  for (const pid of pids) setPriority(pid, LOWEST);
  const look = (): void => {
    for (const { pid, session } of descendantsOf(pids)) {
      if (session === ours || done.has(session)) continue;
      try {
        writeFileSync(`/proc/${pid}/autogroup`, `${LOWEST}`);
        done.add(session);
      } catch {
        // It has ended, or there are no autogroups.
      }
    }
  };
  const timer = setInterval(look, LOOK_MS);
  let isOver = false;
  return {
    [Symbol.dispose]() {
      if (isOver) return;
      isOver = true;
      clearInterval(timer);
      for (const { pid } of descendantsOf(pids)) raise(pid);
    },
  };
}

/** Only root may; what has ended meanwhile needs nothing. */
function raise(pid: number): void {
  for (const give of [
    () => setPriority(pid, 0),
    () => writeFileSync(`/proc/${pid}/autogroup`, "0"),
  ]) {
    try {
      give();
    } catch {
      // It stays the last.
    }
  }
}

interface Process {
  pid: number;
  parent: number;
  session: number;
}

function descendantsOf(roots: readonly number[]): Process[] {
  const all = readPids().map(readProcess);
  const found = all.filter(({ pid }) => roots.includes(pid));
  for (const { pid } of found) found.push(...all.filter(({ parent }) => parent === pid));
  return found;
}

function readPids(): number[] {
  try {
    return readdirSync("/proc").map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

function readProcess(pid: number): Process {
  try {
    // After the name, which may hold anything: state, parent, group, session.
    const [, after = ""] = /\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    const [, parent = "0", , session = "0"] = after.split(" ");
    return { pid, parent: Number(parent), session: Number(session) };
  } catch {
    return { pid, parent: 0, session: 0 };
  }
}
