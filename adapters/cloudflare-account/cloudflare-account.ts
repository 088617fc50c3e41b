/**
 * A Cloudflare account as `clipscribe cloud` sees it: what is there of a bucket and its queues, and
 * the few writes that a setup needs. It has no call that deletes anything.
 */
import { z } from "zod";

import { ClipscribeError, isKind } from "../../core/errors.ts";
import type { Lane } from "../../core/ids.ts";
import { JURISDICTIONS } from "../../core/r2-endpoint.ts";
import type { Jurisdiction } from "../../core/r2-endpoint.ts";
import { LANES, MAX_DELIVERIES, VISIBILITY_MS } from "../../core/account-wanted.ts";
import type { CorsRule, LifecycleRule, WantedAccount } from "../../core/account-wanted.ts";
import type { FoundAccount, FoundQueue, FoundRule } from "../../core/account-plan.ts";
import { requestAccount } from "./account-request.ts";
import type { AccountAnswer, AccountApiOptions, AccountRequest } from "./account-request.ts";

/** A page has twenty queues or more; Cloudflare allows 10,000 queues. */
const MAX_PAGES = 500;
const PAGE_SIZE = 100;

export interface NewRule {
  actions: readonly string[];
  prefix: string;
  suffix: string;
  description: string;
}

export interface PulledMessage {
  leaseId: string;
  body: unknown;
  attempts: number;
  metadata: Record<string, unknown>;
}

export interface CloudflareAccount {
  /** `unknown` where this kind of token can't be asked about itself. */
  verifyToken(): Promise<"valid" | "invalid" | "unknown">;
  /** All of it but the objects. @throws `denied` naming each right that is missing; `config`. */
  read(): Promise<Omit<FoundAccount, "foreignKey">>;
  /** Null: there is none where it is wanted. @throws `denied` without the right to R2. */
  readBucket(): Promise<FoundAccount["bucket"]>;
  /** @throws `denied` without the right to queues. */
  readQueues(): Promise<FoundAccount["queues"]>;
  createBucket(): Promise<void>;
  createQueue(lane: Lane): Promise<void>;
  createConsumer(queueId: string): Promise<void>;
  /** @throws `conflict` where R2 says that they overlap others. */
  putRules(queueId: string, rules: readonly NewRule[]): Promise<void>;
  putLifecycle(rules: readonly LifecycleRule[]): Promise<void>;
  putCors(rules: readonly CorsRule[]): Promise<void>;
  pull(queueId: string, visibilityMs: number, max: number): Promise<PulledMessage[]>;
  settle(queueId: string, acks: readonly string[], retries: readonly string[]): Promise<void>;
}

const text = z.string().nullish();
const Queue = z.object({
  queue_id: z.string(),
  queue_name: z.string(),
  jurisdiction: text,
  settings: z.object({ delivery_paused: z.boolean().nullish() }).nullish(),
  producers: z
    .array(z.object({ type: text, bucket_name: text, script: text, script_name: text }))
    .nullish(),
});
const Consumer = z.object({
  consumer_id: text,
  type: text,
  script: text,
  script_name: text,
  service: text,
  settings: z.object({ max_retries: z.number().nullish() }).nullish(),
});
const Rules = z.object({
  queues: z
    .array(
      z.object({
        queueId: z.string(),
        queueName: text,
        rules: z
          .array(
            z.object({
              ruleId: text,
              prefix: text,
              suffix: text,
              actions: z.array(z.string()).nullish(),
              description: text,
            }),
          )
          .nullish(),
      }),
    )
    .nullish(),
});
// Loose: what a person set and we do not know has to survive the PUT of the whole set.
const Condition = z.looseObject({
  type: z.string(),
  maxAge: z.number().optional(),
  date: z.string().optional(),
});
const Lifecycle = z.object({
  rules: z
    .array(
      z.looseObject({
        id: z.string().default(""),
        enabled: z.boolean().default(true),
        conditions: z.looseObject({ prefix: z.string().optional() }).default({}),
        deleteObjectsTransition: z.looseObject({ condition: Condition }).optional(),
        abortMultipartUploadsTransition: z.looseObject({ condition: Condition }).optional(),
      }),
    )
    .nullish(),
});
const Cors = z.object({
  rules: z
    .array(
      z.looseObject({
        id: z.string().optional(),
        allowed: z.looseObject({
          origins: z.array(z.string()).default([]),
          methods: z.array(z.string()).default([]),
          headers: z.array(z.string()).optional(),
        }),
        exposeHeaders: z.array(z.string()).optional(),
        maxAgeSeconds: z.number().optional(),
      }),
    )
    .nullish(),
});
const Pulled = z.object({
  messages: z.array(
    z.object({
      lease_id: z.string(),
      body: z.unknown(),
      attempts: z.number().default(1),
      metadata: z.record(z.string(), z.unknown()).nullish(),
    }),
  ),
});

export function openCloudflareAccount(
  api: AccountApiOptions,
  wanted: WantedAccount,
  signal?: AbortSignal,
): CloudflareAccount {
  const { bucket, jurisdiction } = wanted;
  const root = `/accounts/${wanted.accountId}`;
  const bucketPath = `${root}/r2/buckets/${bucket}`;
  const rulesPath = `${root}/event_notifications/r2/${bucket}/configuration`;

  async function r2(request: Omit<AccountRequest, "right" | "jurisdiction">, where = jurisdiction) {
    const right = "Workers R2 Storage: Edit" as const;
    return requestAccount(api, { ...request, right, jurisdiction: where, signal });
  }

  async function queues(request: Omit<AccountRequest, "right">): Promise<AccountAnswer> {
    return requestAccount(api, { ...request, right: "Queues: Edit", signal });
  }

  async function hasBucket(where: Jurisdiction): Promise<boolean> {
    return present(async () => {
      await r2({ method: "GET", path: bucketPath }, where);
      return true;
    }, false);
  }

  /** Where else the name is taken. Only a hint, so an account without that jurisdiction is no trouble. */
  async function findElsewhere(): Promise<Jurisdiction[]> {
    const others = JURISDICTIONS.filter((each) => each !== jurisdiction);
    const has = await Promise.all(
      others.map(async (each) =>
        hasBucket(each).catch((error: unknown) => {
          if (isKind(error, "transient", "cancelled")) throw error;
          return false;
        }),
      ),
    );
    return others.filter((_, index) => has[index]);
  }

  async function readBucket(): Promise<FoundAccount["bucket"]> {
    if (!(await hasBucket(jurisdiction))) return null;
    const get = async (path: string): Promise<unknown> =>
      (await r2({ method: "GET", path })).result;
    return {
      rules: await present(async () => readRules(await get(rulesPath)), []),
      lifecycle:
        parseAs(
          Lifecycle,
          await present(async () => get(`${bucketPath}/lifecycle`), {}),
          "lifecycle",
        ).rules ?? [],
      cors:
        parseAs(Cors, await present(async () => get(`${bucketPath}/cors`), {}), "CORS").rules ?? [],
    };
  }

  async function readQueues(): Promise<Record<Lane, FoundQueue | null>> {
    const listed: z.infer<typeof Queue>[] = [];
    for (let page = 1; page <= MAX_PAGES; page++) {
      const path = `${root}/queues?page=${page}&per_page=${PAGE_SIZE}`;
      const { result, info } = await queues({ method: "GET", path });
      const batch = parseAs(z.array(Queue), result ?? [], "queues");
      const known = new Set(listed.map(({ queue_id: id }) => id));
      // An API that knows no pages answers the same one again.
      const fresh = batch.filter(({ queue_id: id }) => !known.has(id));
      listed.push(...fresh);
      const total = Number(info["total_count"] ?? 0);
      if (fresh.length === 0 || (total > 0 && listed.length >= total)) break;
    }
    const found: Record<Lane, FoundQueue | null> = { urgent: null, batch: null };
    for (const lane of LANES) {
      const queue = listed.find(({ queue_name: name }) => name === wanted.queues[lane]);
      if (queue !== undefined) found[lane] = await readQueue(queue);
    }
    return found;
  }

  async function readQueue(queue: z.infer<typeof Queue>): Promise<FoundQueue> {
    const path = `${root}/queues/${queue.queue_id}/consumers`;
    const { result } = await queues({ method: "GET", path });
    const consumers = parseAs(z.array(Consumer), result ?? [], "consumers");
    return {
      id: queue.queue_id,
      name: queue.queue_name,
      jurisdiction: queue.jurisdiction ?? undefined,
      isPaused: queue.settings?.delivery_paused === true,
      consumers: consumers.map((each) => ({
        id: each.consumer_id ?? "",
        type: each.type ?? "worker",
        script: each.script ?? each.script_name ?? each.service ?? undefined,
        maxRetries: each.settings?.max_retries ?? undefined,
      })),
      producers: (queue.producers ?? []).map((each) => ({
        type: each.type ?? "",
        name: each.bucket_name ?? each.script ?? each.script_name ?? undefined,
      })),
    };
  }

  return {
    async verifyToken() {
      for (const path of ["/user/tokens/verify", `${root}/tokens/verify`]) {
        try {
          const { result } = await requestAccount(api, {
            method: "GET",
            path,
            right: null,
            signal,
          });
          const { status } = (result ?? {}) as { status?: unknown };
          if (status === undefined || status === "active") return "valid";
        } catch (error) {
          if (isKind(error, "transient", "cancelled")) throw error;
          if (!isKind(error, "denied")) return "unknown";
        }
      }
      return "invalid";
    },

    async read() {
      const [ofBucket, ofQueues] = await Promise.allSettled([readBucket(), readQueues()]);
      if (ofBucket.status === "fulfilled" && ofQueues.status === "fulfilled") {
        const elsewhere = ofBucket.value === null ? await findElsewhere() : [];
        return { bucket: ofBucket.value, queues: ofQueues.value, elsewhere };
      }
      const errors = [ofBucket, ofQueues].flatMap((each) =>
        each.status === "rejected" ? [each.reason as unknown] : [],
      );
      const denied = errors.filter((error) => isKind(error, "denied"));
      if (denied.length < 2) throw errors[0];
      throw new ClipscribeError("denied", "Cloudflare refuses this token for R2 and for Queues", {
        details: { account: wanted.accountId },
        hint: "check CLOUDFLARE_ACCOUNT_ID; else give the token Account · Workers R2 Storage: Edit and Account · Queues: Edit, for this account",
        cause: denied[0],
      });
    },

    readBucket,
    readQueues,

    async createBucket() {
      await made(r2({ method: "POST", path: `${root}/r2/buckets`, body: { name: bucket } }));
    },

    async createQueue(lane) {
      const body = {
        queue_name: wanted.queues[lane],
        ...(jurisdiction !== "default" && { jurisdiction }),
      };
      await made(queues({ method: "POST", path: `${root}/queues`, body }));
    },

    async createConsumer(queueId) {
      const settings = {
        batch_size: 100,
        max_retries: MAX_DELIVERIES,
        visibility_timeout_ms: VISIBILITY_MS,
      };
      const path = `${root}/queues/${queueId}/consumers`;
      await made(queues({ method: "POST", path, body: { type: "http_pull", settings } }));
    },

    async putRules(queueId, rules) {
      await r2({ method: "PUT", path: `${rulesPath}/queues/${queueId}`, body: { rules } });
    },

    async putLifecycle(rules) {
      await r2({ method: "PUT", path: `${bucketPath}/lifecycle`, body: { rules } });
    },

    async putCors(rules) {
      await r2({ method: "PUT", path: `${bucketPath}/cors`, body: { rules } });
    },

    async pull(queueId, visibilityMs, max) {
      const body = { visibility_timeout_ms: visibilityMs, batch_size: max };
      const path = `${root}/queues/${queueId}/messages/pull`;
      const { result } = await queues({ method: "POST", path, body });
      return parseAs(Pulled, result, "messages").messages.map((each) => ({
        leaseId: each.lease_id,
        body: each.body,
        attempts: each.attempts,
        metadata: each.metadata ?? {},
      }));
    },

    async settle(queueId, acks, retries) {
      const leased = (leases: readonly string[]) => leases.map((lease) => ({ lease_id: lease }));
      const body = { acks: leased(acks), retries: leased(retries) };
      await queues({ method: "POST", path: `${root}/queues/${queueId}/messages/ack`, body });
    },
  };
}

function readRules(result: unknown): FoundRule[] {
  return (parseAs(Rules, result ?? {}, "event rules").queues ?? []).flatMap((queue) =>
    (queue.rules ?? []).map((rule) => ({
      ruleId: rule.ruleId ?? "",
      queueId: queue.queueId,
      queueName: queue.queueName ?? queue.queueId,
      prefix: rule.prefix ?? "",
      suffix: rule.suffix ?? "",
      actions: rule.actions ?? [],
      description: rule.description ?? "",
    })),
  );
}

/** What is not there is as good as empty. */
async function present<Value>(work: () => Promise<Value>, otherwise: Value): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (isKind(error, "missing")) return otherwise;
    throw error;
  }
}

/** Somebody, perhaps we ourselves a moment ago, was faster: it is read again anyway. */
async function made(work: Promise<AccountAnswer>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!isKind(error, "conflict")) throw error;
  });
}

function parseAs<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ClipscribeError("contract", `Cloudflare's answer about ${what} has an unknown shape`, {
    hint: "report this: the API has changed",
    cause: parsed.error,
  });
}
