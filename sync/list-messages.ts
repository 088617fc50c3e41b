/** Messages that wait, and those that can't be delivered; and how a person sends one of those again. */
import type { JobId, UserId } from "../core/ids.ts";
import { isDeadMessageKey, keysOf, parseOutboxKey } from "../core/keys.ts";
import { OutboxMessage } from "../core/message-records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { putRecordIfAbsent, readRecord } from "./stored-records.ts";

export interface WaitingMessages {
  waiting: OutboxMessage[];
  /** Refused, or given up. */
  undeliverable: OutboxMessage[];
}

export async function listMessages(store: ObjectStore, user: UserId): Promise<WaitingMessages> {
  const keys = keysOf(user);
  const found: WaitingMessages = { waiting: [], undeliverable: [] };
  for await (const { key } of store.list(keys.outboxes())) {
    if (parseOutboxKey(key) === undefined) continue;
    // Sent, while it is listed.
    const message = (await readRecord(store, key, OutboxMessage))?.value;
    if (message !== undefined) found.waiting.push(message);
  }
  for await (const { key } of store.list(keys.deadItems())) {
    if (!isDeadMessageKey(key)) continue;
    const message = (await readRecord(store, key, OutboxMessage))?.value;
    if (message !== undefined) found.undeliverable.push(message);
  }
  return found;
}

/** Puts a job's refused messages into the outbox again, to whom they were refused. Returns how many. */
export async function reviveMessages(
  store: ObjectStore,
  user: UserId,
  job: JobId,
): Promise<number> {
  const keys = keysOf(user);
  const { undeliverable } = await listMessages(store, user);
  let revived = 0;
  for (const message of undeliverable.filter(({ job_id: of }) => of === job)) {
    const deliveries = message.deliveries.map((each) =>
      each.state === "refused" ? { ...each, state: "waiting" as const, at: null } : each,
    );
    const again: OutboxMessage = { ...message, deliveries, attempts: 0, not_before: null };
    // What became of it goes first: who finds it would think that it is over.
    await store.delete(keys.message(job, message.id));
    if (await putRecordIfAbsent(store, keys.outbox(job, message.id), again)) revived++;
    await store.delete(keys.deadMessage(job, message.id));
  }
  return revived;
}
