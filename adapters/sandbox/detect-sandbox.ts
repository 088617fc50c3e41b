/** Finds the strongest sandbox that works here, by trying: containers often allow less. */
import { spawnSync } from "node:child_process";

import { planSandbox } from "./sandbox-plan.ts";
import type { SandboxKind } from "./sandbox-plan.ts";

/** A probe that takes longer counts as not working. */
const PROBE_MS = 5_000;

const CANDIDATES: Partial<Record<NodeJS.Platform, readonly SandboxKind[]>> = {
  linux: ["bubblewrap", "namespaces"],
  darwin: ["sandbox-exec"],
};

export interface DetectOptions {
  platform: NodeJS.Platform;
  /** Runs a command line; true if it exits with 0. */
  works?: (program: string, args: readonly string[]) => boolean;
}

export function detectSandbox({ platform, works = exitsWell }: DetectOptions): SandboxKind {
  for (const kind of CANDIDATES[platform] ?? []) {
    const { program, args } = planSandbox(kind, {
      program: "/bin/sh",
      args: ["-c", "exit 0"],
      readable: [],
      writableDir: "/tmp",
      network: "none",
      caps: { memoryBytes: 1 << 30, cpuSeconds: 5, fileBytes: 1 << 20 },
    });
    if (works(program, args)) return kind;
  }
  return "caps";
}

/** One sentence for `clipscribe doctor`. */
export function describeSandbox(kind: SandboxKind): string {
  switch (kind) {
    case "bubblewrap":
      return "bubblewrap: no network, no home folder, only the named files; bounded";
    case "sandbox-exec":
      return "sandbox-exec: no network, no home folder; bounded in time and output";
    case "namespaces":
      return "network namespace: no network; bounded. Install bubblewrap to hide the home folder";
    case "caps":
      return "bounds on time, memory and output alone: only process files that you trust";
  }
}

function exitsWell(program: string, args: readonly string[]): boolean {
  const { status } = spawnSync(program, args, { stdio: "ignore", timeout: PROBE_MS });
  return status === 0;
}
