/**
 * Loaded into a process beside its own code (`--import`): says what its memory comes to, with the
 * garbage gone. What a process holds on to is its heap after a collection; its resident size also
 * tells of garbage that nobody had a reason to collect yet.
 */
import { appendFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

const EVERY_MS = 2_000;

const file = process.env["CLIPSCRIBE_MEMORY_PROBE"];
if (isMainThread && file !== undefined) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setInterval(() => {
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    appendFileSync(file, `${JSON.stringify({ at: Date.now(), heapUsed, external, rss })}\n`);
  }, EVERY_MS).unref();
}
