/**
 * A bare drop: a medium that any S3 tool put under `drops/{user}/`. It becomes a job of one item
 * whose every record follows from the object alone, so that all runners make the same one.
 */
import { digestOf } from "./digest.ts";
import { ItemId, JobId, slugOf } from "./ids.ts";
import type { Sha256, UserId } from "./ids.ts";
import type { ObjectKey } from "./keys.ts";
import { extensionOf, mediaTypeOf } from "./media-types.ts";
import { ItemInfo } from "./records.ts";
import type { Metadata, Ticket } from "./records.ts";

/** One version of an object under `drops/`. */
export interface BareDrop {
  key: ObjectKey;
  etag: string;
  sizeBytes: number;
  /** By the store's clock. */
  modifiedAt: Date;
}

export interface DropName {
  job: JobId;
  item: ItemId;
  /** What its owner called it, folders included. */
  name: string;
}

/** Hex digits of the hash in a job's id: two drops of one name and minute must not meet. */
const HASH_CHARS = 8;

/** True for a name that ends as one of the media that the pipeline accepts. */
export function isMediaDrop(key: string, accept: readonly string[]): boolean {
  return accept.includes(extensionOf(key));
}

/** `20261123-2041-council-meeting-7f3a91c2`, in the store's time, UTC. */
export function nameDrop({ key, etag, modifiedAt }: BareDrop): DropName {
  const name = key.split("/").slice(2).join("/");
  const file = name.split("/").at(-1) ?? name;
  const slug = slugOf(file.slice(0, -extensionOf(file).length - 1), "video");
  const [day = "", time = ""] = modifiedAt.toISOString().split("T");
  const at = `${day.replaceAll("-", "")}-${time.slice(0, 5).replace(":", "")}`;
  const hash = digestOf([key, etag]).slice(0, HASH_CHARS);
  return { job: JobId.parse(`${at}-${slug}-${hash}`), item: ItemId.parse(slug), name };
}

export function describeDrop(
  drop: BareDrop,
  known: { user: UserId; sha256: Sha256; pipeline: { name: string; digest: Sha256 } },
): Metadata {
  const { job, item, name } = nameDrop(drop);
  const source = {
    kind: "file" as const,
    url: null,
    filename: name,
    sha256: known.sha256,
    size: drop.sizeBytes,
    media_type: mediaTypeOf(extensionOf(name)),
    drop: { key: drop.key, etag: drop.etag },
  };
  return {
    schema: 1,
    job_id: job,
    user: known.user,
    user_email: null,
    // A HEAD tells whole seconds, a listing thousandths of them.
    submitted_at: new Date(Math.floor(drop.modifiedAt.getTime() / 1000) * 1000).toISOString(),
    lane: "batch",
    pipeline: known.pipeline,
    items: [{ item_id: item, source }],
    options: {},
    device: "drops",
    notify: { email: null, webhook: null },
    control: { state: "run", budget_usd: null, approved_usd: null },
  };
}

/** The ticket that a drop's metadata stands for; undefined where it is not the record of a drop. */
export function ticketOfDrop(metadata: Metadata): Ticket | undefined {
  const [{ item_id, source } = {}] = metadata.items;
  const { sha256, size, drop } = source ?? {};
  if (item_id === undefined || source === undefined || drop === undefined) return undefined;
  if (sha256 === undefined || size === undefined) return undefined;
  const file = source.filename.split("/").at(-1) ?? source.filename;
  return {
    schema: 1,
    job_id: metadata.job_id,
    item_id,
    run: 1,
    user: metadata.user,
    lane: metadata.lane,
    pipeline_digest: metadata.pipeline.digest,
    source: { ...source, sha256, size },
    artifacts: [],
    prepared: [],
    info: ItemInfo.parse({ file_name: file }),
    created_at: metadata.submitted_at,
    from_stage: null,
    resends: 0,
  };
}
