import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { openEmulator } from "../../emulator/emulator.ts";
import { describeObjectStore } from "../../ports/object-store.contract.ts";
import type { ObjectStore } from "../../ports/object-store.ts";
import { openR2Store } from "./r2-store.ts";

async function open(t: TestContext): Promise<ObjectStore> {
  const dir = await mkdtemp(join(tmpdir(), "clipscribe-r2-"));
  const emulator = await openEmulator({ dir });
  const { address } = emulator;
  const store = openR2Store({
    endpoint: address.s3_endpoint,
    bucket: address.bucket,
    accessKeyId: address.access_key_id,
    secretAccessKey: address.secret_access_key,
    minWriteIntervalMs: 0,
    etags: "md5",
  });
  t.after(async () => {
    store[Symbol.dispose]();
    await emulator[Symbol.asyncDispose]();
    await rm(dir, { recursive: true, force: true });
  });
  return store;
}

describeObjectStore("r2, against the emulator", open);
