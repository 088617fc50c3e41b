/**
 * What ClipScribe needs of a Cloudflare account: one bucket, a queue a lane with a pull consumer,
 * rules that tell the queues of tickets and bare drops, three classes of lifetime, and CORS where a
 * browser is to read results.
 *
 * No dead letter queues: a message is only a hint, and what ran out of deliveries is found by the
 * sweep. docs/decisions/2026-11-25-the-account.md
 */
import { ClipscribeError } from "./errors.ts";
import type { Lane } from "./ids.ts";
import type { Jurisdiction } from "./r2-endpoint.ts";
import { DEFAULT_RETENTION } from "./retention.ts";
import type { Retention } from "./retention.ts";

export const LANES: readonly Lane[] = ["urgent", "batch"];

/** Not CopyObject: rclone changes a time by copying an object onto itself. */
export const WANTED_ACTIONS = ["PutObject", "CompleteMultipartUpload"] as const;

/** Parts that nobody completes are billed; an upload that was interrupted goes on within hours. */
const UNFINISHED_UPLOAD_DAYS = 1;
export const DAY_S = 24 * 60 * 60;

/** R2: rules a bucket. developers.cloudflare.com/r2/buckets/event-notifications */
export const MAX_RULES = 100;

/**
 * As many as Queues allows: a delivery is used up whenever a runner that is full gives a message
 * back, and one that can't be read is put aside and acknowledged at its first.
 */
export const MAX_DELIVERIES = 100;
/** Longer than a claim takes; a pull says its own. */
export const VISIBILITY_MS = 60_000;

export interface WantedRule {
  lane: Lane;
  prefix: string;
  suffix: string;
  actions: readonly string[];
  description: string;
}

export interface LifecycleRule {
  id: string;
  enabled: boolean;
  conditions: { prefix?: string | undefined };
  deleteObjectsTransition?: { condition: AgeCondition } | undefined;
  abortMultipartUploadsTransition?: { condition: AgeCondition } | undefined;
}

export interface AgeCondition {
  type: string;
  /** Seconds. */
  maxAge?: number | undefined;
  date?: string | undefined;
}

export interface CorsRule {
  id?: string | undefined;
  allowed: { origins: string[]; methods: string[]; headers?: string[] | undefined };
  exposeHeaders?: string[] | undefined;
  maxAgeSeconds?: number | undefined;
}

export interface WantedAccount {
  accountId: string;
  bucket: string;
  jurisdiction: Jurisdiction;
  queues: Readonly<Record<Lane, string>>;
  rules: readonly WantedRule[];
  lifecycle: readonly LifecycleRule[];
  /** None: browsers have no business with the bucket. */
  cors: readonly CorsRule[];
}

export interface AccountNeeds {
  accountId: string;
  bucket: string;
  jurisdiction: Jurisdiction;
  /** Extensions of media that a bare drop may have: pipeline.yaml's `accept`. */
  accept: readonly string[];
  retention?: Retention | undefined;
  /** Addresses of pages that read the bucket, as `https://desk.example.org`. */
  webOrigins?: readonly string[];
}

/** R2 takes 63, and queues as many, which are named after the bucket. */
const BUCKET_NAME = /^[a-z0-9](?:[a-z0-9-]{1,54}[a-z0-9])$/;

/** @throws `config` for a name that R2 does not take, and for more rules than it takes. */
export function wantedAccount(needs: AccountNeeds): WantedAccount {
  const { accountId, bucket, jurisdiction, retention = DEFAULT_RETENTION } = needs;
  if (!BUCKET_NAME.test(bucket)) {
    throw new ClipscribeError(
      "config",
      "R2 takes no bucket of this name, or its queues' are too long",
      {
        details: { bucket },
        hint: "use 3 to 56 of a-z, 0-9 and -, not at the ends, in CLIPSCRIBE_STORE",
      },
    );
  }
  const rules = [
    ...LANES.map((lane) => rule(lane, `inbox/${lane}/`, "", `ClipScribe: ${lane} tickets`)),
    ...suffixesOf(needs.accept).map((suffix) =>
      rule("batch", "drops/", suffix, "ClipScribe: bare drops"),
    ),
  ];
  if (rules.length > MAX_RULES) {
    throw new ClipscribeError("config", "R2 takes no so many event rules", {
      details: { rules: rules.length, most: MAX_RULES },
      hint: `shorten \`accept\` in pipeline.yaml: each kind of file takes two rules`,
    });
  }
  const { sourceDays, blobDays } = retention;
  return {
    accountId,
    bucket,
    jurisdiction,
    queues: { urgent: `${bucket}-urgent`, batch: `${bucket}-batch` },
    rules,
    lifecycle: [
      expiry("clipscribe-sources", "sources/", sourceDays),
      expiry("clipscribe-drops", "drops/", sourceDays),
      expiry("clipscribe-blobs", "blobs/", blobDays),
      {
        id: "clipscribe-unfinished-uploads",
        enabled: true,
        conditions: { prefix: "" },
        abortMultipartUploadsTransition: {
          condition: { type: "Age", maxAge: UNFINISHED_UPLOAD_DAYS * DAY_S },
        },
      },
    ],
    cors: corsOf(needs.webOrigins ?? []),
  };
}

/** The rooms of the bucket: docs/formats.md, "keys". */
export const BUCKET_ROOMS = [
  "inbox/",
  "drops/",
  "sources/",
  "jobs/",
  "results/",
  "cache/",
  "blobs/",
  "dead/",
  "outbox/",
  "budgets/",
  "pipelines/",
  "sys/",
] as const;

/** Prefixes whose objects our own lifecycle rules remove in time. */
export function expiringPrefixes({ lifecycle }: WantedAccount): string[] {
  return lifecycle.flatMap(({ conditions, deleteObjectsTransition }) =>
    deleteObjectsTransition === undefined || conditions.prefix === undefined
      ? []
      : [conditions.prefix],
  );
}

function rule(lane: Lane, prefix: string, suffix: string, description: string): WantedRule {
  return { lane, prefix, suffix, actions: WANTED_ACTIONS, description };
}

/** Rules are literal, and cameras write capitals. What is spelled otherwise the sweep finds. */
function suffixesOf(accept: readonly string[]): string[] {
  const spelled = accept.flatMap((each) => [`.${each.toLowerCase()}`, `.${each.toUpperCase()}`]);
  return [...new Set(spelled)];
}

function expiry(id: string, prefix: string, days: number): LifecycleRule {
  return {
    id,
    enabled: true,
    conditions: { prefix },
    deleteObjectsTransition: { condition: { type: "Age", maxAge: days * DAY_S } },
  };
}

function corsOf(origins: readonly string[]): CorsRule[] {
  if (origins.length === 0) return [];
  return [
    {
      id: "clipscribe",
      allowed: { origins: [...origins], methods: ["GET", "HEAD"], headers: ["range", "if-match"] },
      exposeHeaders: ["ETag", "Content-Range", "Accept-Ranges"],
      maxAgeSeconds: 3600,
    },
  ];
}
