/** Aborts what was begun and will not be gone on with: unfinished parts cost money for a week. */
import { isKind } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { UnfinishedUpload, UploadBook } from "../ports/upload-book.ts";
import { MAX_UPLOAD_AGE_MS } from "./upload-parts.ts";

export interface AbandonOptions {
  clock: Clock;
  /** Somebody will call `uploadSource` for it again. */
  isWanted: (upload: UnfinishedUpload) => boolean;
  signal: AbortSignal;
}

/** Returns how many are gone. One that can't be aborted now stays noted for the next time. */
export async function abandonUploads(
  store: ObjectStore,
  book: UploadBook,
  { clock, isWanted, signal }: AbandonOptions,
): Promise<number> {
  let count = 0;
  for (const upload of book.list()) {
    const ageMs = clock.now().getTime() - upload.startedAt.getTime();
    if (ageMs <= MAX_UPLOAD_AGE_MS && isWanted(upload)) continue;
    try {
      await store.abortUpload(upload.key, upload.uploadId, { signal });
      book.end(upload.uploadId);
      count++;
    } catch (error) {
      if (!isKind(error, "transient", "denied")) throw error;
    }
  }
  return count;
}
