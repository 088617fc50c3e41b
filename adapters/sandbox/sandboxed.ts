/**
 * Runs one kind of child for ffmpeg, ffprobe and yt-dlp: no shell, a clean environment, stdin
 * closed, its own process group, bounds on time, memory, CPU, output. When the promise settles,
 * the child and all of its children are gone.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";

import { ClipscribeError, asClipscribeError } from "../../core/errors.ts";
import { planSandbox } from "./sandbox-plan.ts";
import type { Confinement, SandboxKind } from "./sandbox-plan.ts";

export interface SandboxedCall extends Confinement {
  timeoutMs: number;
  maxStdoutBytes: number;
  onLine?: ((line: string) => void) | undefined;
  onStdoutLine?: ((line: string) => void) | undefined;
  /** Added to the clean environment. */
  env?: Record<string, string>;
  signal: AbortSignal;
}

export interface SandboxedResult {
  /** Null when a signal ended it. */
  exitCode: number | null;
  endedBy: NodeJS.Signals | null;
  stdout: string;
  /** Its last 64 KiB. */
  stderr: string;
  /** The bound that was reached, if one was. */
  capped: "time" | "output" | null;
}

const MAX_STDERR_CHARS = 64 * 1024;
const MAX_LINE_CHARS = 4_096;
/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 1_000;

export interface Sandbox {
  readonly kind: SandboxKind;
  run(call: SandboxedCall): Promise<SandboxedResult>;
}

export function openSandbox(kind: SandboxKind): Sandbox {
  return { kind, run: (call) => runSandboxed(kind, call) };
}

async function runSandboxed(kind: SandboxKind, call: SandboxedCall): Promise<SandboxedResult> {
  if (call.signal.aborted) throw asClipscribeError(call.signal.reason);
  const { program, args } = planSandbox(kind, call);
  const child = spawn(program, args, {
    cwd: call.writableDir,
    // Only what a program needs to start: no keys, no proxies, no AWS_*, no home.
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin",
      LANG: "C.UTF-8",
      LC_ALL: "C.UTF-8",
      HOME: call.writableDir,
      TMPDIR: call.writableDir,
      ...call.env,
    },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  return watchChild(child, call);
}

function watchChild(child: ChildProcess, call: SandboxedCall): Promise<SandboxedResult> {
  return new Promise((resolve, reject) => {
    const stdout: Buffer[] = [];
    let stdoutBytes = 0;
    let stderr = "";
    let capped: SandboxedResult["capped"] = null;
    let grace: NodeJS.Timeout | undefined;
    const end = (reason: SandboxedResult["capped"]): void => {
      capped ??= reason;
      killGroup(child, "SIGTERM");
      grace ??= setTimeout(() => killGroup(child, "SIGKILL"), GRACE_MS);
    };
    const onAbort = (): void => end(null);
    const timer = setTimeout(() => end("time"), call.timeoutMs);
    call.signal.addEventListener("abort", onAbort, { once: true });
    const stdoutLines = call.onStdoutLine && splitLines(call.onStdoutLine);
    const stderrLines = call.onLine && splitLines(call.onLine);

    child.stdout?.on("data", (chunk: Buffer) => {
      stdoutBytes += chunk.length;
      if (stdoutBytes > call.maxStdoutBytes) return end("output");
      stdout.push(chunk);
      stdoutLines?.(chunk.toString("utf8"));
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      const text = chunk.toString("utf8");
      stderr = (stderr + text).slice(-MAX_STDERR_CHARS);
      stderrLines?.(text);
    });
    const settle = (): void => {
      clearTimeout(timer);
      clearTimeout(grace);
      call.signal.removeEventListener("abort", onAbort);
    };
    child.on("error", (cause) => {
      settle();
      reject(
        new ClipscribeError("config", "a program can't be started", {
          details: { program: call.program },
          hint: "run `clipscribe doctor`: it says what is missing",
          cause,
        }),
      );
    });
    child.on("close", (exitCode, endedBy) => {
      settle();
      // Grandchildren that outlived it, where no namespace takes them along.
      killGroup(child, "SIGKILL");
      if (call.signal.aborted) return reject(asClipscribeError(call.signal.reason));
      resolve({
        exitCode,
        endedBy,
        stdout: Buffer.concat(stdout).toString("utf8"),
        stderr,
        capped,
      });
    });
  });
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}

/** Calls back with each line; `\r` ends one too, as progress lines do. */
function splitLines(onLine: (line: string) => void): (text: string) => void {
  let rest = "";
  return (text) => {
    const lines = (rest + text).split(/\r\n|\n|\r/);
    rest = (lines.pop() ?? "").slice(-MAX_LINE_CHARS);
    for (const line of lines) if (line !== "") onLine(line.slice(0, MAX_LINE_CHARS));
  };
}
