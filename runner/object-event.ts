/**
 * What a message says was written. R2's own shape, and S3's `Records`, as AWS sends them to SQS and
 * MinIO everywhere; there the key is form-encoded.
 */
import { z } from "zod";

import type { UserId } from "../core/ids.ts";
import { isCheckKey, parseDropKey, parseTicketKey } from "../core/keys.ts";
import type { ObjectKey, TicketAddress } from "../core/keys.ts";

const R2Event = z.object({ action: z.string(), object: z.object({ key: z.string() }) });
const S3Event = z.object({
  Records: z.array(
    z.object({ eventName: z.string(), s3: z.object({ object: z.object({ key: z.string() }) }) }),
  ),
});
/** What S3 sends once when a rule is made. */
const TestEvent = z.object({ Event: z.literal("s3:TestEvent") });

export type EventMeaning =
  | { kind: "ticket"; key: string; address: TicketAddress }
  /** Something lies under `drops/`: which version, and whether it still does, only HEAD tells. */
  | { kind: "drop"; key: ObjectKey; user: UserId }
  /** Of `clipscribe cloud check`, which waits for it beside the runners. */
  | { kind: "check" }
  /** An event of something else, or of a deletion: nothing to do. */
  | { kind: "other" }
  | { kind: "unreadable" };

/** The first ticket or drop that a message tells of: S3 sends one record a message, though it could more. */
export function parseObjectEvent(body: string): EventMeaning {
  const keys = createdKeys(body);
  if (keys === undefined) return { kind: "unreadable" };
  for (const key of keys) {
    const address = parseTicketKey(key);
    if (address !== undefined) return { kind: "ticket", key, address };
    const drop = parseDropKey(key);
    if (drop !== undefined) return { kind: "drop", ...drop };
    if (isCheckKey(key)) return { kind: "check" };
  }
  return { kind: "other" };
}

/** Keys that were created; none for a deletion. Undefined where the message is of no known shape. */
function createdKeys(body: string): string[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const r2 = R2Event.safeParse(value).data;
  if (r2 !== undefined) return /Delete|Lifecycle/.test(r2.action) ? [] : [r2.object.key];
  const s3 = S3Event.safeParse(value).data;
  if (s3 !== undefined) {
    return s3.Records.filter(({ eventName }) => /^(?:s3:)?ObjectCreated:/.test(eventName)).flatMap(
      ({ s3: { object } }) => decodeFormKey(object.key) ?? [],
    );
  }
  return TestEvent.safeParse(value).success ? [] : undefined;
}

function decodeFormKey(key: string): string | undefined {
  try {
    return decodeURIComponent(key.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

/** The body of a message that says "look at this ticket again", in the same shape. */
export function formatTicketEvent(key: string, at: Date): string {
  return JSON.stringify({ action: "PutObject", object: { key }, eventTime: at.toISOString() });
}
