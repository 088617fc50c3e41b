/**
 * Whether a new object's event comes out of its lane's queue. Objects are put under `_check`, which
 * is no user's: a runner gives their messages back, so that they can be found beside it. Messages of
 * others are given back at the end; their tickets would heal them even if they were not.
 */
import { setTimeout as delay } from "node:timers/promises";

import { decodeBody } from "../../adapters/cloudflare/message-body.ts";
import type { PulledMessage } from "../../adapters/cloudflare-account/cloudflare-account.ts";
import { ClipscribeError } from "../../core/errors.ts";
import type { Lane } from "../../core/ids.ts";
import { checkKeys, isCheckKey } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";
import { MIN_PART_BYTES } from "../../ports/object-store.ts";
import type { Etag, ObjectStore } from "../../ports/object-store.ts";
import { Unsure } from "./checks.ts";
import type { Checks } from "./checks.ts";
import type { Cloud } from "./open-cloud.ts";

const PULL_MS = 500;
/** Longer than the wait: nothing that we hold comes back meanwhile. */
const HOLD_MS = 10 * 60_000;
const MAX_PULL = 100;

interface Probe {
  id: string;
  lane: Lane;
  key: ObjectKey;
  about: string;
  put(store: ObjectStore): Promise<Etag>;
}

const small = (key: ObjectKey) => async (store: ObjectStore) => store.put(key, Buffer.from("{}"));

export async function checkEvents(
  checks: Checks,
  cloud: Cloud,
  queues: Readonly<Record<Lane, string>>,
  { id, waitMs }: { id: string; waitMs: number },
): Promise<void> {
  const { store } = cloud;
  if (store === null) return;
  for (const lane of ["urgent", "batch"] as const) {
    const held: string[] = [];
    try {
      for (const probe of probesOf(id).filter((each) => each.lane === lane)) {
        await checks.run(`event ${probe.id}`, async () =>
          awaitEvent(checks, { cloud, store, queueId: queues[lane], held, waitMs }, probe),
        );
        // What is left of a check is nobody's ticket, and the next one passes it by.
        await store.delete(probe.key).catch(() => undefined);
      }
    } finally {
      if (held.length > 0)
        await cloud.account.settle(queues[lane], [], held).catch(() => undefined);
    }
  }
}

function probesOf(id: string): Probe[] {
  const urgent = checkKeys.ticket("urgent", id);
  const batch = checkKeys.ticket("batch", id);
  const odd = checkKeys.drop(`${id} ü + & %41.mp4`);
  const large = checkKeys.drop(`${id}.MP4`);
  return [
    { id: "urgent", lane: "urgent", key: urgent, about: "a ticket", put: small(urgent) },
    { id: "batch", lane: "batch", key: batch, about: "a ticket", put: small(batch) },
    { id: "drop", lane: "batch", key: odd, about: "a drop with an odd name", put: small(odd) },
    {
      id: "upload",
      lane: "batch",
      key: large,
      about: "a drop in parts",
      async put(store) {
        const upload = await store.createUpload(large);
        const body = Buffer.alloc(MIN_PART_BYTES);
        return store.completeUpload(large, upload, [
          await store.putPart(large, upload, 1, body),
          await store.putPart(large, upload, 2, Buffer.from("end")),
        ]);
      },
    },
  ];
}

interface Watch {
  cloud: Cloud;
  store: ObjectStore;
  queueId: string;
  held: string[];
  waitMs: number;
}

async function awaitEvent(checks: Checks, watch: Watch, probe: Probe): Promise<string> {
  const { cloud, store, queueId, held, waitMs } = watch;
  const etag = await probe.put(store);
  const startedMs = performance.now();
  while (performance.now() - startedMs < waitMs) {
    const pulled = await cloud.account.pull(queueId, HOLD_MS, MAX_PULL);
    const mine = pulled.find((message) => isOf(message, probe.key));
    // All of them, ours found or not: what is not given back would be hidden for minutes.
    const others = pulled.filter((message) => message !== mine);
    // What an earlier check left behind is nobody's.
    const old = others.filter((message) => isCheckKey(readEvent(message)?.key ?? ""));
    held.push(...others.filter((each) => !old.includes(each)).map(({ leaseId }) => leaseId));
    const acks = [...old, ...(mine === undefined ? [] : [mine])].map(({ leaseId }) => leaseId);
    if (acks.length > 0) await cloud.account.settle(queueId, acks, []);
    if (mine !== undefined) {
      const ms = Math.round(performance.now() - startedMs);
      checks.facts[`event_${probe.id}`] = describeEvent(mine, probe, etag, ms);
      return `${probe.about} was heard of after ${(ms / 1000).toFixed(1)} s`;
    }
    await delay(PULL_MS);
  }
  const runner = await livingRunner(store);
  if (runner !== null) {
    throw new Unsure(
      "unclear",
      `no event of ${probe.about} came; ${runner} works on this queue and may have taken it`,
      "stop that runner for the time of the check, or update it: newer ones give such messages back",
    );
  }
  throw new ClipscribeError("config", `no event of ${probe.about} came within ${waitMs / 1000} s`, {
    details: { key: probe.key },
    hint: "run `clipscribe cloud plan`: the rule, or the queue's consumer, is not what it should be",
  });
}

function isOf(message: PulledMessage, key: ObjectKey): boolean {
  const event = readEvent(message);
  return event !== undefined && isSameKey(event.key, key);
}

interface ReadEvent {
  key: string;
  etag: string;
  action: string;
}

function readEvent({ body }: PulledMessage): ReadEvent | undefined {
  try {
    const { action, object } = JSON.parse(decodeBody(body)) as {
      action?: string;
      object?: { key?: string; eTag?: string };
    };
    if (typeof object?.key !== "string") return undefined;
    return { key: object.key, etag: object.eTag ?? "", action: action ?? "" };
  } catch {
    return undefined;
  }
}

/** Nobody has documented whether keys are encoded in events. */
function isSameKey(told: string, key: string): boolean {
  if (told === key) return true;
  return [told, told.replaceAll("+", " ")].some((each) => {
    try {
      return decodeURIComponent(each) === key;
    } catch {
      return false;
    }
  });
}

function describeEvent(
  message: PulledMessage,
  { key }: Probe,
  etag: Etag,
  ms: number,
): Record<string, unknown> {
  const { body, metadata } = message;
  const event = readEvent(message) ?? { key: "", etag: "", action: "" };
  const isText = typeof body === "string";
  return {
    ms,
    body: !isText ? "object" : body.trimStart().startsWith("{") ? "text" : "base64",
    metadata,
    action: event.action,
    key: event.key === key ? "raw" : "encoded",
    etag: event.etag === etag ? "the object's" : event.etag,
  };
}

async function livingRunner(store: ObjectStore): Promise<string | null> {
  const young = Date.now() - 3 * 60_000;
  for await (const { key, modifiedAt } of store.list("sys/runners/")) {
    if (modifiedAt.getTime() > young) return key.replace(/^sys\/runners\/|\.json$/g, "");
  }
  return null;
}
