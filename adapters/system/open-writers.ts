/**
 * Whether a program of this machine has a file open for writing: a copy that pauses looks settled to
 * everybody else. Linux tells by /proc, macOS by lsof; where neither does, nobody is said to write.
 * Only programs of the same person are seen, and none of other machines.
 */
import { execFile } from "node:child_process";
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { promisify } from "node:util";

import { systemClock } from "./system-clock.ts";

/** One walk through /proc answers for all that are asked about within this time, and were there before it. */
const FRESH_MS = 250;
const LSOF_MS = 5_000;
/** O_WRONLY, O_RDWR: the last two bits of the flags, in octal. */
const WRITE_BITS = 0o3;

export interface OpenWriters {
  /** `sinceMs`, of the same clock: since when the file has been as it is. A look from before says nothing. */
  has(path: string, sinceMs: number): Promise<boolean>;
}

export interface WriterProbes {
  platform: NodeJS.Platform;
  nowMs: () => number;
  /** Paths that other processes have open for writing. */
  walkProc: () => Set<string>;
  /** What `lsof -F` prints: a line `a` and a letter for each access. */
  lsof: (path: string) => Promise<string>;
}

export function openWriters(
  platform: NodeJS.Platform,
  probes: Partial<WriterProbes> = {},
): OpenWriters {
  const { nowMs = systemClock.monotonicMs, walkProc = walkProcFs, lsof = runLsof } = probes;
  let walked: { atMs: number; paths: Set<string> } | undefined;
  return {
    async has(path, sinceMs) {
      if (platform === "linux") {
        const isFresh = (atMs: number): boolean => atMs >= sinceMs && nowMs() - atMs <= FRESH_MS;
        if (walked === undefined || !isFresh(walked.atMs)) {
          walked = { atMs: nowMs(), paths: walkProc() };
        }
        return walked.paths.has(path);
      }
      if (platform !== "darwin") return false;
      try {
        return /^a[wu]/m.test(await lsof(path));
      } catch {
        // It ends with 1 where nobody has the file open.
        return false;
      }
    },
  };
}

function walkProcFs(): Set<string> {
  const paths = new Set<string>();
  for (const pid of namesIn("/proc")) {
    if (!/^\d+$/.test(pid) || pid === `${process.pid}`) continue;
    for (const fd of namesIn(`/proc/${pid}/fd`)) {
      try {
        const path = readlinkSync(`/proc/${pid}/fd/${fd}`);
        if (!path.startsWith("/") || path.startsWith("/dev/") || path.startsWith("/proc/"))
          continue;
        const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"));
        if ((Number.parseInt(flags?.[1] ?? "0", 8) & WRITE_BITS) !== 0) paths.add(path);
      } catch {
        // It was closed meanwhile.
      }
    }
  }
  return paths;
}

/** Nothing where it may not be read: another's process. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

async function runLsof(path: string): Promise<string> {
  const { stdout } = await promisify(execFile)("/usr/sbin/lsof", ["-n", "-w", "-Fa", "--", path], {
    timeout: LSOF_MS,
    env: { PATH: "/usr/bin:/bin:/usr/sbin" },
  });
  return stdout;
}
