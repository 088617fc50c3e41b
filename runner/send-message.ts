/** One try of one delivery: what came of it, as its record says it. */
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, asClipscribeError, isKind, toErrorRecord } from "../core/errors.ts";
import { systemKeys } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { GoneWebhook } from "../core/message-records.ts";
import type { Channel, Delivery, OutboxMessage } from "../core/message-records.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { RunnerWorld } from "./world.ts";

const SET_UP: Record<Channel, string> = {
  email: "set CLIPSCRIBE_SMTP_URL and CLIPSCRIBE_MAIL_FROM where runners run",
  webhook: "set CLIPSCRIBE_WEBHOOK_SECRET where runners run",
  file: "run it where there is a home folder",
};

export interface Sending {
  world: Pick<RunnerWorld, "mail" | "store" | "clock">;
  message: OutboxMessage;
  signal: AbortSignal;
}

/** @throws only what has nothing to do with the receiver: the store's trouble. */
export async function sendTo(sending: Sending, delivery: Delivery): Promise<Delivery> {
  const { world, message, signal } = sending;
  const { channel, to } = delivery;
  try {
    const notifier = world.mail.notifiers[channel];
    if (notifier === undefined) {
      throw new ClipscribeError("config", `nothing here sends by ${channel}`, {
        hint: SET_UP[channel],
      });
    }
    if (channel === "webhook" && to !== null) await assertNotGone(world.store, to);
    const letter = {
      id: message.id,
      name: message.job_id,
      subject: message.subject,
      text: message.text,
      html: message.html,
      body: message.body,
      createdAt: new Date(message.created_at),
    };
    await notifier.send(letter, to, { signal });
    return { ...delivery, state: "sent", at: world.clock.now().toISOString(), error: null };
  } catch (thrown) {
    const error = asClipscribeError(thrown);
    if (channel === "webhook" && to !== null && error.kind === "missing") {
      await rememberGone(sending, to, error.message);
    }
    // Anything else may pass: with time, or once a person acts.
    const isFinal = isKind(error, "contract", "missing", "bug");
    const at = isFinal ? world.clock.now().toISOString() : null;
    return {
      ...delivery,
      state: isFinal ? "refused" : "waiting",
      at,
      error: toErrorRecord(error),
    };
  }
}

/** @throws `missing` where the receiver said before that it is gone. */
async function assertNotGone(store: ObjectStore, url: string): Promise<void> {
  const found = await getIfPresent(store, keyOf(url));
  if (found === undefined) return;
  const gone = GoneWebhook.safeParse(parseJson(found.body)).data;
  throw new ClipscribeError("missing", `the receiver is gone: ${gone?.why ?? "it said so"}`, {
    hint: "`clipscribe notify test --webhook URL` takes it up again",
  });
}

async function rememberGone({ world }: Sending, url: string, why: string): Promise<void> {
  const gone: GoneWebhook = { schema: 1, url, why, at: world.clock.now().toISOString() };
  const body = Buffer.from(`${JSON.stringify(gone, null, 1)}\n`);
  await world.store.put(keyOf(url), body, { ifMatch: null }).catch((error: unknown) => {
    if (!isKind(error, "conflict")) throw error;
  });
}

/** A person tried the receiver, and it answers again. */
export async function forgetGone(store: ObjectStore, url: string): Promise<void> {
  await store.delete(keyOf(url));
}

function keyOf(url: string): ObjectKey {
  return systemKeys.webhook(sha256Of(url));
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString("utf8")) as unknown;
  } catch {
    return undefined;
  }
}
