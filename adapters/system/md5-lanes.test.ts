import assert from "node:assert/strict";
import { hash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";

import { LANES, md5Lanes } from "./md5-lanes.ts";

const CHUNK_BYTES = 16 * 1024;

function bodies(count: number, length: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(length));
}

describe("MD5s side by side", () => {
  test("are those of OpenSSL, whatever the length", () => {
    const edges = [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1_000];
    const chunks = [-65, -1, 0, 1, 64].map((more) => CHUNK_BYTES + more);
    for (const length of [...edges, ...chunks, 3 * CHUNK_BYTES + 61, 1_000_003]) {
      const each = bodies(LANES, length);

      const found = md5Lanes(each);

      const expected = each.map((body) => hash("md5", body, "hex"));
      assert.deepEqual(found, expected, `${length} bytes`);
    }
  });

  test("fewer bodies than there is room for leave nothing of the ones before in each other", () => {
    md5Lanes(bodies(LANES, 100_000));
    for (let count = 1; count < LANES; count++) {
      const each = bodies(count, 777);

      assert.deepEqual(
        md5Lanes(each),
        each.map((body) => hash("md5", body, "hex")),
      );
    }
  });

  test("bodies of shared memory are taken as they are", () => {
    const shared = bodies(LANES, 5_000).map((body) => {
      const copy = new Uint8Array(new SharedArrayBuffer(body.length));
      copy.set(body);
      return copy;
    });

    const expected = shared.map((body) => hash("md5", Uint8Array.from(body), "hex"));
    assert.deepEqual(md5Lanes(shared), expected);
  });

  test("bodies of different lengths, or too many, are refused", () => {
    assert.throws(() => md5Lanes([Buffer.alloc(1), Buffer.alloc(2)]), RangeError);
    assert.throws(() => md5Lanes(bodies(LANES + 1, 1)), RangeError);
  });
});
