/**
 * Brings an original into the bucket, by its content and so once. It is hashed again as it is
 * sent: what was changed in between is not the file that was meant.
 */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";

import { ClipscribeError, isKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Source } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";

const CHUNK_BYTES = 1024 * 1024;

/** Returns false where it was there already. @throws `contract` where the file has changed. */
export async function uploadSource(
  store: ObjectStore,
  key: ObjectKey,
  { path, source, signal }: { path: string; source: Source; signal: AbortSignal },
): Promise<boolean> {
  const there = await store.head(key, { signal });
  if (there?.sizeBytes === source.size) return false;
  const hash = createHash("sha256");
  const read = async function* (): AsyncGenerator<Uint8Array> {
    await using file = await open(path, "r");
    for (;;) {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      yield buffer.subarray(0, bytesRead);
    }
    // Before the last part is sent: nothing becomes visible under a name that is not its own.
    if (hash.digest("hex") !== source.sha256) {
      throw new ClipscribeError("contract", "the file was changed while it was uploaded", {
        details: { file: source.filename },
        hint: "run it again once nobody writes it",
      });
    }
  };
  try {
    await store.putStream(key, read(), { ifMatch: null, contentType: source.media_type, signal });
    return true;
  } catch (error) {
    // Another was faster with the same bytes.
    if (isKind(error, "conflict")) return false;
    throw error;
  }
}
