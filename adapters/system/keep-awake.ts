/**
 * Keeps a Mac from falling asleep by itself while something is on its way; closing the lid still
 * sends it to sleep. `-w` ends it with this process, however that ends. Elsewhere nothing happens:
 * desktops that sleep on their own are rare there, and ask.
 */
import { spawn } from "node:child_process";

export interface KeepAwake extends Disposable {
  /** Idempotent: called as often as anything changes. */
  set(isBusy: boolean): void;
}

/** Pure: the command line; undefined where there is none. */
export function planKeepAwake(platform: NodeJS.Platform, pid: number): string[] | undefined {
  return platform === "darwin" ? ["/usr/bin/caffeinate", "-i", "-w", `${pid}`] : undefined;
}

/** `start` begins a command and returns how to end it. */
export function openKeepAwake(
  platform: NodeJS.Platform,
  start: (command: readonly string[]) => () => void = startQuietly,
): KeepAwake {
  const command = planKeepAwake(platform, process.pid);
  let stop: (() => void) | undefined;
  const set = (isBusy: boolean): void => {
    if (isBusy && command !== undefined) stop ??= start(command);
    if (isBusy) return;
    stop?.();
    stop = undefined;
  };
  return { set, [Symbol.dispose]: () => set(false) };
}

function startQuietly([program = "", ...args]: readonly string[]): () => void {
  const child = spawn(program, args, { stdio: "ignore", env: { PATH: "/usr/bin:/bin" } });
  // Without it the machine may sleep, and the upload goes on when it wakes.
  child.once("error", () => undefined);
  return () => void child.kill();
}
