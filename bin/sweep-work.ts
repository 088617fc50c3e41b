/** Scratch folders of runners that were killed: nobody comes back for them. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Removes what lies in `workDir` for processes of this machine, `host`, that are gone. */
export function sweepWork(
  workDir: string,
  host: string,
  isRunning: (pid: number) => boolean = isAlive,
): void {
  let names: string[];
  try {
    names = readdirSync(workDir);
  } catch {
    return;
  }
  for (const name of names) {
    // As compose.ts names runners: host, process, eight random digits.
    const pid = /-(\d{1,10})-[0-9a-f]{8}$/.exec(name)?.[1];
    // Another host's numbers say nothing here.
    if (!name.startsWith(`${host}-${pid}-`) || isRunning(Number(pid))) continue;
    try {
      rmSync(join(workDir, name), { recursive: true, force: true });
    } catch {
      // Another start removes it too, or the disk will not: the next one tries again.
    }
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== "ESRCH";
  }
}
