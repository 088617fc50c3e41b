/**
 * The cloud on loopback: one bucket over the S3 API, its event notifications, two queues over the
 * pull API; over real HTTP, with the faults that it is told to make. For tests and for trials.
 */
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { openDiskStore } from "../adapters/disk/disk-store.ts";
import { openSqliteQueue } from "../adapters/sqlite/sqlite-queue.ts";
import { openBucket } from "./bucket.ts";
import { Faults, createFaultPlan } from "./faults.ts";
import { keepMessage, openQueueApi, sendJson } from "./queue-api.ts";
import type { EmulatedQueue, EventRule } from "./queue-api.ts";
import { openS3Api } from "./s3-api.ts";
import type { ObjectChange } from "./s3-api.ts";

export interface EmulatorOptions {
  /** State lives here, and is there again after a restart. */
  dir: string;
  /** 0: any that is free. */
  port?: number;
  /** Event rules: those of a finished setup, or none yet. */
  rules?: "preset" | "none";
  now?: () => number;
}

/** What a client has to know; printed as one JSON line by `clipscribe emulator`. */
export interface EmulatorAddress {
  s3_endpoint: string;
  bucket: string;
  access_key_id: string;
  secret_access_key: string;
  queues_base_url: string;
  account_id: string;
  api_token: string;
  queue_urgent: string;
  queue_batch: string;
  faults_url: string;
}

export interface Emulator extends AsyncDisposable {
  address: EmulatorAddress;
  /** Requests by kind since the start: what an account would be billed for. */
  counts: Readonly<Record<string, number>>;
}

const BUCKET = "clipscribe";
const ACCOUNT = "0123456789abcdef0123456789abcdef";
const CREATED = ["PutObject", "CopyObject", "CompleteMultipartUpload"];
/** They open nothing: whoever reaches loopback may read them. */
const ACCESS_KEY = "local-access-key";
const SECRET_KEY = "local-secret-key";
const API_TOKEN = "local-api-token";

export async function openEmulator(options: EmulatorOptions): Promise<Emulator> {
  const { dir, port = 0, now = Date.now } = options;
  mkdirSync(dir, { recursive: true });
  const disk = openDiskStore({ root: join(dir, "bucket") });
  const bucket = await openBucket(disk, now);
  const plan = createFaultPlan();
  const counts: Record<string, number> = {};
  const count = (kind: string): void => void (counts[kind] = (counts[kind] ?? 0) + 1);
  const timers = new Set<NodeJS.Timeout>();
  const file = join(dir, "queues.db");
  const opened = (["urgent", "batch"] as const).map((name) => {
    const queue = openSqliteQueue({ file, name, now });
    return { name, queue };
  });
  const database = new DatabaseSync(file, { timeout: 10_000 });
  const queues = opened.map(({ name, queue }): EmulatedQueue => ({
    id: `queue-${name}`,
    name: `clipscribe-${name}`,
    queue,
    peek: (max) =>
      database
        .prepare(
          "SELECT id, body, attempts FROM events WHERE queue = ? ORDER BY visible_at LIMIT ?",
        )
        .all(name, max) as { id: string; body: string; attempts: number }[],
    count: () =>
      (
        database.prepare("SELECT count(*) AS n FROM events WHERE queue = ?").get(name) as {
          n: number;
        }
      ).n,
  }));
  const preset = [
    ruleOf("queue-urgent", "inbox/urgent/"),
    ruleOf("queue-batch", "inbox/batch/"),
    ruleOf("queue-batch", "drops/"),
  ];
  const rules: EventRule[] = options.rules === "none" ? [] : preset;

  /** Sends an event to whichever queue has a rule for it, with the faults of the way. */
  function changed(change: ObjectChange): void {
    const rule = rules.find(
      ({ prefix, suffix, actions }) =>
        change.key.startsWith(prefix) &&
        change.key.endsWith(suffix) &&
        actions.includes(change.action),
    );
    const queue = queues.find(({ id }) => id === rule?.queueId)?.queue;
    if (queue === undefined) return;
    count(`event:${change.action}`);
    const { drop, double, delay_ms: delayMs, reorder } = plan.faults.events;
    if (plan.chance(drop)) return count("event:dropped");
    const body = JSON.stringify({
      account: ACCOUNT,
      action: change.action,
      bucket: BUCKET,
      object: { key: change.key, size: change.size, eTag: change.etag },
      eventTime: new Date(now()).toISOString(),
    });
    const copies = plan.chance(double) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const late = delayMs > 0 ? plan.below(delayMs) : 0;
      const held = plan.chance(reorder) ? 250 : 0;
      const send = (): void => {
        // Its writer has its answer: a lost event is what the sweep is for.
        queue.send(keepMessage("json", body)).catch(() => count("event:failed"));
      };
      if (late + held === 0) {
        send();
        continue;
      }
      const timer = setTimeout(() => {
        timers.delete(timer);
        send();
      }, late + held);
      timers.add(timer);
    }
  }

  const s3 = openS3Api({
    bucketName: BUCKET,
    bucket,
    credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
    accountId: ACCOUNT,
    faults: plan,
    now,
    changed,
  });
  const queueApi = openQueueApi({
    accountId: ACCOUNT,
    apiToken: API_TOKEN,
    bucketName: BUCKET,
    queues,
    rules,
    faults: plan,
    now,
  });

  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    expects: boolean,
  ): Promise<void> {
    const url = request.url ?? "/";
    if (url.startsWith("/_faults")) return onFaults(request, response);
    const api = url.startsWith("/client/v4/") ? "queues" : "s3";
    count(kindOf(api, request));
    if (isHanging(request)) return;
    const trouble = plan.troubleFor(api);
    await stall(api);
    if (trouble?.kind === "status") return refuse(request, response, trouble.status);
    if (trouble?.kind === "reset" && !trouble.after) return void request.destroy();
    if (trouble?.kind === "reset") loseAnswer(request, response);
    if (api === "s3" && plan.chance(plan.faults.s3.portal)) return showPortal(request, response);
    if (api === "queues") await queueApi.handle(request, response);
    else await s3.handle(request, response, expects);
  }

  function isHanging({ method, url = "" }: IncomingMessage): boolean {
    const { hang } = plan.faults.s3;
    return hang !== "" && method === "GET" && url.startsWith(`/${BUCKET}/${hang}`);
  }

  /** As hotels do. */
  function showPortal(request: IncomingMessage, response: ServerResponse): void {
    count("fault:portal");
    request.resume();
    response.writeHead(200, { "content-type": "text/html" });
    response.end(request.method === "HEAD" ? "" : "<html><body>Sign in</body></html>");
  }

  async function stall(api: "s3" | "queues"): Promise<void> {
    const { stall: share, stall_ms: ms } = plan.faults[api];
    if (ms === 0 || !plan.chance(share)) return;
    count("fault:stall");
    await new Promise<void>((resolve) => setTimeout(resolve, ms));
  }

  /** The work is done, and nobody hears of it. */
  function loseAnswer({ socket }: IncomingMessage, response: ServerResponse): void {
    count("fault:lost-answer");
    // Not the response's: that has none yet where the one before is still on its way out.
    response.writeHead = () => {
      socket.destroy();
      return response;
    };
    response.write = () => true;
    response.end = () => response;
  }

  function refuse(request: IncomingMessage, response: ServerResponse, status: number): void {
    count(`fault:${status}`);
    if (!request.complete) response.setHeader("connection", "close");
    const headers = status === 429 ? { "retry-after": "1" } : {};
    response.writeHead(status, headers).end();
  }

  async function onFaults(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "GET") {
      return sendJson(response, 200, { faults: plan.faults, counts });
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    try {
      plan.set(Faults.parse(JSON.parse(Buffer.concat(chunks).toString("utf8"))));
      sendJson(response, 200, { faults: plan.faults });
    } catch (error) {
      sendJson(response, 400, { error: String(error) });
    }
  }

  const server = createServer((request, response) => {
    handle(request, response, false).catch(() => response.destroy());
  });
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    handle(request, response, true).catch(() => response.destroy());
  });
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    counts,
    address: {
      s3_endpoint: base,
      bucket: BUCKET,
      access_key_id: ACCESS_KEY,
      secret_access_key: SECRET_KEY,
      queues_base_url: `${base}/client/v4`,
      account_id: ACCOUNT,
      api_token: API_TOKEN,
      queue_urgent: "queue-urgent",
      queue_batch: "queue-batch",
      faults_url: `${base}/_faults`,
    },
    async [Symbol.asyncDispose]() {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      database.close();
      for (const { queue } of opened) await queue[Symbol.asyncDispose]();
      await disk[Symbol.asyncDispose]();
    },
  };
}

function ruleOf(queueId: string, prefix: string): EventRule {
  return {
    ruleId: `rule-${prefix.replaceAll("/", "-")}`,
    queueId,
    prefix,
    suffix: "",
    actions: CREATED,
    description: "",
    createdAt: new Date(0).toISOString(),
  };
}

/** Class and kind of an operation, and which part of the bucket it is for: `s3:A:put:jobs`. */
function kindOf(api: "s3" | "queues", request: IncomingMessage): string {
  const kind = operationOf(api, request);
  if (api === "queues") return kind;
  const [path = "", query = ""] = (request.url ?? "/").split("?");
  const listed = /[?&]?prefix=([^&/%]*)/.exec(query)?.[1];
  return `${kind}:${path.split("/")[2] ?? listed ?? ""}`;
}

function operationOf(api: "s3" | "queues", request: IncomingMessage): string {
  const { method = "GET", url = "/", headers } = request;
  if (api === "queues") return `queues:${/messages\/(\w+)/.exec(url)?.[1] ?? "push"}`;
  const [path = "", query = ""] = url.split("?");
  const isBucket = path.split("/").filter((part) => part !== "").length < 2;
  if (method === "DELETE") return "s3:free:delete";
  if (method === "GET" && (isBucket || query.includes("uploadId"))) return "s3:A:list";
  if (method === "GET" || method === "HEAD") return `s3:B:${method.toLowerCase()}`;
  if (headers["x-amz-copy-source"] !== undefined) return "s3:A:copy";
  return query.includes("upload") ? "s3:A:multipart" : "s3:A:put";
}
