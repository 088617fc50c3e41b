/** Whether a process of this machine is over: what it left half done is gone on with. */
import { openProcessWatch } from "../adapters/system/process-watch.ts";

export function isGone(pid: number): boolean {
  const processes = openProcessWatch();
  return processes.isGone({ pid, boot: processes.self.boot });
}
