/** How long the bucket's own rules keep what can be made or sent again; docs/operations.md has them. */
import type { ObjectKey } from "./keys.ts";

/** Sources and drops: a month to look again; blobs: three, each use renews them. */
export const DEFAULT_RETENTION = { sourceDays: 30, blobDays: 90 } as const;

const DAY_MS = 24 * 60 * 60 * 1000;
const DAYS_OF: Readonly<Record<string, number>> = {
  sources: DEFAULT_RETENTION.sourceDays,
  blobs: DEFAULT_RETENTION.blobDays,
};

/** "Reuse renews": what is used when half of its time is over is sent again. */
export function isToRenew(key: ObjectKey, modifiedAt: Date, now: Date): boolean {
  const days = DAYS_OF[key.split("/")[0] ?? ""];
  return days !== undefined && now.getTime() - modifiedAt.getTime() >= (days * DAY_MS) / 2;
}
