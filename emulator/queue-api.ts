/**
 * Cloudflare Queues over HTTP: push, pull, ack, peek; and R2's event rules.
 * developers.cloudflare.com/queues/configuration/pull-consumers
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

import { z } from "zod";

import type { EventQueue } from "../ports/event-queue.ts";
import type { FaultPlan } from "./faults.ts";

export interface EmulatedQueue {
  id: string;
  name: string;
  queue: EventQueue;
  /** Bodies that are waiting, oldest first; leases nothing. */
  peek(max: number): { id: string; body: string; attempts: number }[];
  count(): number;
}

export interface EventRule {
  ruleId: string;
  queueId: string;
  prefix: string;
  suffix: string;
  actions: readonly string[];
  description: string;
  createdAt: string;
}

export interface QueueApiOptions {
  accountId: string;
  apiToken: string;
  bucketName: string;
  queues: readonly EmulatedQueue[];
  rules: EventRule[];
  faults: FaultPlan;
  now: () => number;
}

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_VISIBILITY_MS = 12 * 60 * 60 * 1000;
const DEFAULT_VISIBILITY_MS = 30_000;
const DEFAULT_BATCH = 5;
const MAX_BATCH = 100;

const Pull = z.object({
  batch_size: z.int().min(1).max(MAX_BATCH).default(DEFAULT_BATCH),
  visibility_timeout_ms: z.int().min(0).max(MAX_VISIBILITY_MS).default(DEFAULT_VISIBILITY_MS),
});
const Ack = z.object({
  acks: z.array(z.object({ lease_id: z.string() })).default([]),
  retries: z
    .array(z.object({ lease_id: z.string(), delay_seconds: z.number().min(0).default(0) }))
    .default([]),
});
const Push = z.object({
  body: z.unknown(),
  content_type: z.enum(["json", "text"]).default("json"),
  delay_seconds: z.number().min(0).default(0),
});
const PushMany = z.object({ messages: z.array(Push).min(1).max(MAX_BATCH) });
const Rules = z.object({
  rules: z.array(
    z.object({
      actions: z.array(z.string()).min(1),
      prefix: z.string().default(""),
      suffix: z.string().default(""),
      description: z.string().default(""),
    }),
  ),
});

/** A message as it is kept: what it says, and as what it was sent. */
const Kept = z.object({ type: z.enum(["json", "text"]), body: z.string() });

export function keepMessage(type: "json" | "text", body: string): string {
  return JSON.stringify({ type, body });
}

class ApiError extends Error {
  readonly status: number;
  readonly code: number;

  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function openQueueApi(options: QueueApiOptions): {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
} {
  const { faults, queues } = options;
  /** Cloudflare counts deliveries of a lease only while it is known. */
  const leases = new Set<string>();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const text = await readText(request);
      if (request.headers.authorization !== `Bearer ${options.apiToken}`) {
        throw new ApiError(401, 10000, "Authentication error");
      }
      const path = new URL(request.url ?? "/", "http://localhost").pathname;
      const prefix = `/accounts/${options.accountId}/`;
      const at = path.indexOf(prefix);
      if (at === -1) throw new ApiError(404, 7003, "no such account");
      const result = await route(request.method ?? "GET", path.slice(at + prefix.length), text);
      sendJson(response, 200, { success: true, errors: [], messages: [], result });
    } catch (error) {
      const known =
        error instanceof ApiError
          ? error
          : error instanceof z.ZodError || error instanceof SyntaxError
            ? new ApiError(400, 10207, "the body has another shape")
            : new ApiError(500, 15000, "internal error");
      const errors = [{ code: known.code, message: known.message }];
      sendJson(response, known.status, { success: false, errors, messages: [], result: null });
    }
  }

  async function route(method: string, path: string, text: string): Promise<unknown> {
    const parts = path.split("/").map(decodeURIComponent);
    if (parts[0] === "event_notifications") return onRules(method, parts, text);
    if (parts[0] !== "queues") throw new ApiError(404, 7003, "no such address");
    if (parts.length === 1)
      return queues.map(({ id, name }) => ({ queue_id: id, queue_name: name }));
    const found = queues.find(({ id }) => id === parts[1]);
    if (found === undefined) throw new ApiError(404, 10104, "queue not found");
    const what = `${method} ${parts.slice(2).join("/")}`;
    const body = (): unknown => JSON.parse(text === "" ? "{}" : text);
    switch (what) {
      case "GET ":
        return { queue_id: found.id, queue_name: found.name };
      case "POST messages":
        return push(found, [Push.parse(body())]);
      case "POST messages/batch":
        return push(found, PushMany.parse(body()).messages);
      case "POST messages/pull":
        return pull(found, Pull.parse(body()));
      case "POST messages/ack":
        return ack(found, Ack.parse(body()));
      case "POST messages/peek":
        return peek(found, Pull.parse(body()).batch_size);
      default:
        throw new ApiError(404, 7003, "no such address");
    }
  }

  async function push({ queue }: EmulatedQueue, messages: z.infer<typeof Push>[]): Promise<null> {
    for (const { body, content_type: type, delay_seconds: seconds } of messages) {
      const text = type === "text" ? String(body) : JSON.stringify(body);
      await queue.send(keepMessage(type, text), { delayMs: seconds * 1000 });
    }
    return null;
  }

  async function pull(from: EmulatedQueue, wanted: z.infer<typeof Pull>): Promise<unknown> {
    const { paused, no_consumer: isAlone, spent } = faults.faults.queues;
    if (isAlone) {
      throw new ApiError(405, 10001, "messages cannot be pulled unless http_pull mode is enabled");
    }
    if (spent) throw new ApiError(429, 10253, "FreeTierLimitExceeded");
    if (paused) throw new ApiError(409, 10402, "queue_delivery_paused");
    const events = await from.queue.pull({
      max: wanted.batch_size,
      visibilityMs: wanted.visibility_timeout_ms,
    });
    const backlog = from.count();
    return {
      message_backlog_count: backlog,
      messages: events.map(({ id, leaseId, body, attempts }) => {
        leases.add(leaseId);
        return { ...shown(id, body, attempts), lease_id: leaseId };
      }),
      metadata: { metrics: { backlog_count: backlog, backlog_bytes: 0 } },
    };
  }

  function shown(id: string, kept: string, attempts: number): Record<string, unknown> {
    const { type, body } = Kept.parse(JSON.parse(kept));
    const isEncoded = type === "json" && faults.faults.queues.encoding === "base64";
    return {
      id,
      timestamp_ms: options.now(),
      attempts,
      body: isEncoded ? Buffer.from(body).toString("base64") : body,
      metadata: { "CF-Content-Type": type, "CF-sourceMessageSource": "r2" },
    };
  }

  async function ack({ queue }: EmulatedQueue, { acks, retries }: z.infer<typeof Ack>) {
    const warnings: Record<string, string> = {};
    for (const { lease_id: lease } of [...acks, ...retries]) {
      if (!leases.delete(lease)) warnings[lease] = "lease not found or expired";
    }
    await queue.ack(acks.map(({ lease_id: lease }) => lease));
    await queue.retry(
      retries.map(({ lease_id: leaseId, delay_seconds: seconds }) => ({
        leaseId,
        delayMs: seconds * 1000,
      })),
    );
    return { ackCount: acks.length, retryCount: retries.length, warnings };
  }

  function peek(from: EmulatedQueue, max: number): unknown {
    const messages = from.peek(max).map(({ id, body, attempts }) => ({
      ...shown(id, body, attempts),
      ref: createHash("sha256").update(id).digest("hex").slice(0, 16),
    }));
    return { messages };
  }

  /** PUT adds what is not there yet; whether R2 replaces instead is not documented. */
  function onRules(method: string, parts: readonly string[], text: string): unknown {
    const [, , bucket, , , queueId] = parts;
    if (bucket !== options.bucketName) throw new ApiError(404, 10085, "bucket_not_found");
    const { rules } = options;
    if (method === "GET") {
      return {
        bucketName: bucket,
        queues: queues.map(({ id, name }) => ({
          queueId: id,
          queueName: name,
          rules: rules.filter((rule) => rule.queueId === id),
        })),
      };
    }
    if (queues.every(({ id }) => id !== queueId)) throw new ApiError(404, 10104, "queue not found");
    if (method === "DELETE") {
      const wanted =
        text === "" ? null : z.object({ ruleIds: z.array(z.string()) }).parse(JSON.parse(text));
      const kept = rules.filter(
        (rule) => rule.queueId !== queueId || wanted?.ruleIds.includes(rule.ruleId) === false,
      );
      rules.splice(0, rules.length, ...kept);
      return null;
    }
    if (method !== "PUT") throw new ApiError(405, 7001, "method not allowed");
    for (const rule of Rules.parse(JSON.parse(text)).rules) {
      const overlaps = rules.some(
        (other) =>
          (other.prefix.startsWith(rule.prefix) || rule.prefix.startsWith(other.prefix)) &&
          (other.suffix.endsWith(rule.suffix) || rule.suffix.endsWith(other.suffix)),
      );
      if (overlaps) throw new ApiError(400, 11014, "invalid_r2_event_notification_configuration");
      const ruleId = createHash("sha256").update(JSON.stringify(rule)).digest("hex").slice(0, 32);
      const createdAt = new Date(options.now()).toISOString();
      rules.push({ ...rule, ruleId, createdAt, queueId: queueId ?? "" });
    }
    return null;
  }

  return { handle };
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Uint8Array).length;
    if (bytes > MAX_BODY_BYTES) throw new ApiError(413, 10206, "the body is too large");
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString("utf8");
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
