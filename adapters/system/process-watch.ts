/**
 * Tells whether another process of this machine is gone. A process is its number and the boot it
 * belongs to; a number that another program took over since only makes the wait longer.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname, uptime } from "node:os";

export interface SystemProcesses {
  readonly self: { pid: number; boot: string };
  readonly host: string;
  isGone(process: { pid: number; boot: string }): boolean;
}

export function openProcessWatch(): SystemProcesses {
  const boot = bootId();
  return {
    self: { pid: process.pid, boot },
    host: hostname(),
    isGone(other) {
      const [theirBoot, theirNamespace] = other.boot.split(" ");
      const [ourBoot, ourNamespace] = boot.split(" ");
      if (theirBoot !== ourBoot) return true;
      // Another container's process: its number says nothing here, so its lease decides.
      if (theirNamespace !== ourNamespace) return false;
      try {
        process.kill(other.pid, 0);
        return false;
      } catch (error) {
        return (error as { code?: string }).code === "ESRCH";
      }
    },
  };
}

/**
 * Linux names each boot, and each pid namespace (containers count from 1); elsewhere the boot's
 * time, to ten seconds, since uptime drifts a little.
 */
function bootId(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return `up-since-${Math.round((Date.now() / 1000 - uptime()) / 10)}`;
  }
}
