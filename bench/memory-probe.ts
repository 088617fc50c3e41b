/**
 * Loaded into a process beside its own code (`--import`): says what its memory comes to, with the
 * garbage gone, and how many files it has open. What a process holds on to is its heap after a collection; its resident size also
 * tells of garbage that nobody had a reason to collect yet.
 */
import { appendFileSync, existsSync, readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

const EVERY_MS = 2_000;
/** Linux. */
const OPEN_FILES = "/proc/self/fd";

const file = process.env["CLIPSCRIBE_MEMORY_PROBE"];
if (isMainThread && file !== undefined) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setInterval(() => {
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    const files = existsSync(OPEN_FILES) ? readdirSync(OPEN_FILES).length : 0;
    const sample = { at: Date.now(), heapUsed, external, rss, files };
    appendFileSync(file, `${JSON.stringify(sample)}\n`);
  }, EVERY_MS).unref();
}
