import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { systemKeys } from "../core/keys.ts";
import { assertConditions, removeStaleProbes } from "./assert-conditions.ts";

const HOUR_MS = 60 * 60_000;

describe("a store's conditions, tried as a runner starts", () => {
  test("leave nothing behind; what a killed start left goes two days later, and no younger one", async () => {
    const store = openMemoryStore();
    await assertConditions(store, systemKeys.probe("mine"));
    const left = async (): Promise<string[]> => {
      const keys: string[] = [];
      for await (const { key } of store.list("sys/")) keys.push(key);
      return keys;
    };
    assert.deepEqual(await left(), []);
    await store.put(systemKeys.probe("killed"), Buffer.from("half a start"));

    await removeStaleProbes(store, new Date(Date.now() + 47 * HOUR_MS));
    assert.deepEqual(await left(), ["sys/probes/killed"]);
    await removeStaleProbes(store, new Date(Date.now() + 49 * HOUR_MS));
    assert.deepEqual(await left(), []);
  });
});
