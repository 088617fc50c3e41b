/** Log lines on stderr: words for a person, JSON for a machine. Nothing secret comes here. */
import { isDiskFull, toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import { safeLine } from "../core/safe-text.ts";
import type { Log, LogDetails, LogLevel } from "../ports/log.ts";

/** A full disk fails every write: it is said once in this time. */
const DISK_FULL_QUIET_MS = 60_000;

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface LogOptions {
  write: (text: string) => void;
  format: "text" | "json";
  level: LogLevel;
}

export function openLog(options: LogOptions, base: LogDetails = {}): Log {
  let saidFullAt = -Infinity;
  const isSaid = (details: LogDetails): boolean => {
    if (!isAboutFullDisk(details)) return false;
    const isQuiet = performance.now() - saidFullAt < DISK_FULL_QUIET_MS;
    if (!isQuiet) saidFullAt = performance.now();
    return isQuiet;
  };
  const add = (level: LogLevel, message: string, details: LogDetails = {}): void => {
    if (RANK[level] < RANK[options.level] || isSaid(details)) return;
    const all = describe({ ...base, ...details });
    if (options.format === "json") {
      options.write(
        `${JSON.stringify({ at: new Date().toISOString(), level, message, ...all })}\n`,
      );
      return;
    }
    const shown = Object.entries(all).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
    options.write(`${level}: ${safeLine(message + shown.join(""), 1_000)}\n`);
  };
  return {
    debug: (message, details) => add("debug", message, details),
    info: (message, details) => add("info", message, details),
    warn: (message, details) => add("warn", message, details),
    error: (message, details) => add("error", message, details),
    with: (details) => openLog(options, { ...base, ...details }),
  };
}

function describe(details: LogDetails): LogDetails {
  const described: LogDetails = {};
  for (const [key, value] of Object.entries(details)) {
    described[key] = value instanceof Error ? toErrorRecord(value).message : value;
  }
  return described;
}

function isAboutFullDisk({ error }: LogDetails): boolean {
  return typeof error === "object" && error !== null && isDiskFull(error as ErrorRecord);
}
