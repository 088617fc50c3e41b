/** Where this installation's own files lie: the checkout, or its bundle under dist/. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";

export const INSTALL_ROOT = join(import.meta.dirname, "..");
const isBundle = basename(import.meta.dirname) === "dist";

/** The entry of a stage's thread. */
export const WORKER_PATH = isBundle
  ? join(INSTALL_ROOT, "dist", "stage-worker.mjs")
  : join(INSTALL_ROOT, "runner", "stage-worker.ts");

/** The entry of a thread that computes hashes. */
export const DIGEST_THREAD_PATH = isBundle
  ? join(INSTALL_ROOT, "dist", "digest-thread.mjs")
  : join(INSTALL_ROOT, "adapters", "system", "digest-thread.ts");

/** The entry of a thread that writes for a disk store under load. */
export const WRITE_THREAD_PATH = isBundle
  ? join(INSTALL_ROOT, "dist", "write-thread.mjs")
  : join(INSTALL_ROOT, "adapters", "disk", "write-thread.ts");

/** The entry of a thread that brings results. */
export const RESULTS_THREAD_PATH = isBundle
  ? join(INSTALL_ROOT, "dist", "results-thread.mjs")
  : join(INSTALL_ROOT, "bin", "results-thread.ts");

export function readVersion(): string {
  const text = readFileSync(join(INSTALL_ROOT, "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
