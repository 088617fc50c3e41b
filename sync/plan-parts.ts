/** How a file is cut for its way: pure. */
import { MAX_PARTS, MIN_PART_BYTES } from "../ports/object-store.ts";

const MEBIBYTE = 1024 * 1024;
/** Large enough for a fast line, small enough for eight in memory; a cut line loses at most four of them. */
const PART_BYTES = 8 * MEBIBYTE;
/** On a limited line a part takes no longer than about this. */
const PART_SECONDS = 30;

/** The size of parts for a line: what is cut off costs half a minute at most. */
export function partBytesFor(bytesPerSecond: number | null): number {
  const most = bytesPerSecond === null ? PART_BYTES : bytesPerSecond * PART_SECONDS;
  return Math.max(MIN_PART_BYTES, Math.min(PART_BYTES, Math.floor(most)));
}

/** One request where there would be two parts: an upload in parts takes three more, each of them billed. */
const WHOLE_PARTS = 2;

export function isSentWhole(sizeBytes: number, wantedBytes: number): boolean {
  return sizeBytes <= wantedBytes * WHOLE_PARTS;
}

export interface PartPlan {
  /** Of all parts but the last, as R2 wants it. */
  partBytes: number;
  count: number;
}

export function planParts(sizeBytes: number, wantedBytes: number): PartPlan {
  // Whole mebibytes, so that the last of ten thousand parts is not one too many.
  const needed = Math.ceil(sizeBytes / MAX_PARTS / MEBIBYTE) * MEBIBYTE;
  return cut(sizeBytes, Math.max(wantedBytes, needed));
}

/** The plan of an upload that has begun. */
export function cut(sizeBytes: number, partBytes: number): PartPlan {
  return { partBytes, count: Math.max(1, Math.ceil(sizeBytes / partBytes)) };
}
