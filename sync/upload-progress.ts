/** Counts the bytes of one file's upload, and holds them back to the pace. */
import type { SendOptions } from "../ports/object-store.ts";
import type { UploadPace } from "./upload-pace.ts";

export interface UploadProgress {
  /** Bytes of the file that are in the bucket, or on their way. */
  doneBytes: number;
  totalBytes: number;
  /** Bytes that left this machine for it, repeated ones included. */
  sentBytes: number;
}

export interface PartProgress {
  beforeBytes: NonNullable<SendOptions["beforeBytes"]>;
  /** It is in the bucket. */
  arrived(): void;
  /** It is not: its bytes are sent again. */
  failed(): void;
}

export interface ProgressCount {
  readonly sentBytes: number;
  openPart(sizeBytes: number, signal: AbortSignal): PartProgress;
}

export function countProgress(
  totalBytes: number,
  pace: UploadPace,
  onProgress: ((progress: UploadProgress) => void) | undefined,
): ProgressCount {
  let sentBytes = 0;
  let doneBytes = 0;
  const tell = (): void => onProgress?.({ doneBytes, totalBytes, sentBytes });
  return {
    get sentBytes() {
      return sentBytes;
    },
    openPart(sizeBytes, signal) {
      let counted = 0;
      // A part that is tried again leaves twice, and is done once.
      const count = (bytes: number): void => {
        const more = Math.min(bytes, sizeBytes - counted);
        counted += more;
        doneBytes += more;
        tell();
      };
      return {
        async beforeBytes(bytes) {
          await pace.take(bytes, signal);
          sentBytes += bytes;
          count(bytes);
        },
        arrived: () => count(sizeBytes),
        failed() {
          doneBytes -= counted;
          counted = 0;
          tell();
        },
      };
    },
  };
}
