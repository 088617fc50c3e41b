/** `clipscribe dead list|show`: items that failed and messages that nobody takes, why, and what to do. */
import { ClipscribeError } from "../core/errors.ts";
import { EXIT } from "../core/exit-codes.ts";
import type { ItemId, JobId } from "../core/ids.ts";
import { isDeadMessageKey, keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { DeadRecord } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { listMessages } from "../sync/list-messages.ts";
import { readRecord } from "../sync/stored-records.ts";
import { openMachine } from "./compose.ts";
import type { Io } from "./io.ts";
import { readTarget } from "./item-target.ts";
import { openLog } from "./log.ts";
import { readSettings } from "./settings.ts";

export async function dead(
  what: string,
  item: string | undefined,
  { json }: { json: boolean },
  io: Io,
): Promise<number> {
  const target = readWhat(what, item);
  const settings = await readSettings(io);
  const log = openLog({ write: io.stderr, format: json ? "json" : "text", level: "warn" });
  await using machine = await openMachine(io, settings, log);
  const keys = keysOf(settings.user);
  if (target !== null) {
    const record = await readDead(machine.store, keys.dead(target.job, target.item));
    io.stdout(`${JSON.stringify(record, null, json ? 0 : 2)}\n`);
    return EXIT.complete;
  }
  const records: DeadRecord[] = [];
  for await (const { key } of machine.store.list(keys.deadItems())) {
    if (isDeadMessageKey(key)) continue;
    records.push(await readDead(machine.store, key));
  }
  const { undeliverable } = await listMessages(machine.store, settings.user);
  if (json) {
    io.stdout(`${JSON.stringify({ schema: 1, items: records, messages: undeliverable })}\n`);
  }
  for (const { job_id: job, item_id: id, at, reason, error } of json ? [] : records) {
    io.stdout(`${job}/${id}  ${at}  ${error.kind}: ${safeLine(reason, 300)}\n`);
  }
  for (const { job_id: job, updated_at: at, deliveries } of json ? [] : undeliverable) {
    const refused = deliveries.find(({ state }) => state === "refused");
    const why = safeLine(refused?.error?.message ?? "unknown", 300);
    io.stdout(`${job}  ${at}  message to ${refused?.to ?? refused?.channel ?? "nobody"}: ${why}\n`);
  }
  const isEmpty = records.length + undeliverable.length === 0;
  if (!json && isEmpty) io.stdout("nothing has failed\n");
  return EXIT.complete;
}

/** Null: all. @throws `config` */
function readWhat(what: string, name: string | undefined): { job: JobId; item: ItemId } | null {
  if (what === "list") return null;
  const { job, item } = what === "show" && name !== undefined ? readTarget(name) : {};
  if (job !== undefined && item != null) return { job, item };
  throw new ClipscribeError("config", "say `dead list`, or `dead show JOB/ITEM`");
}

async function readDead(store: ObjectStore, key: ObjectKey): Promise<DeadRecord> {
  const found = await readRecord(store, key, DeadRecord);
  if (found !== undefined) return found.value;
  throw new ClipscribeError("missing", "that item has not failed", {
    hint: "`clipscribe dead list` names those that have",
  });
}
