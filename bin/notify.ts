/** `clipscribe notify test|list|send`: messages of finished jobs. */
import { randomBytes } from "node:crypto";

import { systemClock } from "../adapters/system/system-clock.ts";
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import { EXIT, exitCodeOfKind } from "../core/exit-codes.ts";
import { keysOf } from "../core/keys.ts";
import type { Channel, Delivery, OutboxMessage } from "../core/message-records.ts";
import { problemOfEmail, problemOfWebhook } from "../core/recipients.ts";
import { safeLine } from "../core/safe-text.ts";
import type { Message } from "../ports/notifier.ts";
import { openLiveness } from "../runner/liveness.ts";
import { openOutbox } from "../runner/outbox.ts";
import { forgetGone } from "../runner/send-message.ts";
import { listMessages, reviveMessages } from "../sync/list-messages.ts";
import { openBackend } from "./backend.ts";
import { openMachine } from "./compose.ts";
import type { Io } from "./io.ts";
import { readJobId } from "./item-target.ts";
import { openLog } from "./log.ts";
import { messagesIn, openMail } from "./mail.ts";
import { readSettings } from "./settings.ts";
import { hangText } from "./ui/wrap-text.ts";

interface Sent {
  channel: Channel;
  to: string | null;
  error: ErrorRecord | null;
}

export async function notifyTest(
  { email, webhook }: { email?: string; webhook?: string },
  { json }: { json: boolean },
  io: Io,
): Promise<number> {
  assertUsable("--email", email === undefined ? undefined : problemOfEmail(email));
  assertUsable("--webhook", webhook === undefined ? undefined : problemOfWebhook(webhook, true));
  const settings = await readSettings(io);
  await using mail = openMail(settings);
  const isNamed = email !== undefined || webhook !== undefined;
  const named = isNamed ? { email: email ?? null, webhook: webhook ?? null } : mail.defaults;
  const targets: [Channel, string | null][] = [];
  if (named.email !== null) targets.push(["email", named.email]);
  if (named.webhook !== null) targets.push(["webhook", named.webhook]);
  if (targets.length === 0) targets.push(["file", null]);
  const message = testMessage();
  const sent: Sent[] = [];
  for (const [channel, to] of targets) {
    sent.push({ channel, to, error: await trySending(mail, message, channel, to) });
  }
  const taken = sent.find(({ channel, error }) => channel === "webhook" && error === null);
  if (taken?.to != null) {
    // It answers again, if it had said that it is gone.
    const log = openLog({ write: io.stderr, format: json ? "json" : "text", level: "warn" });
    await using backend = await openBackend(settings, log);
    await forgetGone(backend.store, taken.to);
  }
  const failed = sent.find(({ error }) => error !== null)?.error ?? null;
  if (json)
    io.stdout(`${JSON.stringify({ schema: 1, ok: failed === null, id: message.id, sent })}\n`);
  for (const { channel, to, error } of json ? [] : sent) {
    const where = `${channel} ${to ?? `in ${messagesIn(settings.home)}`}`;
    io.stdout(`${error === null ? "sent  " : "FAILED"}  ${safeLine(where, 300)}\n`);
    if (error !== null) io.stdout(hangText("        ", error.message, io));
    if (error?.hint != null) io.stdout(hangText("        ", error.hint, io));
  }
  return failed === null ? EXIT.complete : exitCodeOfKind(failed.kind);
}

async function trySending(
  mail: Pick<ReturnType<typeof openMail>, "notifiers">,
  message: Message,
  channel: Channel,
  to: string | null,
): Promise<ErrorRecord | null> {
  try {
    const notifier = mail.notifiers[channel];
    if (notifier === undefined) {
      const setting = channel === "email" ? "CLIPSCRIBE_SMTP_URL" : "CLIPSCRIBE_WEBHOOK_SECRET";
      throw new ClipscribeError("config", `${setting} is not set`, {
        hint: "set it, then try again: docs/operations.md",
      });
    }
    await notifier.send(message, to);
    return null;
  } catch (error) {
    return toErrorRecord(error);
  }
}

function testMessage(): Message {
  const createdAt = systemClock.now();
  const text = `This is a test. Messages of finished jobs arrive here.\n`;
  return {
    id: sha256Of(randomBytes(32)),
    name: "test",
    subject: "ClipScribe: test",
    text,
    html: `<p>${text}</p>`,
    body: JSON.stringify({ event: "test", at: createdAt.toISOString() }),
    createdAt,
  };
}

export async function notifyList({ json }: { json: boolean }, io: Io): Promise<number> {
  const settings = await readSettings(io);
  const log = openLog({ write: io.stderr, format: json ? "json" : "text", level: "warn" });
  await using backend = await openBackend(settings, log);
  const { waiting, undeliverable } = await listMessages(backend.store, settings.user);
  const shown = (state: string, messages: readonly OutboxMessage[]) =>
    messages.map(({ job_id, id, attempts, not_before, deliveries }) => ({
      state,
      job_id,
      id,
      attempts,
      not_before,
      deliveries,
    }));
  const all = [...shown("waiting", waiting), ...shown("undeliverable", undeliverable)];
  if (json) io.stdout(`${JSON.stringify({ schema: 1, messages: all })}\n`);
  for (const { state, job_id: job, attempts, deliveries } of json ? [] : all) {
    io.stdout(`${job}  ${state} after ${attempts} tries\n`);
    for (const each of deliveries) io.stdout(hangText("  ", describeDelivery(each), io));
  }
  if (!json && all.length === 0) io.stdout("no message waits, and none was refused\n");
  return EXIT.complete;
}

function describeDelivery({ channel, to, state, error }: Delivery): string {
  const why =
    error === null ? "" : `: ${error.message}${error.hint === null ? "" : ` (${error.hint})`}`;
  return `${state} ${channel}${to === null ? "" : ` ${to}`}${why}`;
}

export async function notifySend(
  name: string | undefined,
  { json }: { json: boolean },
  io: Io,
): Promise<number> {
  const settings = await readSettings(io);
  const log = openLog({ write: io.stderr, format: json ? "json" : "text", level: "warn" });
  await using machine = await openMachine(io, settings, log);
  const { user } = settings;
  const revived =
    name === undefined ? 0 : await reviveMessages(machine.store, user, readJobId(name));
  const world = machine.openOffice();
  await using liveness = await openLiveness(world, () => []);
  await using outbox = openOutbox({ world, keys: keysOf(user), liveness, sweeps: false });
  const report = await outbox.sendAll(true);
  if (json) io.stdout(`${JSON.stringify({ schema: 1, revived, ...report })}\n`);
  else {
    const { sent, waiting, refused } = report;
    io.stdout(`${sent} sent, ${waiting} to be tried again, ${refused} refused\n`);
    if (waiting + refused > 0) io.stdout("`clipscribe notify list` says why\n");
  }
  if (report.refused > 0) return EXIT.refused;
  return report.waiting > 0 ? EXIT.unreachable : EXIT.complete;
}

/** @throws `config` */
function assertUsable(flag: string, problem: string | undefined): void {
  if (problem !== undefined) throw new ClipscribeError("config", `${flag}: ${problem}`);
}
