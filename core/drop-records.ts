/**
 * What the laptop's ledger keeps of drops and of what became of them. A drop is in the ledger from
 * the moment that its bytes are known: from there a crash goes on with the same ids. The state
 * machine is drawn in sync/drop-state.ts.
 */
import { z } from "zod";

import { ItemId, JobId, Lane, RunNumber, Sha256 } from "./ids.ts";
import { ErrorRecordSchema, ItemInfo, OUTCOMES, Source, TicketArtifact } from "./records.ts";

const text = z.string();
const instant = z.iso.datetime();

/** What a person says of one drop: in `talk.mp4.yaml` beside it, or as flags of `batch submit`. */
export const DropOptions = z.strictObject({
  /** USD an item; null: the pipeline's. */
  budget: z.number().min(0).max(1_000_000).nullable().default(null),
  /** USD the whole job; counts instead of the pipeline's `job_usd` and `day_usd`. */
  job_budget: z.number().min(0).max(1_000_000).nullable().default(null),
  lane: Lane.default("batch"),
  /** A new run of what is done already. */
  again: z.boolean().default(false),
  /** The original goes up, though the stages on the server need only what edge stages make of it. */
  keep_video: z.boolean().default(false),
  /** An address that is told when the job has ended. */
  notify: z.email().nullable().default(null),
});
export type DropOptions = z.infer<typeof DropOptions>;

/**
 * `spooled`: handed to the agent by another process, nothing read yet · `hashed`: its items and ids are
 * fixed · `acknowledged`: every item has its ticket, or its reason · `done`: and its original is where
 * it belongs · `rejecting`, `rejected`: it can't be used · `gone`: a person took it away, or replaced it.
 */
export const DROP_PHASES = [
  "spooled",
  "hashed",
  "acknowledged",
  "done",
  "rejecting",
  "rejected",
  "gone",
] as const;
export type DropPhase = (typeof DROP_PHASES)[number];

/** `pending`: a URL that is not downloaded yet. `failed`: it will never get a ticket; `error` says why. */
export const DROP_ITEM_PHASES = [
  "pending",
  "hashed",
  "prepared",
  "uploaded",
  "acknowledged",
  "failed",
] as const;
export type DropItemPhase = (typeof DROP_ITEM_PHASES)[number];

export const DropItem = z.object({
  schema: z.literal(1),
  /** What makes it this item and no other in its job: the path in its folder, or the URL. */
  name: text,
  phase: z.enum(DROP_ITEM_PHASES),
  /** Null until its title is known. */
  item: ItemId.nullable(),
  url: text.nullable(),
  /** Where the medium lies now; null while it is not downloaded. */
  path: text.nullable(),
  /** Size, times and inode of what was hashed. */
  fingerprint: text,
  source: Source.nullable(),
  info: ItemInfo.nullable(),
  /** Absolute paths of caption files. */
  sidecars: z.array(text),
  /** The multipart upload under way; noted before its first part goes out. */
  upload_id: text.nullable(),
  /** What edge stages made, durable in the bucket. */
  artifacts: z.array(TicketArtifact),
  ticket: text.nullable(),
  run: RunNumber.nullable(),
  /** What the item ended as, once that was seen. */
  outcome: z.enum([...OUTCOMES, "held"]).nullable(),
  /** The outcome's results are in the results folder (or there are none). */
  fetched: z.boolean(),
  error: ErrorRecordSchema.nullable(),
});
export type DropItem = z.infer<typeof DropItem>;

export const DropRecord = z.object({
  schema: z.literal(1),
  phase: z.enum(DROP_PHASES),
  /** `inbox`: a person's file that is moved; `submit`: files that stay where they are. */
  origin: z.enum(["inbox", "submit"]),
  /** Its path in the inbox; of a submission, what people call it. */
  name: text,
  /** Absolute paths of files, folders and lists. */
  sources: z.array(text),
  /** Addresses that were named themselves. */
  urls: z.array(text),
  kind: z.enum(["file", "folder", "list"]),
  job: JobId.nullable(),
  pipeline: z.object({ name: text, digest: Sha256 }).nullable(),
  options: DropOptions,
  /** Size, times and inode of what was hashed; of a folder, a digest over all of them. */
  fingerprint: text,
  /** Where the original went: a path in done/ or rejected/. */
  target: text.nullable(),
  /** True once the original is there. */
  moved: z.boolean(),
  error: ErrorRecordSchema.nullable(),
  created_at: instant,
});
export type DropRecord = z.infer<typeof DropRecord>;
