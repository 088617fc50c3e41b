/**
 * Mail by SMTP, through nodemailer. The envelope is the settings' and the job's, never a message's;
 * its headers are the subject and the id alone, and neither files nor addresses are fetched for it.
 * Passwords go over TLS only, except to this machine itself.
 */
import { createTransport } from "nodemailer";

import { ClipscribeError } from "../../core/errors.ts";
import type { ErrorKind } from "../../core/errors.ts";
import { problemOfEmail } from "../../core/recipients.ts";
import { safeLine } from "../../core/safe-text.ts";
import type { Message, Notifier } from "../../ports/notifier.ts";
import { parseMailFrom, parseSmtpUrl } from "./smtp-settings.ts";

const CONNECT_MS = 10_000;
/** Between two answers of a server. */
const SILENCE_MS = 20_000;
/** In all: a server that answers a byte at a time ends here. */
const TIMEOUT_MS = 60_000;
/** RFC 5322 §2.1.1: a line has 998 characters at most. */
const MAX_SUBJECT_CHARS = 200;

export interface SmtpOptions {
  /** As in CLIPSCRIBE_SMTP_URL. */
  url: string;
  /** As in CLIPSCRIBE_MAIL_FROM. */
  from: string;
  timeoutMs?: number;
}

/** @throws `config` for settings that can't be used. */
export function openSmtpNotifier({ url, from, timeoutMs = TIMEOUT_MS }: SmtpOptions): Notifier {
  const server = parseSmtpUrl(url);
  const sender = parseMailFrom(from);
  const domain = sender.address.split("@")[1] ?? "localhost";

  async function send(
    message: Message,
    to: string | null,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const problem = to === null ? "there is none" : problemOfEmail(to);
    if (to === null || problem !== undefined) {
      throw new ClipscribeError("contract", `the mail address can't be used: ${problem}`);
    }
    const timeout = AbortSignal.timeout(timeoutMs);
    const transport = createTransport({
      host: server.host,
      port: server.port,
      secure: server.secure,
      ignoreTLS: server.isOwnMachine,
      requireTLS: server.auth !== null && !server.isOwnMachine,
      ...(server.auth !== null && { auth: server.auth }),
      connectionTimeout: Math.min(CONNECT_MS, timeoutMs),
      greetingTimeout: Math.min(CONNECT_MS, timeoutMs),
      socketTimeout: Math.min(SILENCE_MS, timeoutMs),
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    try {
      await transport.sendMail({
        from: sender,
        to: { name: "", address: to },
        envelope: { from: sender.address, to: [to] },
        subject: safeLine(message.subject, MAX_SUBJECT_CHARS),
        text: message.text,
        html: message.html,
        messageId: `<${message.id}@${domain}>`,
        date: message.createdAt,
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
        headers: {
          // Nobody's holiday notice has to answer it: RFC 3834.
          "Auto-Submitted": "auto-generated",
          "X-ClipScribe-Message": message.id,
        },
      });
    } catch (cause) {
      if (signal?.aborted === true) {
        throw new ClipscribeError("cancelled", "the mail was not sent", { cause });
      }
      throw describe(cause, server.host);
    } finally {
      transport.close();
    }
  }
  return { channel: "email", send };
}

/** https://nodemailer.com/smtp/: `code` says where it failed, `responseCode` what the server said. */
function describe(thrown: unknown, host: string): ClipscribeError {
  const { code, command, responseCode, response } = thrown as {
    code?: string;
    command?: string;
    responseCode?: number;
    response?: string;
  };
  const said = response === undefined ? "" : `: ${safeLine(response, 200)}`;
  const make = (kind: ErrorKind, message: string, hint: string): ClipscribeError =>
    new ClipscribeError(kind, message + said, { details: { host }, hint, cause: thrown });
  const isFinal = responseCode !== undefined && responseCode >= 500;
  if (code === "EAUTH" || code === "ENOAUTH" || responseCode === 530 || responseCode === 535) {
    return make("denied", "the mail server refuses the login", "check CLIPSCRIBE_SMTP_URL");
  }
  if (code === "ETLS" || /certificate|self.signed/i.test((thrown as Error).message)) {
    return make(
      "config",
      "the mail server offers no encryption that can be trusted",
      "use smtps://, or a server with a valid certificate",
    );
  }
  if (isFinal && command === "MAIL FROM") {
    return make("config", "the mail server refuses the sender", "check CLIPSCRIBE_MAIL_FROM");
  }
  if (isFinal && (code === "EENVELOPE" || code === "EMESSAGE")) {
    return make(
      "contract",
      "the mail server refuses this mail",
      "check the address, and that the server may send to it",
    );
  }
  return make(
    "transient",
    "the mail server can't be reached, or did not take the mail",
    "it is tried again; check CLIPSCRIBE_SMTP_URL and the server",
  );
}
