/** How an original is hashed when it is first read: with its parts, where it will be uploaded. */
import { isSourceUploaded } from "../core/edge.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import { openPartHasher } from "../sync/hash-parts.ts";
import type { HashLarge } from "../sync/hash-source.ts";
import type { Machine } from "./compose.ts";

export function hashAsUploaded(
  machine: Pick<Machine, "store" | "isShared" | "uploads">,
  pipeline: CheckedPipeline,
  options: { keepVideo: boolean },
): HashLarge | undefined {
  // Etags of other kinds say nothing of what was stored: there it is hashed as it is sent.
  const isCompared = machine.isShared && machine.store.etags === "md5";
  if (!isCompared || !isSourceUploaded(pipeline, options)) return undefined;
  return openPartHasher(machine.uploads);
}
