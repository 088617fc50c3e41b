/**
 * The records that live in the bucket, as they are on the wire and on disk (snake_case). A record
 * is parsed when it is read and never trusted by its shape alone. docs/formats.md has them all.
 */
import { z } from "zod";

import { ERROR_KINDS } from "./errors.ts";
import { ItemId, JobId, Lane, RunnerId, RunNumber, Sha256, UserId } from "./ids.ts";

const instant = z.iso.datetime();
const usd = z.number().min(0);
const text = z.string();

export const ErrorRecordSchema = z.object({
  kind: z.enum(ERROR_KINDS),
  message: text,
  hint: text.nullable(),
  cause: z.array(text),
});

/** What is known of a medium apart from its bytes: yt-dlp's info, or the file's own name. */
export const ItemInfo = z.object({
  title: text.nullable().default(null),
  url: text.nullable().default(null),
  file_name: text,
  platform: text.nullable().default(null),
  channel: text.nullable().default(null),
  published_at: text.nullable().default(null),
  view_count: z.number().nullable().default(null),
  description: text.nullable().default(null),
  thumbnail_url: text.nullable().default(null),
});
export type ItemInfo = z.infer<typeof ItemInfo>;

export const Source = z.object({
  kind: z.enum(["file", "url"]),
  url: text.nullable(),
  filename: text,
  sha256: Sha256,
  size: z.int().min(0),
  media_type: text,
  /** Where a bare drop lies, and which version of it was meant; absent for all else. */
  drop: z.object({ key: text, etag: text }).optional(),
});
export type Source = z.infer<typeof Source>;

/** An artifact that was made, or found beside the source, before the ticket was written. */
export const TicketArtifact = z.object({
  /** `sidecar:{file name}` of what lay beside the source, `{stage}.{artifact}` of what was made. */
  name: text,
  sha256: Sha256,
  size: z.int().min(0),
  key: text,
  /** As the stage declared it; null for sidecars. */
  media_type: text.nullable().default(null),
  file_name: text.nullable().default(null),
});
export type TicketArtifact = z.infer<typeof TicketArtifact>;

/** Caption files and the like. */
export const SIDECAR_PREFIX = "sidecar:";
export function isSidecar({ name }: Pick<TicketArtifact, "name">): boolean {
  return name.startsWith(SIDECAR_PREFIX);
}

/**
 * A stage that the laptop ran, or found done, before the ticket: all that a runner and a manifest
 * have to know of it. Its artifacts are those of the ticket whose names begin with its id.
 */
export const PreparedStage = z.object({
  stage: text,
  /** What its key is computed over; whoever takes it compares code, params and inputs. */
  ingredients: z.record(z.string(), text),
  /** As the laptop's own record says: "first run", "reused", "code changed". */
  why: text,
  device: text,
  made_by: text,
  started_at: instant,
  ended_at: instant,
  tools: z.record(z.string(), text),
  usage: z.record(z.string(), z.number()),
  /** What an artifact says of who answered; null for most. */
  provider: text.nullable(),
  model: text.nullable(),
  /** What the stage said its outputs lack. */
  lacks: z.array(text),
  /** Why an optional stage is missing; it has no artifacts then. */
  error: ErrorRecordSchema.nullable(),
});
export type PreparedStage = z.infer<typeof PreparedStage>;

export const Ticket = z.object({
  schema: z.literal(1),
  job_id: JobId,
  item_id: ItemId,
  run: RunNumber,
  user: UserId,
  lane: Lane,
  pipeline_digest: Sha256,
  source: Source,
  artifacts: z.array(TicketArtifact),
  /** Edge stages that need not run again. */
  prepared: z.array(PreparedStage).default([]),
  info: ItemInfo,
  created_at: instant,
  /** This stage and those that need it run again, though their answers are kept. */
  from_stage: text.nullable().default(null),
  /** How often an agent has sent again what a runner missed, one run after another. */
  resends: z.int().min(0).default(0),
});
export type Ticket = z.infer<typeof Ticket>;

export const CONTROL_STATES = ["run", "paused", "cancelled"] as const;

export const Metadata = z.object({
  schema: z.literal(1),
  job_id: JobId,
  user: UserId,
  user_email: text.nullable(),
  submitted_at: instant,
  lane: Lane,
  pipeline: z.object({ name: text, digest: Sha256 }),
  items: z.array(
    z.object({ item_id: ItemId, source: Source.partial({ sha256: true, size: true }) }),
  ),
  options: z.record(z.string(), z.unknown()),
  device: text,
  notify: z.object({ email: text.nullable(), webhook: text.nullable() }),
  control: z.object({
    state: z.enum(CONTROL_STATES),
    /** What each item may cost, instead of the pipeline's `item_usd`. */
    budget_usd: usd.nullable(),
    /** What a person said that the job may cost in all: counts instead of `job_usd` and `day_usd`. */
    approved_usd: usd.nullable().default(null),
  }),
});
export type Metadata = z.infer<typeof Metadata>;

export const OUTCOMES = ["complete", "partial", "failed", "cancelled"] as const;
export type Outcome = (typeof OUTCOMES)[number];

export const ITEM_STATUSES = [
  "pending",
  "downloading",
  "uploading",
  "queued",
  "processing",
  "held",
  ...OUTCOMES,
] as const;
export type ItemStatus = (typeof ITEM_STATUSES)[number];

export const STAGE_STATES = ["ran", "reused", "failed", "held", "skipped", "running"] as const;

export const Usage = z.record(z.string(), z.number());
export type Usage = z.infer<typeof Usage>;

export const StageRecord = z.object({
  state: z.enum(STAGE_STATES),
  /** For a person: "reused", "params.bitrate_kbps changed 32 → 24", "first run". */
  why: text,
  started_at: instant.nullable(),
  ended_at: instant.nullable(),
  cost: usd,
  /** The stage key, once its inputs are known. */
  cache: Sha256.nullable(),
  usage: Usage,
  /** Tries of this run that ended in a transient error. */
  tries: z.int().min(0).default(0),
  error: ErrorRecordSchema.nullable().default(null),
});
export type StageRecord = z.infer<typeof StageRecord>;

export const ManifestRef = z.object({
  sha256: Sha256,
  size: z.int(),
  run: RunNumber,
  /** The timestamp authority's answer about this hash; absent where none is configured. */
  timestamp: Sha256.optional(),
});
export type ManifestRef = z.infer<typeof ManifestRef>;

export const ItemState = z.object({
  schema: z.literal(1),
  job_id: JobId,
  item_id: ItemId,
  user: UserId,
  status: z.enum(ITEM_STATUSES),
  run: RunNumber,
  /** The whole ticket: a replay needs nothing else. */
  input: Ticket.nullable(),
  /** 0–100. */
  progress: z.number().min(0).max(100),
  stage: text.nullable(),
  /** Claims of this run that began work; counted before the work. */
  attempts: z.int().min(0),
  /** Claims in a row that ended no stage; five fail the item. */
  fruitless_claims: z.int().min(0),
  not_before: instant.nullable(),
  /** Only grows: a write from an older epoch is a zombie's. */
  epoch: z.int().min(0),
  owner: RunnerId.nullable(),
  pipeline_digest: Sha256.nullable(),
  manifest: ManifestRef.nullable(),
  /** USD of this run. */
  cost: usd,
  /** USD that the run would cost in all, as estimated before its first paid call. */
  estimate_usd: usd.nullable().default(null),
  video_key: text.nullable(),
  results_key: text.nullable(),
  error: ErrorRecordSchema.nullable(),
  stages: z.record(z.string(), StageRecord),
  submitted_at: instant,
  updated_at: instant,
});
export type ItemState = z.infer<typeof ItemState>;

export const JobRow = z.object({
  status: z.enum(ITEM_STATUSES),
  run: RunNumber,
  cost: usd,
  manifest: ManifestRef.nullable(),
});
export type JobRow = z.infer<typeof JobRow>;

export const JobStatus = z.object({
  schema: z.literal(1),
  job_id: JobId,
  status: z.enum(["running", "finished"]),
  rows: z.record(z.string(), JobRow),
  finished_at: instant.nullable(),
  updated_at: instant,
});
export type JobStatus = z.infer<typeof JobStatus>;

export const RunnerRecord = z.object({
  schema: z.literal(1),
  runner: RunnerId,
  status: z.enum(["alive", "dead"]),
  /** Rises with every write: others watch it change by their own clock. */
  beat: z.int().min(0),
  items: z.array(text),
  host: text,
  /** With `host`, tells a runner on the same machine that a process is gone; null elsewhere. */
  process: z.object({ pid: z.int(), boot: text }).nullable(),
  started_at: instant,
});
export type RunnerRecord = z.infer<typeof RunnerRecord>;

/** One artifact in a cache entry: a blob, or its bytes inline when they are small. */
export const CachedArtifact = z.object({
  sha256: Sha256,
  size: z.int().min(0),
  media_type: text,
  file_name: text.nullable(),
  /** UTF-8 text of a small artifact that needs no blob of its own. */
  inline: text.nullable(),
});
export type CachedArtifact = z.infer<typeof CachedArtifact>;

export const StageCacheEntry = z.object({
  schema: z.literal(1),
  kind: z.literal("stage"),
  stage: text,
  key: Sha256,
  /** What the key was computed over, so that a later run can say what changed. */
  ingredients: z.record(z.string(), text),
  artifacts: z.record(z.string(), CachedArtifact),
  usage: Usage,
  cost: usd,
  provider: text.nullable(),
  model: text.nullable(),
  prompt_digest: Sha256.nullable(),
  tools: z.record(z.string(), text),
  started_at: instant,
  ended_at: instant,
  made_by: text,
  /** SHA-256 of the entry's canonical JSON without this field: a damaged entry is a miss. */
  checksum: Sha256,
});
export type StageCacheEntry = z.infer<typeof StageCacheEntry>;

/** A paid call: `running` is put if absent before paying, then replaced by `done`. */
export const CallCacheEntry = z.object({
  schema: z.literal(1),
  kind: z.literal("call"),
  key: Sha256,
  state: z.enum(["running", "done"]),
  runner: RunnerId,
  estimate_usd: usd,
  cost: usd,
  usage: Usage,
  /** The answer as JSON text; null while running. */
  answer: text.nullable(),
  started_at: instant,
  ended_at: instant.nullable(),
});
export type CallCacheEntry = z.infer<typeof CallCacheEntry>;

/**
 * The book of one budget, a day's or a job's. Runners take grants from it by compare-and-swap and
 * spend those in memory; what is left of a grant comes back when its runner has nothing to do. The
 * grant of a runner that died stays, and counts as spent.
 */
export const BudgetBook = z.object({
  schema: z.literal(1),
  /** USD of grants that came back. */
  spent: usd,
  /** USD by runner. */
  grants: z.record(z.string(), usd),
  updated_at: instant,
});
export type BudgetBook = z.infer<typeof BudgetBook>;

export const DeadRecord = z.object({
  schema: z.literal(1),
  job_id: JobId,
  item_id: ItemId,
  run: RunNumber,
  attempts: z.int(),
  reason: text,
  error: ErrorRecordSchema,
  /** The command that makes a new run of it. */
  replay: text,
  at: instant,
});
export type DeadRecord = z.infer<typeof DeadRecord>;

/** `manifest.json` of a published item. Times, attempts and costs may differ between equal runs. */
export const Manifest = z.object({
  schema: z.literal(1),
  job_id: JobId,
  item_id: ItemId,
  run: RunNumber,
  outcome: z.enum(["complete", "partial"]),
  /** Optional stages that are missing, and why: what makes the outcome `partial`. */
  missing: z.array(z.object({ stage: text, why: text })),
  /** Published names that this source has nothing for (no audio, so no audio.m4a), and why. */
  absent: z.array(z.object({ path: text, why: text })),
  clipscribe_version: text,
  pipeline: z.object({ name: text, digest: Sha256 }),
  source: Source,
  info: ItemInfo,
  files: z.array(
    z.object({ path: text, sha256: Sha256, size: z.int(), media_type: text, stage: text }),
  ),
  stages: z.array(
    z.object({
      id: text,
      uses: text,
      key: Sha256,
      code_digest: Sha256,
      params: z.record(z.string(), z.unknown()),
      provider: text.nullable(),
      model: text.nullable(),
      prompt_digest: Sha256.nullable(),
      usage: Usage,
      cost_usd: usd,
      started_at: instant,
      ended_at: instant,
      tools: z.record(z.string(), text),
      /** The process that ran it, a runner's or a laptop's: host, process number, chance. */
      made_by: text.optional(),
    }),
  ),
  cost_usd: usd,
  published_at: instant,
});
export type Manifest = z.infer<typeof Manifest>;
