/** Runs a program and tells how long it took and how much CPU it and its children used. */
import { spawn } from "node:child_process";

export interface Timed {
  ms: number;
  cpuSeconds: number;
  stdout: string;
}

/** @throws where it does not end with 0. */
export async function runTimed(
  command: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Timed> {
  // Node tells nothing of a child's CPU; the shell's own `time` does.
  const script = 'TIMEFORMAT="cpu %U %S"; time "$@"';
  const child = spawn("bash", ["-c", script, "timed", ...command], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const before = performance.now();
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  const ms = performance.now() - before;
  if (code !== 0) throw new Error(`${command.slice(0, 3).join(" ")}: ${stderr.slice(-800)}`);
  const [, user = "0", system = "0"] = /cpu ([\d.]+) ([\d.]+)\s*$/.exec(stderr) ?? [];
  return { ms, cpuSeconds: Number(user) + Number(system), stdout };
}
