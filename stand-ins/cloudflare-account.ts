/**
 * The control plane of a Cloudflare account on loopback: buckets, their event rules, lifecycle and
 * CORS, queues and their consumers, rights of tokens; in the documented shapes, with the documented
 * errors. Messages are relayed to an emulator where there is one. Shares no code with what it tests.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { describeAccount } from "./cloudflare-account-state.ts";
import type {
  CloudflareStandIn,
  StandInBucket,
  StandInOptions,
  StandInQueue,
  StandInRule,
  StandInTrouble,
  TokenRight,
} from "./cloudflare-account-state.ts";

const ACTIONS = [
  "PutObject",
  "CopyObject",
  "CompleteMultipartUpload",
  "DeleteObject",
  "LifecycleDeletion",
];
const JURISDICTIONS = ["default", "eu", "us", "fedramp"];
const MAX_RULES = 100;

class Refusal extends Error {
  readonly status: number;
  readonly code: number;

  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export async function startCloudflareStandIn(
  options: StandInOptions = {},
): Promise<CloudflareStandIn> {
  const { accountId = "0123456789abcdef0123456789abcdef", putRules = "adds", relay } = options;
  let { trouble } = options;
  const buckets: StandInBucket[] = [];
  const queues: StandInQueue[] = [];
  const tokens = new Map<string, TokenRight[]>([["setup-token", ["r2", "queues"]]]);
  const asked: string[] = [];
  let relayed: { queue_id: string; queue_name: string }[] | undefined;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? "/", "http://localhost");
    const path = url.pathname.replace(/^\/client\/v4/, "");
    asked.push(`${request.method} ${path}`);
    const planned = trouble?.(asked.length, request) ?? null;
    if (planned?.when === "before") return makeTrouble(response, planned);
    let status = 200;
    let body: Record<string, unknown>;
    try {
      const result = await route(request, path, url.searchParams, Buffer.concat(chunks).toString());
      body = { success: true, errors: [], messages: [], ...result };
    } catch (error) {
      const known = error instanceof Refusal ? error : new Refusal(500, 15000, String(error));
      status = known.status;
      const errors = [{ code: known.code, message: known.message }];
      body = { success: false, errors, messages: [], result: null };
    }
    if (planned !== null) return makeTrouble(response, planned);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  }

  function makeTrouble(
    response: ServerResponse,
    { status, retryAfterSeconds }: StandInTrouble,
  ): void {
    if (status === "cut") return void response.destroy();
    const retry = retryAfterSeconds === undefined ? {} : { "retry-after": `${retryAfterSeconds}` };
    response.writeHead(status, { "content-type": "application/json", ...retry });
    const errors = [{ code: status === 429 ? 10429 : 15000, message: "trouble" }];
    response.end(JSON.stringify({ success: false, errors, messages: [], result: null }));
  }

  async function route(
    request: IncomingMessage,
    path: string,
    query: URLSearchParams,
    text: string,
  ): Promise<{ result: unknown; result_info?: unknown }> {
    const method = request.method ?? "GET";
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    const rights = tokens.get(token);
    if (rights === undefined) throw new Refusal(401, 1000, "Invalid API Token");
    if (path === "/user/tokens/verify") return { result: { id: "1", status: "active" } };
    const [, accounts, account = "", ...rest] = path.split("/");
    if (accounts !== "accounts" || !/^[0-9a-f]{32}$/.test(account)) {
      const said = `Could not route to ${path}, perhaps your object identifier is invalid?`;
      throw new Refusal(404, 7003, said);
    }
    if (account !== accountId) throw new Refusal(403, 10000, "Authentication error");
    const need = (right: TokenRight): void => {
      if (!rights.includes(right)) throw new Refusal(403, 10000, "Authentication error");
    };
    const jurisdiction = String(request.headers["cf-r2-jurisdiction"] ?? "default");
    if (!JURISDICTIONS.includes(jurisdiction))
      throw new Refusal(400, 10040, "Invalid jurisdiction");
    const [area, ...where] = rest;
    const body = (): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;
    if (area === "queues") {
      need("queues");
      return onQueues(method, where, query, text);
    }
    need("r2");
    if (options.isR2Enabled === false) {
      throw new Refusal(403, 10042, "Please enable R2 through the Cloudflare Dashboard.");
    }
    if (area === "r2" && where[0] === "buckets") {
      return { result: onBuckets(method, where.slice(1), jurisdiction, body) };
    }
    if (area === "event_notifications" && where[0] === "r2") {
      return { result: await onRules(method, where.slice(1), jurisdiction, text) };
    }
    throw new Refusal(404, 7000, "No route for that URI");
  }

  function findBucket(name: string | undefined, jurisdiction: string): StandInBucket {
    const found = buckets.find((each) => each.name === name && each.jurisdiction === jurisdiction);
    if (found === undefined) throw new Refusal(404, 10006, "The specified bucket does not exist.");
    return found;
  }

  function addBucket(name: string, jurisdiction = "default"): StandInBucket {
    const lifecycle = [
      {
        id: "Default Multipart Abort Rule",
        enabled: true,
        conditions: { prefix: "" },
        abortMultipartUploadsTransition: { condition: { type: "Age", maxAge: 604_800 } },
      },
    ];
    const bucket = { name, jurisdiction, lifecycle, cors: null, rules: new Map() };
    buckets.push(bucket);
    return bucket;
  }

  function onBuckets(
    method: string,
    [name, what]: string[],
    jurisdiction: string,
    body: () => Record<string, unknown>,
  ): unknown {
    const shown = (bucket: StandInBucket) => ({
      name: bucket.name,
      creation_date: "2026-11-25T00:00:00.000Z",
      location: "WEUR",
      jurisdiction: bucket.jurisdiction,
      storage_class: "Standard",
    });
    if (name === undefined && method === "POST") {
      const wanted = String(body()["name"]);
      if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(wanted)) {
        throw new Refusal(400, 10005, "The specified bucket name is not valid.");
      }
      if (buckets.some((each) => each.name === wanted && each.jurisdiction === jurisdiction)) {
        throw new Refusal(409, 10073, "Bucket name already exists.");
      }
      return shown(addBucket(wanted, jurisdiction));
    }
    const bucket = findBucket(name, jurisdiction);
    if (what === undefined && method === "GET") return shown(bucket);
    if (what === "lifecycle" && method === "GET") return { rules: bucket.lifecycle };
    if (what === "lifecycle" && method === "PUT") {
      bucket.lifecycle = body()["rules"] as unknown[];
      return {};
    }
    if (what === "cors" && method === "GET") {
      if (bucket.cors === null)
        throw new Refusal(404, 10059, "The CORS configuration does not exist.");
      return { rules: bucket.cors };
    }
    if (what === "cors" && method === "PUT") {
      bucket.cors = body()["rules"] as unknown[];
      return {};
    }
    throw new Refusal(405, 7001, `Method ${method} not available for that URI.`);
  }

  function addQueue(name: string, jurisdiction = "default"): StandInQueue {
    const queue: StandInQueue = {
      queue_id: randomBytes(16).toString("hex"),
      queue_name: name,
      jurisdiction,
      settings: { delivery_delay: 0, delivery_paused: false, message_retention_period: 345_600 },
      consumers: [],
      producers: [],
      relayId: relayed?.find((each) => each.queue_name === name)?.queue_id ?? null,
    };
    queues.push(queue);
    return queue;
  }

  async function onQueues(
    method: string,
    [id, what, ...rest]: string[],
    query: URLSearchParams,
    text: string,
  ): Promise<{ result: unknown; result_info?: unknown }> {
    const shown = (queue: StandInQueue) => ({
      queue_id: queue.queue_id,
      queue_name: queue.queue_name,
      created_on: "2026-11-25T00:00:00.000Z",
      jurisdiction: queue.jurisdiction,
      settings: queue.settings,
      producers_total_count: queue.producers.length,
      producers: queue.producers,
      consumers_total_count: queue.consumers.length,
      consumers: queue.consumers,
    });
    if (id === undefined && method === "GET") {
      const page = Number(query.get("page") ?? 1);
      const size = Number(query.get("per_page") ?? 20);
      const listed = queues.slice((page - 1) * size, page * size).map(shown);
      const info = { page, per_page: size, count: listed.length, total_count: queues.length };
      return { result: listed, result_info: info };
    }
    if (id === undefined && method === "POST") {
      const body = JSON.parse(text) as Record<string, unknown>;
      const name = String(body["queue_name"]);
      if (queues.some(({ queue_name: other }) => other === name)) {
        throw new Refusal(409, 11009, `Queue name '${name}' is already taken.`);
      }
      await findRelayed();
      return { result: shown(addQueue(name, String(body["jurisdiction"] ?? "default"))) };
    }
    const queue = queues.find(({ queue_id: each }) => each === id);
    if (queue === undefined) throw new Refusal(404, 11000, "Queue does not exist.");
    if (what === "consumers" && method === "GET") return { result: queue.consumers };
    if (what === "consumers" && method === "POST") {
      if (queue.consumers.length > 0)
        throw new Refusal(400, 11004, "workers.api.error.consumer_exists");
      const { type, settings } = JSON.parse(text) as Record<string, unknown>;
      const consumer = { consumer_id: randomBytes(16).toString("hex"), type, settings };
      queue.consumers.push(consumer);
      return { result: consumer };
    }
    if (what === "messages" && method === "POST")
      return { result: await relayMessages(queue, rest, text) };
    throw new Refusal(405, 7001, `Method ${method} not available for that URI.`);
  }

  async function callRelay(method: string, path: string, text?: string): Promise<unknown> {
    if (relay === undefined) throw new Refusal(404, 7000, "nothing is relayed");
    const response = await fetch(`${relay.baseUrl}/accounts/${relay.accountId}${path}`, {
      method,
      headers: { authorization: `Bearer ${relay.apiToken}` },
      ...(text !== undefined && { body: text }),
    });
    const answer = (await response.json()) as {
      result: unknown;
      errors: { code: number; message: string }[];
    };
    const [error] = answer.errors;
    if (error !== undefined) throw new Refusal(response.status, error.code, error.message);
    return answer.result;
  }

  async function findRelayed(): Promise<void> {
    if (relay === undefined || relayed !== undefined) return;
    relayed = (await callRelay("GET", "/queues")) as typeof relayed;
  }

  /** A queue without a pull consumer can't be pulled. */
  async function relayMessages(
    queue: StandInQueue,
    rest: string[],
    text: string,
  ): Promise<unknown> {
    if (!queue.consumers.some(({ type }) => type === "http_pull")) {
      throw new Refusal(405, 10105, "the queue has no HTTP pull consumer");
    }
    const path = ["", "queues", queue.relayId ?? "", "messages", ...rest].join("/");
    return callRelay("POST", path, text);
  }

  async function onRules(
    method: string,
    [name, , , queueId]: string[],
    jurisdiction: string,
    text: string,
  ): Promise<unknown> {
    const bucket = buckets.find((each) => each.name === name && each.jurisdiction === jurisdiction);
    if (bucket === undefined) throw new Refusal(404, 10085, "bucket_not_found");
    if (method === "GET") {
      const listed = [...bucket.rules].map(([id, rules]) => ({
        queueId: id,
        queueName: queues.find((each) => each.queue_id === id)?.queue_name ?? "",
        rules,
      }));
      return { bucketName: name, queues: listed };
    }
    const queue = queues.find((each) => each.queue_id === queueId);
    if (queue === undefined) throw new Refusal(404, 10104, "Queue not found");
    if (method !== "PUT")
      throw new Refusal(405, 7001, `Method ${method} not available for that URI.`);
    const sent = (JSON.parse(text) as { rules: Partial<StandInRule>[] }).rules;
    const own = putRules === "replaces" ? [] : (bucket.rules.get(queue.queue_id) ?? []);
    const others = [...bucket.rules].flatMap(([id, rules]) => (id === queue.queue_id ? [] : rules));
    const taken: StandInRule[] = [];
    for (const { prefix = "", suffix = "", actions = [], description = "" } of sent) {
      const isBad = actions.length === 0 || actions.some((each) => !ACTIONS.includes(each));
      const meets = [...own, ...others, ...taken].some(
        (each) =>
          (each.prefix.startsWith(prefix) || prefix.startsWith(each.prefix)) &&
          (each.suffix.endsWith(suffix) || suffix.endsWith(each.suffix)),
      );
      if (isBad || meets)
        throw new Refusal(400, 11014, "invalid_r2_event_notification_configuration");
      const ruleId = randomBytes(16).toString("hex");
      taken.push({
        ruleId,
        createdAt: "2026-11-25T00:00:00Z",
        prefix,
        suffix,
        actions,
        description,
      });
    }
    if (own.length + others.length + taken.length > MAX_RULES) {
      throw new Refusal(400, 11014, "invalid_r2_event_notification_configuration");
    }
    if (relay !== undefined && queue.relayId !== null) {
      const to = `/event_notifications/r2/${name}/configuration/queues/${queue.relayId}`;
      if (putRules === "replaces") await callRelay("DELETE", to);
      await callRelay("PUT", to, JSON.stringify({ rules: taken }));
    }
    bucket.rules.set(queue.queue_id, [...own, ...taken]);
    if (!queue.producers.some((each) => each["bucket_name"] === name)) {
      queue.producers.push({ type: "r2_bucket", bucket_name: name });
    }
    return {};
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4`,
    accountId,
    buckets,
    queues,
    tokens,
    asked,
    addBucket,
    addQueue,
    setTrouble: (next) => void (trouble = next),
    describe: () => describeAccount(buckets, queues),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
