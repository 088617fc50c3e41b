/**
 * Who may be written to: one mail address, or one address on the web. They come from settings, flags
 * and a job's record, never from a file's name or from what was said in it.
 */
import { ClipscribeError } from "./errors.ts";

/** RFC 5321 §4.5.3.1.3: a path, and so an address, has at most 254 characters. */
const MAX_EMAIL_CHARS = 254;
const MAX_URL_CHARS = 2_048;

/** One plain address: no list, no display name, nothing that a header could be made of. */
const email =
  /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/** Returns why it is no mail address. */
export function problemOfEmail(text: string): string | undefined {
  return text.length <= MAX_EMAIL_CHARS && email.test(text)
    ? undefined
    : "give one mail address, as name@example.org";
}

/** Returns why nothing can be sent there. `http:` is for receivers in one's own network. */
export function problemOfWebhook(text: string, allowHttp: boolean): string | undefined {
  const url = text.length <= MAX_URL_CHARS && URL.canParse(text) ? new URL(text) : undefined;
  // oxlint-disable-next-line no-control-regex -- control codes are what is refused here
  if (url === undefined || /[\u0000-\u0020\u007f]/.test(text)) {
    return "give one https:// address";
  }
  if (url.username !== "" || url.password !== "") {
    return "remove user and password from the address: what is sent is signed";
  }
  if (url.protocol === "https:" || (allowHttp && url.protocol === "http:")) return undefined;
  return "give an https:// address; http:// needs CLIPSCRIBE_ALLOW_PRIVATE=webhook";
}

/** Sorts what a person typed into mail and web addresses. @throws `config` for anything else. */
export function readNotify(texts: readonly string[]): Notify {
  const notify: Notify = { email: null, webhook: null };
  for (const text of texts) {
    const channel = /^[a-z][a-z0-9+.-]*:/i.test(text) ? "webhook" : "email";
    const problem = channel === "email" ? problemOfEmail(text) : problemOfWebhook(text, true);
    if (problem === undefined && notify[channel] === null) {
      notify[channel] = text;
      continue;
    }
    throw new ClipscribeError("config", `nobody can be told at \`${text.slice(0, 100)}\``, {
      hint: problem ?? `name one ${channel} only`,
    });
  }
  return notify;
}

export interface Notify {
  email: string | null;
  webhook: string | null;
}

export function isNobody({ email: mail, webhook }: Notify): boolean {
  return mail === null && webhook === null;
}
