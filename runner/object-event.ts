/** R2's object-created event, as far as a runner reads it: which key was written. */
import { z } from "zod";

import { parseTicketKey } from "../core/keys.ts";
import type { TicketAddress } from "../core/keys.ts";

const ObjectEvent = z.object({ action: z.string(), object: z.object({ key: z.string() }) });

export type EventMeaning =
  | { kind: "ticket"; key: string; address: TicketAddress }
  /** An event of something else, or of a deletion: nothing to do. */
  | { kind: "other" }
  | { kind: "unreadable" };

export function parseObjectEvent(body: string): EventMeaning {
  let event: z.infer<typeof ObjectEvent>;
  try {
    event = ObjectEvent.parse(JSON.parse(body));
  } catch {
    return { kind: "unreadable" };
  }
  const { key } = event.object;
  if (/Delete|Lifecycle/.test(event.action)) return { kind: "other" };
  const address = parseTicketKey(key);
  return address === undefined ? { kind: "other" } : { kind: "ticket", key, address };
}

/** The body of a message that says "look at this ticket again", in the same shape. */
export function formatTicketEvent(key: string, at: Date): string {
  return JSON.stringify({ action: "PutObject", object: { key }, eventTime: at.toISOString() });
}
