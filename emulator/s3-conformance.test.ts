import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { openEmulator } from "./emulator.ts";
import type { Emulator } from "./emulator.ts";
import { CASES } from "./s3-conformance-uploads.ts";

describe("S3 conformance: the emulator", () => {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-conformance-"));
  let emulator: Emulator | undefined;
  before(async () => {
    emulator = await openEmulator({ dir });
  });
  after(async () => {
    await emulator?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  for (const { name, run } of CASES) {
    test(name, async () => {
      if (emulator === undefined) throw new Error("the emulator did not start");
      const { address } = emulator;
      await run({
        endpoint: address.s3_endpoint,
        bucket: address.bucket,
        accessKeyId: address.access_key_id,
        secretAccessKey: address.secret_access_key,
      });
    });
  }
});
