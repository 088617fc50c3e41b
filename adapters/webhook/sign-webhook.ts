/**
 * Signatures as in Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`, in base64 behind
 * `v1,`. Several secrets give several signatures, so that one can be replaced without a gap.
 */
import { createHmac } from "node:crypto";

import { ClipscribeError } from "../../core/errors.ts";

const PREFIX = "whsec_";
/** The specification's bounds of a secret, in bytes. */
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;

/** Reads one or more secrets, separated by spaces, newest first. @throws `config`. */
export function parseSecrets(text: string): Buffer[] {
  const secrets = text
    .split(" ")
    .filter(Boolean)
    .map((each) => {
      const base64 = each.startsWith(PREFIX) ? each.slice(PREFIX.length) : each;
      const bytes = Buffer.from(base64, "base64");
      const isBase64 = bytes.toString("base64").replace(/=+$/, "") === base64.replace(/=+$/, "");
      const fits = bytes.length >= MIN_SECRET_BYTES && bytes.length <= MAX_SECRET_BYTES;
      if (isBase64 && fits) return bytes;
      throw new ClipscribeError("config", "CLIPSCRIBE_WEBHOOK_SECRET can't be used", {
        hint: `make one: echo "whsec_$(openssl rand -base64 32)"`,
      });
    });
  if (secrets.length > 0) return secrets;
  throw new ClipscribeError("config", "CLIPSCRIBE_WEBHOOK_SECRET is empty");
}

export function signWebhook(
  secrets: readonly Buffer[],
  { id, timestampS, body }: { id: string; timestampS: number; body: string },
): string {
  const signed = `${id}.${timestampS}.${body}`;
  return secrets
    .map((secret) => `v1,${createHmac("sha256", secret).update(signed).digest("base64")}`)
    .join(" ");
}
