/**
 * A thread that digests what another thread reads and sends: the bytes are shared, never copied. Parts
 * that wait for their MD5 are digested together, which is more than twice as fast; where the line is
 * slower than this, none waits, and each is digested alone.
 */
import { createHash, hash } from "node:crypto";
import type { Hash } from "node:crypto";
import { parentPort } from "node:worker_threads";

import { LANES, md5Lanes } from "./md5-lanes.ts";

export type DigestRequest =
  /** A part by itself. */
  | { digest: "md5" | "sha256"; part: Uint8Array }
  /** The next part of a whole file; without a part, its end. */
  | { file: number; part: Uint8Array | null }
  | { drop: number };

type Asked = Exclude<DigestRequest, { drop: number }>;

/** From so many on, all lanes at once take less time than one after another. */
const MIN_TOGETHER = Math.ceil(LANES / 2) + 1;
/** So long, others may join: about what two parts take by themselves. */
const JOIN_MS = 20;

const files = new Map<number, Hash>();
/** Parts that wait for others; what else is asked waits for them, as answers keep their order. */
const waiting: DigestRequest[] = [];
let joining: NodeJS.Timeout | undefined;

parentPort?.on("message", (request: DigestRequest) => {
  waiting.push(request);
  clearTimeout(joining);
  const isPart = "digest" in request && request.digest === "md5";
  if (isPart && waiting.length < LANES) joining = setTimeout(answerAll, JOIN_MS);
  else answerAll();
});

function answerAll(): void {
  while (waiting.length > 0) {
    const together = waitingTogether();
    if (together.length >= MIN_TOGETHER) {
      waiting.splice(0, together.length);
      for (const digest of md5Lanes(together)) parentPort?.postMessage(digest, []);
    } else {
      const request = waiting.shift();
      if (request === undefined) return;
      // A drop has no answer.
      if ("drop" in request) files.delete(request.drop);
      else parentPort?.postMessage(answer(request), []);
    }
  }
}

/** The parts at the head of the queue that one call can digest. */
function waitingTogether(): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (const request of waiting) {
    if (parts.length === LANES || !("digest" in request) || request.digest !== "md5") break;
    if (request.part.length !== (parts[0] ?? request.part).length) break;
    parts.push(request.part);
  }
  return parts;
}

function answer(request: Asked): string {
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
