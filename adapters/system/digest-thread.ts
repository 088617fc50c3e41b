/** A thread that digests what another thread reads and sends: the bytes are shared, never copied. */
import { createHash, hash } from "node:crypto";
import type { Hash } from "node:crypto";
import { parentPort } from "node:worker_threads";

export interface DigestRequest {
  /** Answers come in the order of requests. */
  file: number;
  part: Uint8Array | null;
  /** Of the part alone. */
  alone: "md5" | "sha256";
  /** Adds the part to the file's own SHA-256; without a part: ends it. */
  whole: "add" | "end" | "drop" | null;
}

const files = new Map<number, Hash>();

parentPort?.on("message", ({ file, part, alone, whole }: DigestRequest) => {
  if (whole === "drop") return void files.delete(file);
  if (whole === "end") {
    const digest = (files.get(file) ?? createHash("sha256")).digest("hex");
    files.delete(file);
    parentPort?.postMessage(digest, []);
    return;
  }
  const bytes = part ?? new Uint8Array();
  if (whole === "add") {
    const running = files.get(file) ?? createHash("sha256");
    files.set(file, running.update(bytes));
  }
  parentPort?.postMessage(hash(alone, bytes, "hex"), []);
});
