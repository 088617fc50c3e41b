/** Puts what a runner publishes of an item into a store, without a runner: for tests and benchmarks. */
import { sha256Of } from "../core/digest.ts";
import { ItemId, JobId, Sha256, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { ItemState, Manifest } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";

export const USER = UserId.parse("me");
export const JOB = JobId.parse("20261125-2041-test-7f3a");
const DIGEST = Sha256.parse("0".repeat(64));

/** Returns what the item's state then says of it. */
export async function publishItem(
  store: ObjectStore,
  item: string,
  files: Readonly<Record<string, Uint8Array>>,
  change: (manifest: Manifest) => object = (manifest) => manifest,
): Promise<Pick<ItemState, "job_id" | "item_id" | "manifest">> {
  const keys = keysOf(USER);
  const described = Object.entries(files).map(([path, body]) => ({
    path,
    sha256: sha256Of(body),
    size: body.length,
    media_type: "text/plain",
    stage: "test",
  }));
  for (const body of Object.values(files)) await store.put(keys.blob(sha256Of(body)), body);
  const manifest: Manifest = {
    schema: 1,
    job_id: JOB,
    item_id: ItemId.parse(item),
    run: 1,
    outcome: "complete",
    missing: [],
    absent: [],
    clipscribe_version: "0.1.0",
    pipeline: { name: "test", digest: DIGEST },
    source: {
      kind: "file",
      url: null,
      filename: `${item}.mp4`,
      sha256: DIGEST,
      size: 1,
      media_type: "video/mp4",
    },
    info: {
      title: null,
      url: null,
      file_name: `${item}.mp4`,
      platform: null,
      channel: null,
      published_at: null,
      view_count: null,
      description: null,
      thumbnail_url: null,
    },
    files: described,
    stages: [],
    cost_usd: 0,
    published_at: "2026-11-25T20:41:00.000Z",
  };
  const body = Buffer.from(JSON.stringify(change(manifest)));
  const sha256 = sha256Of(body);
  await store.put(keys.blob(sha256), body);
  const ref = { sha256, size: body.length, run: 1 };
  return { job_id: JOB, item_id: ItemId.parse(item), manifest: ref };
}
