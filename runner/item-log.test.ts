import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { ITEM, JOB, KEYS } from "../bench/campaign-engine.ts";
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openItemLog } from "./item-log.ts";
import type { ItemLog } from "./item-log.ts";

const KEY = KEYS.log(JOB, ITEM, 1);

function logOf(store: ObjectStore, message: string): ItemLog {
  const log = openItemLog(store, KEY, systemClock);
  log.add(null, "warn", message);
  return log;
}

async function messages(store: ObjectStore): Promise<string[]> {
  const text = Buffer.from((await store.get(KEY)).body).toString();
  const lines = text.trim().split("\n");
  return lines.map((line) => (JSON.parse(line) as { message: string }).message).toSorted();
}

describe("an item's log", () => {
  test("keeps the lines of two claims that end at the same moment", async () => {
    const store = openMemoryStore();
    await logOf(store, "before").save();
    const claims = ["of the lost claim", "of the next claim"].map((text) => logOf(store, text));

    await Promise.all(claims.map(async (log) => log.save()));

    const all = ["before", "of the lost claim", "of the next claim"];
    assert.deepEqual(await messages(store), all);
  });

  test("is left as it is where the store does not say what is in it", async () => {
    const store = openMemoryStore();
    await logOf(store, "why the first attempt failed").save();
    const silent: ObjectStore = {
      ...store,
      get: (): Promise<never> => Promise.reject(new ClipscribeError("transient", "503")),
    };

    const saved = logOf(silent, "of the second attempt").save();

    await assert.rejects(saved, (error) => isKind(error, "transient"));
    assert.deepEqual(await messages(store), ["why the first attempt failed"]);
  });
});
