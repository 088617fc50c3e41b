import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { isPrivateAddress } from "./private-address.ts";

describe("addresses", () => {
  for (const address of [
    "127.0.0.1",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "fe80::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::7f00:1",
  ]) {
    test(`${address} is private`, () => assert.equal(isPrivateAddress(address), true));
  }
  for (const address of ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111"]) {
    test(`${address} is public`, () => assert.equal(isPrivateAddress(address), false));
  }
});
