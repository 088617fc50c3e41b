/** The settings of mail: a server and its login from one URL, and who mail is from. */
import { isIP } from "node:net";

import { ClipscribeError } from "../../core/errors.ts";
import { problemOfEmail } from "../../core/recipients.ts";
import { safeLine } from "../../core/safe-text.ts";

/** RFC 6409 (submission, upgraded by STARTTLS) and RFC 8314 (TLS from the start). */
const SUBMISSION_PORT = 587;
const SMTPS_PORT = 465;
const MAX_NAME_CHARS = 100;

export interface SmtpServer {
  host: string;
  port: number;
  /** TLS from the first byte. */
  secure: boolean;
  /** What is sent leaves this machine by other ways only. */
  isOwnMachine: boolean;
  auth: { user: string; pass: string } | null;
}

/** Reads `smtp://user:password@host:587` or `smtps://…`; nothing else in it is heeded. @throws `config` */
export function parseSmtpUrl(text: string): SmtpServer {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if ((url?.protocol !== "smtp:" && url?.protocol !== "smtps:") || url.hostname === "") {
    throw unusable("CLIPSCRIBE_SMTP_URL", "give smtp://USER:PASSWORD@HOST:587 or smtps://…:465");
  }
  const host = decodeURIComponent(url.hostname).replaceAll(/^\[|\]$/g, "");
  const secure = url.protocol === "smtps:";
  const user = decodeURIComponent(url.username);
  return {
    host,
    port: url.port === "" ? (secure ? SMTPS_PORT : SUBMISSION_PORT) : Number(url.port),
    secure,
    isOwnMachine: !secure && isOwnMachine(host),
    auth: user === "" ? null : { user, pass: decodeURIComponent(url.password) },
  };
}

/** Reads `a@example.org` or `ClipScribe <a@example.org>`. @throws `config` */
export function parseMailFrom(text: string): { name: string; address: string } {
  const match = /^(?:(?<name>[^<>]*)<(?<angled>[^<>]+)>|(?<plain>[^<>\s]+))$/.exec(text.trim());
  const address = match?.groups?.["angled"] ?? match?.groups?.["plain"] ?? "";
  if (problemOfEmail(address) !== undefined) {
    throw unusable("CLIPSCRIBE_MAIL_FROM", "give name@example.org or Name <name@example.org>");
  }
  const name = safeLine(match?.groups?.["name"] ?? "", MAX_NAME_CHARS).replaceAll(/["\\]/g, "");
  return { name, address };
}

function isOwnMachine(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}

function unusable(name: string, hint: string): ClipscribeError {
  return new ClipscribeError("config", `${name} can't be used`, { hint });
}
