/**
 * The outbox: messages that wait, and how they get to people. At least once, and always under the
 * same id, which receivers tell copies by.
 *
 * ```
 *  put ─► waiting ─claim─► being sent ─► all sent ──► jobs/…/messages/{id}.json, out of the outbox
 *            ▲                  │   └──► refused ───► the same, and dead/…/_message.{id}.json
 *            └── not_before ────┘
 * ```
 *
 * A claim is a compare-and-swap with an owner whose life is its runner's, as of an item: of several
 * runners one sends, and a dead one's message is taken over. The attempt is counted before it is made.
 */
import { ClipscribeError, asClipscribeError, isKind, toErrorRecord } from "../core/errors.ts";
import type { JobId, Sha256 } from "../core/ids.ts";
import { parseOutboxKey } from "../core/keys.ts";
import type { ObjectKey, UserKeys } from "../core/keys.ts";
import { OutboxMessage } from "../core/message-records.ts";
import type { Delivery } from "../core/message-records.ts";
import { createSlots } from "../core/slots.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag } from "../ports/object-store.ts";
import { putPoison } from "./claim.ts";
import type { Wording } from "./compose-message.ts";
import type { Liveness } from "./liveness.ts";
import { sendTo } from "./send-message.ts";
import type { OfficeWorld } from "./world.ts";

/** Messages on their way at once: most of the time of one is waiting. */
const SENDS_AT_ONCE = 16;
/** A pass looks at so many keys, and at so many messages of them. */
const MAX_KEYS_A_PASS = 20_000;
const MAX_LOOKS_A_PASS = 2_000;
/** The first wait after a try that failed; doubled each time, with jitter. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60 * 60_000;
/** An hour apart from the twelfth on: a receiver may be down for three days. */
export const MAX_SEND_ATTEMPTS = 84;
/** No channel takes longer; this ends what hangs all the same. */
const MAX_SEND_MS = 2 * 60_000;
/** Between two looks at least so long, however much is due. */
const MIN_SLEEP_MS = 50;

export interface NewMessage extends Wording {
  id: Sha256;
  job: JobId;
  deliveries: Delivery[];
}

export interface SendReport {
  sent: number;
  /** To be tried again. */
  waiting: number;
  refused: number;
}

export interface Outbox extends AsyncDisposable {
  /** Puts a message that is not there and was never sent, and tries it at once, in the background. */
  put(message: NewMessage): Promise<void>;
  /** Sends what waits and is due; with `now`, whatever waits. */
  sendAll(now?: boolean): Promise<SendReport>;
  /** Resolves when nothing is on its way any more. */
  settle(): Promise<void>;
}

export interface OutboxOptions {
  world: OfficeWorld;
  keys: UserKeys;
  liveness: Pick<Liveness, "isAlive" | "assertAlive" | "lost" | "storeNow">;
  /** Looks again and again by itself; else only what it put itself is tried. */
  sweeps: boolean;
}

interface Claimed {
  key: ObjectKey;
  message: OutboxMessage;
  etag: Etag;
}

type End = "sent" | "waiting" | "refused" | "left";

export function openOutbox({ world, keys, liveness, sweeps }: OutboxOptions): Outbox {
  const { store, clock, log } = world;
  const closing = new AbortController();
  const slots = createSlots(() => SENDS_AT_ONCE);
  const busy = new Set<ObjectKey>();
  const sending = new Set<Promise<unknown>>();
  /** What a look found, while the object is the same: when it is due, by this clock. */
  const looked = new Map<ObjectKey, { etag: Etag; dueMs: number }>();

  /** Runs one at a time a key; never rejects. */
  function track(key: ObjectKey, work: () => Promise<End>): Promise<End> {
    busy.add(key);
    const tracked = work()
      .catch((error: unknown): End => {
        if (!liveness.lost.aborted) {
          log.warn("a message could not be handled", { key, error: toErrorRecord(error) });
        }
        looked.delete(key);
        return "left";
      })
      .finally(() => {
        busy.delete(key);
        sending.delete(tracked);
      });
    sending.add(tracked);
    return tracked;
  }

  async function put({ id, job, deliveries, ...wording }: NewMessage): Promise<void> {
    // Over already: a finisher that died before it could say so is being made good.
    if ((await store.head(keys.message(job, id))) !== undefined) return;
    const now = clock.now().toISOString();
    const message: OutboxMessage = {
      schema: 1,
      id,
      job_id: job,
      user: world.user,
      ...wording,
      created_at: now,
      deliveries,
      // Claimed as it is put, which saves a write.
      attempts: 1,
      not_before: null,
      epoch: 1,
      owner: world.runner,
      updated_at: now,
    };
    const key = keys.outbox(job, id);
    let etag: Etag;
    try {
      etag = await store.put(key, toBytes(message), { ifMatch: null });
    } catch (error) {
      if (isKind(error, "conflict")) return;
      throw error;
    }
    if (closing.signal.aborted) return;
    if (slots.free === 0) {
      looked.set(key, { etag, dueMs: clock.monotonicMs() });
      return;
    }
    void track(key, async () => {
      using _slot = await slots.acquire(closing.signal);
      return await send({ key, message, etag });
    });
  }

  /** From a key of the listing to a claim; what is another's or not due is remembered. */
  async function look(key: ObjectKey, now: boolean): Promise<End> {
    looked.delete(key);
    const address = parseOutboxKey(key);
    const found = await getIfPresent(store, key);
    if (found === undefined) return "left";
    const message = address === undefined ? undefined : parseMessage(found.body);
    if (message === undefined || message.id !== address?.id || message.job_id !== address.job) {
      await putPoison(world, found.body, `message ${key}`);
      await takeAway(key, found.etag);
      return "left";
    }
    const remember = (waitMs: number): End => {
      looked.set(key, { etag: found.etag, dueMs: clock.monotonicMs() + waitMs });
      return "waiting";
    };
    const { owner, not_before: notBefore } = message;
    // A claim of its own that nothing works on is as dead as one of a dead runner.
    if (owner !== null && owner !== world.runner && (await liveness.isAlive(owner))) {
      return remember(world.clocks.leaseMs);
    }
    const waitMs = notBefore === null ? 0 : Date.parse(notBefore) - liveness.storeNow().getTime();
    if (waitMs > 0 && !now) return remember(waitMs);
    const claimed: OutboxMessage = {
      ...message,
      attempts: message.attempts + 1,
      epoch: message.epoch + 1,
      owner: world.runner,
      not_before: null,
      updated_at: clock.now().toISOString(),
    };
    try {
      const etag = await store.put(key, toBytes(claimed), { ifMatch: found.etag });
      return await send({ key, message: claimed, etag });
    } catch (error) {
      if (isKind(error, "conflict")) return "left";
      throw error;
    }
  }

  async function send(claimed: Claimed): Promise<End> {
    const { key, message } = claimed;
    // Whoever had it before may have died between its record and the outbox.
    if (message.attempts > 1) {
      const over = await store.head(keys.message(message.job_id, message.id));
      if (over !== undefined) {
        await forget(claimed);
        return "sent";
      }
    }
    const signal = AbortSignal.any([liveness.lost, AbortSignal.timeout(MAX_SEND_MS)]);
    const deliveries: Delivery[] = [];
    for (const delivery of message.deliveries) {
      // Who slept past its lease wakes up here: somebody else has sent it by now.
      liveness.assertAlive();
      deliveries.push(
        delivery.state === "waiting"
          ? await sendTo({ world, message, signal }, delivery)
          : delivery,
      );
      liveness.lost.throwIfAborted();
    }
    const isLast = message.attempts >= MAX_SEND_ATTEMPTS;
    const settled = isLast ? deliveries.map((each) => giveUp(each, message.attempts)) : deliveries;
    const tried = { ...message, deliveries: settled, owner: null };
    if (settled.some(({ state }) => state === "waiting")) return waitFor(claimed, tried);
    const now = clock.now().toISOString();
    const over = toBytes({ ...tried, not_before: null, updated_at: now });
    const refused = settled.find(({ state }) => state === "refused");
    if (refused !== undefined) {
      log.error("a message can't be delivered", { key, error: refused.error?.message });
      await store.put(keys.deadMessage(message.job_id, message.id), over);
    }
    await store.put(keys.message(message.job_id, message.id), over);
    await forget(claimed);
    return refused === undefined ? "sent" : "refused";
  }

  async function waitFor({ key, etag }: Claimed, tried: OutboxMessage): Promise<End> {
    const waitMs =
      Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** (tried.attempts - 1)) * (0.5 + world.random() / 2);
    // By the store's clock, which all runners share.
    const notBefore = new Date(liveness.storeNow().getTime() + waitMs).toISOString();
    const waiting = { ...tried, not_before: notBefore, updated_at: clock.now().toISOString() };
    try {
      const next = await store.put(key, toBytes(waiting), { ifMatch: etag });
      looked.set(key, { etag: next, dueMs: clock.monotonicMs() + waitMs });
    } catch (error) {
      // Taken over: this runner was thought dead, and the other one goes on.
      if (!isKind(error, "conflict")) throw error;
    }
    return "waiting";
  }

  async function forget({ key, etag }: Claimed): Promise<void> {
    looked.delete(key);
    await takeAway(key, etag);
  }

  /** Unless somebody has written it since. */
  async function takeAway(key: ObjectKey, etag: Etag): Promise<void> {
    await store.delete(key, { ifMatch: etag }).catch((error: unknown) => {
      if (!isKind(error, "conflict", "missing")) throw error;
    });
  }

  /** Looks at these, so many at a time; returns what became of them. */
  async function lookAt(keys: readonly ObjectKey[], now: boolean): Promise<SendReport> {
    const report = { sent: 0, waiting: 0, refused: 0 };
    // Runners that look at the same moment begin at different ends.
    const queue = shuffled(keys, world.random).values();
    const worker = async (): Promise<void> => {
      for (const key of queue) {
        if (closing.signal.aborted || liveness.lost.aborted) return;
        using _slot = await slots.acquire(closing.signal);
        if (busy.has(key)) continue;
        const end = await track(key, async () => look(key, now));
        if (end !== "left") report[end]++;
      }
    };
    await Promise.all(Array.from({ length: SENDS_AT_ONCE }, worker));
    return report;
  }

  /** Lists what waits; returns what is due of it. */
  async function listDue(now: boolean): Promise<ObjectKey[]> {
    const due: ObjectKey[] = [];
    const seen = new Set<ObjectKey>();
    const nowMs = clock.monotonicMs();
    for await (const { key, etag } of store.list(keys.outboxes(), { signal: closing.signal })) {
      if (seen.size >= MAX_KEYS_A_PASS) break;
      seen.add(key);
      const known = looked.get(key);
      const isKnown = known?.etag === etag && known.dueMs > nowMs && !now;
      if (!busy.has(key) && !isKnown) due.push(key);
    }
    for (const key of looked.keys()) if (!seen.has(key)) looked.delete(key);
    return due;
  }

  /** A listing a sweep; what is known to be due in between needs none. */
  async function keepSweeping(): Promise<void> {
    let sweepAtMs = clock.monotonicMs() + world.clocks.sweepMs;
    while (!closing.signal.aborted) {
      const dueMs = [...looked.values()].reduce((ms, each) => Math.min(ms, each.dueMs), sweepAtMs);
      await clock.sleep(Math.max(MIN_SLEEP_MS, dueMs - clock.monotonicMs()), closing.signal);
      const nowMs = clock.monotonicMs();
      try {
        if (nowMs < sweepAtMs) {
          const due = [...looked].flatMap(([key, each]) => (each.dueMs <= nowMs ? [key] : []));
          await lookAt(due, false);
          continue;
        }
        const due = await listDue(false);
        await lookAt(due.slice(0, MAX_LOOKS_A_PASS), false);
        sweepAtMs = due.length > MAX_LOOKS_A_PASS ? nowMs : nowMs + world.clocks.sweepMs;
      } catch (error) {
        if (closing.signal.aborted) return;
        log.warn("the outbox could not be swept", { error: asClipscribeError(error).message });
        sweepAtMs = nowMs + world.clocks.sweepMs;
      }
    }
  }

  async function settle(): Promise<void> {
    while (sending.size > 0) await Promise.all(sending);
  }

  const sweeping = sweeps ? keepSweeping().catch(() => undefined) : Promise.resolve();
  return {
    put,
    sendAll: async (now = false) => lookAt(await listDue(now), now),
    settle,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await sweeping;
      // What is on its way gets there, within its own time.
      await settle();
    },
  };
}

function giveUp(delivery: Delivery, attempts: number): Delivery {
  if (delivery.state !== "waiting") return delivery;
  const last = delivery.error;
  const error = new ClipscribeError("contract", `gave up after ${attempts} tries`, {
    hint: last?.hint ?? "send it again with `clipscribe notify send JOB`",
    cause: last === null ? undefined : new Error(last.message),
  });
  return { ...delivery, state: "refused", error: toErrorRecord(error) };
}

function parseMessage(body: Uint8Array): OutboxMessage | undefined {
  try {
    return OutboxMessage.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  } catch {
    return undefined;
  }
}

function toBytes(message: OutboxMessage): Uint8Array {
  return Buffer.from(`${JSON.stringify(message, null, 1)}\n`);
}

function shuffled<Value>(values: readonly Value[], random: () => number): Value[] {
  const mixed = [...values];
  for (let at = mixed.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    const [a, b] = [mixed[at], mixed[other]];
    if (a === undefined || b === undefined) continue;
    mixed[at] = b;
    mixed[other] = a;
  }
  return mixed;
}
