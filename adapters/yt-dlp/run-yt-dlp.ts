/** yt-dlp as a sandboxed child whose only network is the egress proxy, open as long as it runs. */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";

import { openEgressProxy } from "../egress/egress-proxy.ts";
import type { EgressOptions } from "../egress/egress-proxy.ts";
import { detectSandbox } from "../sandbox/detect-sandbox.ts";
import { openSandbox } from "../sandbox/sandboxed.ts";
import type { Sandbox, SandboxedResult } from "../sandbox/sandboxed.ts";
import { ENVIRONMENT, MAX_DOWNLOAD_BYTES } from "./yt-dlp-arguments.ts";

const VERSION_TIMEOUT_MS = 20_000;
const MAX_MEMORY_BYTES = 4 * 1024 ** 3;
const MAX_STDOUT_BYTES = 64 * 1024 * 1024;

export interface YtDlpCall {
  program: string;
  args: (proxy: string) => string[];
  dir: string;
  timeoutMs: number;
  signal: AbortSignal;
}

export interface YtDlpResult extends SandboxedResult {
  /** Hosts in a private network that it was led to, and did not reach. */
  refusedHosts: readonly string[];
}

export interface YtDlp {
  run(call: YtDlpCall, onStdoutLine?: (line: string) => void): Promise<YtDlpResult>;
  /** As it says itself; empty where it does not start. */
  version(call: Pick<YtDlpCall, "program" | "dir" | "signal">): Promise<string>;
}

export function openYtDlp(platform: NodeJS.Platform, egress: EgressOptions): YtDlp {
  let opened: Sandbox | undefined;
  const sandbox = (): Sandbox => (opened ??= openSandbox(detectSandbox({ platform })));
  const common = ({ program, dir, signal }: Pick<YtDlpCall, "program" | "dir" | "signal">) => ({
    program,
    signal,
    readable: filesOfProgram(program),
    writableDir: dir,
    maxStdoutBytes: MAX_STDOUT_BYTES,
    env: ENVIRONMENT,
  });
  const caps = (timeoutMs: number) => ({
    memoryBytes: MAX_MEMORY_BYTES,
    cpuSeconds: Math.ceil(timeoutMs / 1000),
    fileBytes: MAX_DOWNLOAD_BYTES,
  });
  return {
    async run(call, onStdoutLine) {
      await using proxy = await openEgressProxy(egress);
      const result = await sandbox().run({
        ...common(call),
        args: call.args(proxy.url),
        network: { port: proxy.port, socket: proxy.socket, node: process.execPath },
        caps: caps(call.timeoutMs),
        timeoutMs: call.timeoutMs,
        onStdoutLine,
      });
      return { ...result, refusedHosts: [...proxy.refused] };
    },
    async version(call) {
      const asked = sandbox().run({
        ...common(call),
        args: ["--version"],
        network: "none",
        caps: caps(VERSION_TIMEOUT_MS),
        timeoutMs: VERSION_TIMEOUT_MS,
      });
      const { stdout } = await asked.catch(() => ({ stdout: "" }));
      return stdout.trim();
    },
  };
}

/**
 * What a program needs of folders that the sandbox hides: one that pipx has installed lies, with its
 * packages, in the home folder.
 */
export function filesOfProgram(program: string): string[] {
  const real = realpathSync(program);
  const root = dirname(dirname(real));
  const config = join(root, "pyvenv.cfg");
  if (!existsSync(config)) return [...new Set([program, real])];
  const home = /^home\s*=\s*(.+)$/m.exec(readFileSync(config, "utf8"))?.[1]?.trim();
  // The interpreter's own folder; the link to it is in the environment.
  const python = home === undefined || !existsSync(home) ? [] : [dirname(realpathSync(home))];
  return [...new Set([program, root, ...python])].filter((path) => path !== "/" && path !== "/usr");
}
