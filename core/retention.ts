/** How long the bucket's own rules keep what can be made or sent again; docs/operations.md has them. */
import type { ObjectKey } from "./keys.ts";

/** Days after the last write, in which each use in the second half is one. */
export interface Retention {
  sourceDays: number;
  blobDays: number;
}

/** Sources and drops: a month to look again; blobs: three, each use renews them. */
export const DEFAULT_RETENTION: Retention = { sourceDays: 30, blobDays: 90 };

const DAY_MS = 24 * 60 * 60 * 1000;

/** "Reuse renews": what is used when half of its time is over is sent again. */
export function isToRenew(
  key: ObjectKey,
  modifiedAt: Date,
  now: Date,
  { sourceDays, blobDays }: Retention = DEFAULT_RETENTION,
): boolean {
  const room = key.split("/")[0];
  const days = room === "sources" ? sourceDays : room === "blobs" ? blobDays : undefined;
  return days !== undefined && now.getTime() - modifiedAt.getTime() >= (days * DAY_MS) / 2;
}
