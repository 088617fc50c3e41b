import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../../adapters/memory/memory-store.ts";
import { wantedAccount } from "../../core/account-wanted.ts";
import { parseObjectKey } from "../../core/keys.ts";
import { findForeignKey } from "./find-foreign-key.ts";

const SHA = "a".repeat(64);
const OURS = [
  `blobs/me/${SHA}`,
  "cache/me/x.json",
  "drops/me/talk.mp4",
  "inbox/urgent/me/20261125-1000-talk-7f3a/talk.1.json",
  "jobs/me/20261125-1000-talk-7f3a/metadata.json",
  "results/me/20261125-1000-talk-7f3a/talk/report.html",
  `sources/me/${SHA}.mp4`,
  "sys/runners/a.json",
];
const wanted = wantedAccount({
  accountId: "0".repeat(32),
  bucket: "clipscribe",
  jurisdiction: "default",
  accept: ["mp4"],
});

async function find(keys: string[], lifecycle = wanted.lifecycle.slice(0, 0)) {
  const store = openMemoryStore();
  for (const key of keys) await store.put(parseObjectKey(key), Buffer.from("x"));
  return findForeignKey(store, wanted, { rules: [], lifecycle, cors: [] });
}

describe("somebody else's objects", () => {
  test("are not found in an empty bucket, nor in one of ours", async () => {
    assert.equal(await find([]), null);
    assert.equal(await find(OURS), null);
  });

  test("are found before, between and behind our rooms", async () => {
    for (const key of ["a.txt", "cats/1.jpg", "inboxes/1", "sysadmin.md", "zoo/lion.png"]) {
      assert.equal(await find([...OURS, key]), key);
    }
  });

  test("are found in rooms that our lifecycle rules will empty, while those are not set yet", async () => {
    for (const key of ["sources/main.c", "blobs/me/readme.txt", "drops/readme.txt"]) {
      assert.equal(await find([...OURS, key]), key);
      assert.equal(await find([...OURS, key], [...wanted.lifecycle]), null);
    }
  });
});
