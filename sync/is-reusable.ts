/** Whether what is in the bucket can be counted on for as long as something new could: "reuse renews". */
import type { ObjectKey } from "../core/keys.ts";
import type { ObjectInfo } from "../ports/object-store.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
/** What the bucket's own rules delete by age; docs/operations.md has them. */
const RETENTION_DAYS: Readonly<Record<string, number>> = { sources: 30, blobs: 90 };

/** An object of another size under a name that says its content is damaged: not reusable. */
export function isReusable(
  key: ObjectKey,
  there: ObjectInfo | undefined,
  sizeBytes: number,
  now: Date,
): boolean {
  if (there?.sizeBytes !== sizeBytes) return false;
  const days = RETENTION_DAYS[key.split("/")[0] ?? ""];
  if (days === undefined) return true;
  return now.getTime() - there.modifiedAt.getTime() < (days * DAY_MS) / 2;
}
