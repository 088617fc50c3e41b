/**
 * The records of a job's own part: who makes it, what it yields, and the messages that tell people.
 * docs/formats.md describes them.
 */
import { z } from "zod";

import { ItemId, JobId, Lane, RunnerId, RunNumber, Sha256, UserId } from "./ids.ts";
import { ErrorRecordSchema, ITEM_STATUSES } from "./records.ts";

const instant = z.iso.datetime();
const usd = z.number().min(0);
const text = z.string();

/** `jobs/{user}/{job}/items/_job.json`: the claim of what is made of a job as a whole. */
export const JobPart = z.object({
  schema: z.literal(1),
  job_id: JobId,
  user: UserId,
  /** `complete`: made, shown, and its message is in the outbox. `failed`: the message says why. */
  status: z.enum(["processing", "complete", "failed"]),
  /** Of the rows that it is made from: other rows are other work. */
  rows_sha256: Sha256,
  /** Only grows: a write from an older epoch is a zombie's. */
  epoch: z.int().min(0),
  owner: RunnerId.nullable(),
  /** Claims for these rows; counted before the work. */
  attempts: z.int().min(0),
  /** What `results/{user}/{job}/manifest.json` has to be. */
  manifest: z.object({ sha256: Sha256, size: z.int().min(0) }).nullable(),
  error: ErrorRecordSchema.nullable(),
  updated_at: instant,
});
export type JobPart = z.infer<typeof JobPart>;

const Counts = z.object({
  complete: z.int().min(0),
  partial: z.int().min(0),
  held: z.int().min(0),
  failed: z.int().min(0),
  cancelled: z.int().min(0),
});

export const DigestItem = z.object({
  item_id: ItemId,
  title: text,
  /** The address it came from; null for a file. */
  url: text.nullable(),
  status: z.enum(ITEM_STATUSES),
  run: RunNumber,
  cost_usd: usd,
  /** Relative to the job's folder; null where nothing is published. */
  report: text.nullable(),
  /** Why it is partial, held, failed or cancelled, a line each. */
  why: z.array(text),
  /** What a person has to do; null where nothing. */
  act: z.object({ say: text, command: text.nullable() }).nullable(),
});
export type DigestItem = z.infer<typeof DigestItem>;

/** `digest.json` of a job. */
export const Digest = z.object({
  schema: z.literal(1),
  job_id: JobId,
  submitted_at: instant,
  finished_at: instant,
  lane: Lane,
  pipeline: z.object({ name: text, digest: Sha256 }),
  counts: Counts,
  /** USD of the job: what its book says, at least the sum of its items' last runs. */
  cost_usd: usd,
  items: z.array(DigestItem),
  graph: z.object({
    nodes: z.int().min(0),
    edges: z.int().min(0),
    /** Published items whose graph is not in the merged one, and why. */
    left_out: z.array(z.object({ item_id: ItemId, why: text })),
  }),
});
export type Digest = z.infer<typeof Digest>;

/** `manifest.json` of a job's own files. */
export const JobManifest = z.object({
  schema: z.literal(1),
  job_id: JobId,
  rows_sha256: Sha256,
  clipscribe_version: text,
  files: z.array(z.object({ path: text, sha256: Sha256, size: z.int().min(0), media_type: text })),
  made_at: instant,
});
export type JobManifest = z.infer<typeof JobManifest>;

export const CHANNELS = ["email", "webhook", "file"] as const;
export type Channel = (typeof CHANNELS)[number];

export const Delivery = z.object({
  channel: z.enum(CHANNELS),
  /** An address; null for the file, which has one place. */
  to: text.nullable(),
  state: z.enum(["waiting", "sent", "refused"]),
  /** When it was sent or refused. */
  at: instant.nullable(),
  /** Of the last try that did not end well. */
  error: ErrorRecordSchema.nullable(),
});
export type Delivery = z.infer<typeof Delivery>;

/** `outbox/{user}/{job}/{id}.json`, then `jobs/{user}/{job}/messages/{id}.json`. */
export const OutboxMessage = z.object({
  schema: z.literal(1),
  /** Of user, job and rows: the same over all tries, and over all who would send it. */
  id: Sha256,
  job_id: JobId,
  user: UserId,
  subject: text,
  text,
  html: text,
  /** The JSON that a webhook gets, as it is signed. */
  body: text,
  created_at: instant,
  deliveries: z.array(Delivery).min(1),
  /** Claims that tried; counted before they do. */
  attempts: z.int().min(0),
  not_before: instant.nullable(),
  epoch: z.int().min(0),
  owner: RunnerId.nullable(),
  updated_at: instant,
});
export type OutboxMessage = z.infer<typeof OutboxMessage>;

/** `sys/webhooks/{sha256 of the address}.json`: nothing is sent there any more. */
export const GoneWebhook = z.object({ schema: z.literal(1), url: text, why: text, at: instant });
export type GoneWebhook = z.infer<typeof GoneWebhook>;
