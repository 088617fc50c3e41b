/** Whom this machine can tell, and how: what the settings say of mail, webhooks and results. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { openFileNotifier } from "../adapters/message-file/file-notifier.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { Notifier, Notifiers } from "../ports/notifier.ts";
import type { Mail } from "../runner/world.ts";
import { readVersion } from "./install.ts";
import type { Settings } from "./settings.ts";

export function openMail(settings: Settings): Mail & AsyncDisposable {
  const { all, home, store, user, results } = settings;
  const value = (name: string): string | null => all.get(name)?.value ?? null;
  const notifiers: Notifiers = { file: openFileNotifier({ dir: messagesIn(home) }) };
  const opened: AsyncDisposable[] = [];
  const smtpUrl = value("CLIPSCRIBE_SMTP_URL");
  if (smtpUrl !== null) {
    const from = value("CLIPSCRIBE_MAIL_FROM");
    notifiers.email = lazy("email", async () => {
      const { openSmtpNotifier } = await import("../adapters/smtp/smtp-notifier.ts");
      return openSmtpNotifier({ url: smtpUrl, from: needed("CLIPSCRIBE_MAIL_FROM", from) });
    });
  }
  const secret = value("CLIPSCRIBE_WEBHOOK_SECRET");
  if (secret !== null) {
    const allowPrivate = (value("CLIPSCRIBE_ALLOW_PRIVATE") ?? "").includes("webhook");
    notifiers.webhook = lazy("webhook", async () => {
      const { openWebhookNotifier } = await import("../adapters/webhook/webhook-notifier.ts");
      const made = openWebhookNotifier({
        secret,
        allowPrivate,
        clock: systemClock,
        version: readVersion(),
      });
      opened.push(made);
      return made;
    });
  }
  const base = value("CLIPSCRIBE_RESULTS_URL")?.replace(/\/+$/, "") ?? null;
  return {
    notifiers,
    defaults: {
      email: value("CLIPSCRIBE_NOTIFY_EMAIL"),
      webhook: value("CLIPSCRIBE_NOTIFY_WEBHOOK"),
    },
    resultsUrl(job) {
      if (base !== null) return `${base}/${user}/${job}/`;
      if (store.kind === "disk") return `${pathToFileURL(join(results, job)).href}/`;
      return `s3://${store.bucket}/results/${user}/${job}/`;
    },
    async [Symbol.asyncDispose]() {
      for (const each of opened) await each[Symbol.asyncDispose]();
    },
  };
}

/** Where messages are written that nobody can be told by other means. */
export function messagesIn(home: string): string {
  return join(home, "messages");
}

/** Loaded when there is something to send: most processes never do. */
function lazy(channel: Notifier["channel"], open: () => Promise<Notifier>): Notifier {
  let opened: Promise<Notifier> | undefined;
  return {
    channel,
    async send(message, to, options) {
      opened ??= open();
      const notifier = await opened;
      await notifier.send(message, to, options);
    },
  };
}

function needed(name: string, value: string | null): string {
  if (value !== null) return value;
  throw new ClipscribeError("config", `${name} is not set`, { hint: "set it where runners run" });
}
