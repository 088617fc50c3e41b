/** Whether what is in the bucket can be counted on for as long as something new could. */
import type { ObjectKey } from "../core/keys.ts";
import { isToRenew } from "../core/retention.ts";
import type { Retention } from "../core/retention.ts";
import type { ObjectInfo } from "../ports/object-store.ts";

/** An object of another size under a name that says its content is damaged: not reusable. */
export function isReusable(
  key: ObjectKey,
  there: ObjectInfo | undefined,
  sizeBytes: number,
  now: Date,
  retention: Retention | undefined,
): boolean {
  return there?.sizeBytes === sizeBytes && !isToRenew(key, there.modifiedAt, now, retention);
}
