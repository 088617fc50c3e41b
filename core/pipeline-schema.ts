/** The shape of `pipeline.yaml`, from which the parser and the editors' JSON Schema both come. */
import { z } from "zod";

import { ClipscribeError } from "./errors.ts";
import { isPublishedName } from "./keys.ts";
import { problemOfEmail, problemOfWebhook } from "./recipients.ts";

const MAX_STAGES = 100;
const MAX_PUBLISHED = 200;
/** More tries of one stage are a loop, not patience. */
const MAX_ATTEMPTS = 10;
const MAX_POOL_SLOTS = 256;
/** Half the longest time that a claim may live without a person looking: a day. */
const MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000;
const MAX_BUDGET_USD = 100_000;

const UNITS_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const durationText = /^(\d{1,6}(?:\.\d{1,3})?)\s?(ms|s|m|h)$/;

/** Returns the milliseconds of `30m`, `90s`, `1.5h`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = durationText.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (UNITS_MS[match[2] ?? ""] ?? Number.NaN);
}

function isDuration(text: string): boolean {
  const ms = parseDuration(text);
  return ms !== undefined && ms > 0 && ms <= MAX_TIMEOUT_MS;
}

const stageId = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9_-]{0,39})$/, "use a-z, 0-9, - and _, at most 40 characters");
const poolName = z.string().regex(/^[a-z][a-z0-9_-]{0,29}$/, "use a-z, 0-9, - and _");
const artifactPath = z
  .string()
  .regex(
    /^(?:[a-z0-9][a-z0-9_-]*\.)?[a-z][a-z0-9_]*$/,
    "name an artifact, as `transcript` or `stage-id.transcript`",
  );
/** A rule counts whole days; in one, a runner could still be at work. */
const daysMeant = "give days, at least 2 and less than 10,000, as `30d`";
const days = z.string(daysMeant).regex(/^(?:[2-9]|[1-9]\d{1,3})d$/, daysMeant);
const usd = z.number().min(0).max(MAX_BUDGET_USD);

export const RawStage = z.strictObject({
  id: stageId.describe("Names the stage in plans, logs and records."),
  uses: z
    .string()
    .max(200)
    .regex(
      /^[^/\\].*\.(?:ts|mts|js|mjs)$/,
      "name a file beside pipeline.yaml, as `stages/audio.ts`",
    )
    .describe("The stage's file, relative to pipeline.yaml."),
  runs_on: z
    .enum(["edge", "worker"])
    .default("worker")
    .describe("edge: the laptop; worker: the server."),
  with: z.record(z.string(), z.unknown()).default({}).describe("The stage's parameters."),
  in: z.record(z.string(), artifactPath).default({}).describe("Input name → artifact to take."),
  retry: z
    .strictObject({
      attempts: z.int().min(1).max(MAX_ATTEMPTS).default(3),
      backoff: z.enum(["exponential", "fixed"]).default("exponential"),
    })
    .default({ attempts: 3, backoff: "exponential" })
    .describe("How often a stage is tried while its trouble looks transient."),
  timeout: z
    .string()
    .refine(isDuration, "use a time up to 24 hours, as `90s`, `30m` or `2h`")
    .default("30m")
    .describe("A stage that takes longer is ended."),
  pool: poolName.optional().describe("Whose slots it takes; pools are sized under `pools:`."),
  optional: z.boolean().default(false).describe("Without it the item is partial, not failed."),
});

export const RawPipeline = z.strictObject({
  pipeline: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,39}$/, "use a-z, 0-9, - and _, at most 40 characters")
    .describe("The pipeline's name."),
  accept: z
    .array(z.string().regex(/^[a-z0-9]{1,8}$/, "a file extension without its dot, lower case"))
    .min(1)
    .max(100)
    .describe("Extensions of the files that are taken as media."),
  stages: z.array(RawStage).min(1).max(MAX_STAGES),
  publish: z
    .array(z.string().refine(isPublishedName, "use letters, digits, . _ and -, no leading dot"))
    .min(1)
    .max(MAX_PUBLISHED)
    .describe("Which of the files that the stages make appear in the results folder."),
  pools: z
    .record(poolName, z.union([z.int().min(1).max(MAX_POOL_SLOTS), z.literal("cores")]))
    .default({})
    .describe("How many stages of a kind run at once."),
  budget: z
    .strictObject({
      item_usd: usd.optional().describe("No item costs more."),
      job_usd: usd.optional().describe("No job costs more: all that was dropped together."),
      day_usd: usd.optional().describe("No more is spent on one day (UTC)."),
    })
    .default({})
    .describe("Limits in US dollars."),
  notify: z
    .strictObject({
      email: z
        .string()
        .refine((text) => problemOfEmail(text) === undefined, "give one mail address")
        .optional()
        .describe("Gets a mail when a job is finished."),
      webhook: z
        .string()
        .refine((text) => problemOfWebhook(text, true) === undefined, "give one https:// address")
        .optional()
        .describe("Gets a signed POST when a job is finished."),
    })
    .optional()
    .describe("Who is told of finished jobs that name nobody themselves."),
  retention: z
    .strictObject({
      source: days.optional().describe("Originals that went up, and bare drops. Default 30d."),
      blobs: days.optional().describe("What stages made, after its last use. Default 90d."),
      results: z
        .literal("forever", "results are never deleted: write `forever`, or leave it out")
        .optional()
        .describe("Published files stay until somebody deletes them."),
    })
    .optional()
    .describe("How long a bucket keeps what can be had again; `cloud apply` makes its rules."),
  upload: z
    .literal("source", "write `upload: source`, or leave it out")
    .optional()
    .describe("source: the original leaves the laptop even where no worker stage reads it."),
});
export type RawPipeline = z.output<typeof RawPipeline>;

/** The JSON Schema that editors read: templates/pipeline.schema.json. */
export function pipelineJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(RawPipeline, { io: "input" });
  if (typeof schema !== "object") throw new ClipscribeError("bug", "zod returned no JSON Schema");
  return { title: "ClipScribe pipeline", ...schema };
}
