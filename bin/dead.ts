/** `clipscribe dead list|show`: items that failed, why, and how to replay them. */
import { ClipscribeError } from "../core/errors.ts";
import { EXIT } from "../core/exit-codes.ts";
import { parseObjectKey } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { DeadRecord } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openMachine } from "./compose.ts";
import type { Io } from "./io.ts";
import { openLog } from "./log.ts";
import { readSettings } from "./settings.ts";

export async function dead(
  what: string,
  item: string | undefined,
  { json }: { json: boolean },
  io: Io,
): Promise<number> {
  if (what !== "list" && !(what === "show" && item !== undefined)) {
    throw new ClipscribeError("config", "say `dead list`, or `dead show JOB/ITEM`");
  }
  const settings = await readSettings(io);
  const log = openLog({ write: io.stderr, format: json ? "json" : "text", level: "warn" });
  await using machine = await openMachine(io, settings, log);
  const prefix = `dead/${settings.user}/`;
  if (what === "show") {
    const record = await readDead(machine.store, parseObjectKey(`${prefix}${item ?? ""}.json`));
    io.stdout(`${JSON.stringify(record, null, json ? 0 : 2)}\n`);
    return EXIT.complete;
  }
  const records: DeadRecord[] = [];
  for await (const { key } of machine.store.list(prefix)) {
    records.push(await readDead(machine.store, key));
  }
  if (json) io.stdout(`${JSON.stringify({ schema: 1, items: records })}\n`);
  for (const { job_id: job, item_id: id, at, reason, error } of json ? [] : records) {
    io.stdout(`${job}/${id}  ${at}  ${error.kind}: ${safeLine(reason, 300)}\n`);
  }
  if (!json && records.length === 0) io.stdout("nothing has failed\n");
  return EXIT.complete;
}

async function readDead(store: ObjectStore, key: ObjectKey): Promise<DeadRecord> {
  const { body } = await store.get(key);
  return DeadRecord.parse(JSON.parse(Buffer.from(body).toString("utf8")));
}
