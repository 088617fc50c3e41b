import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openStoreReach } from "./store-reach.ts";

const PUBLIC = ["104.18.8.90", "2606:4700::6812:95a"];
const reach = async (endpoint: string, addresses: readonly string[] = PUBLIC, allow = false) =>
  openStoreReach(endpoint, allow, async () => [...addresses])();

describe("the reach of a bucket", () => {
  test("R2's endpoint is open, and is looked up once", async () => {
    let lookups = 0;
    const ask = openStoreReach("https://0123.r2.cloudflarestorage.com", false, async () => {
      lookups++;
      return PUBLIC;
    });

    assert.deepEqual([await ask(), await ask()], [{ open: true }, { open: true }]);
    assert.equal(lookups, 1);
  });

  for (const [endpoint, addresses, why] of [
    ["http://127.0.0.1:9000", ["127.0.0.1"], /not https/],
    ["https://10.0.0.5:9000", ["10.0.0.5"], /private address/],
    ["https://[fd00::5]:9000", ["fd00::5"], /private address/],
    ["https://nas", ["203.0.113.4"], /private name/],
    ["https://minio.lan", ["203.0.113.4"], /private name/],
    ["https://s3.example.org", ["203.0.113.4", "192.168.1.9"], /private address/],
    ["https://gone.example.org", [], /can't be resolved/],
  ] as const) {
    test(`${endpoint} at ${addresses.join(", ") || "no address"} is closed`, async () => {
      const found = await reach(endpoint, addresses);

      assert.equal(found.open, false);
      assert.match(found.open ? "" : found.why, why);
    });
  }

  test("a person may say that providers reach a private one", async () => {
    assert.deepEqual(await reach("http://127.0.0.1:9000", ["127.0.0.1"], true), { open: true });
  });
});
