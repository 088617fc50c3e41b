/** A thread that digests what another thread reads and sends: the bytes are shared, never copied. */
import { createHash, hash } from "node:crypto";
import type { Hash } from "node:crypto";
import { parentPort } from "node:worker_threads";

export type DigestRequest =
  /** A part by itself. */
  | { digest: "md5" | "sha256"; part: Uint8Array }
  /** The next part of a whole file; without a part, its end. */
  | { file: number; part: Uint8Array | null }
  | { drop: number };

const files = new Map<number, Hash>();

// Answers come in the order of the requests; a drop has none.
parentPort?.on("message", (request: DigestRequest) => {
  if ("drop" in request) files.delete(request.drop);
  else parentPort?.postMessage(answer(request), []);
});

function answer(request: Exclude<DigestRequest, { drop: number }>): string {
  if ("digest" in request) return hash(request.digest, request.part, "hex");
  const { file, part } = request;
  const whole = files.get(file) ?? createHash("sha256");
  if (part === null) {
    files.delete(file);
    return whole.digest("hex");
  }
  files.set(file, whole.update(part));
  return "";
}
