/**
 * Credentials of R2 for a while, for one bucket and some prefixes, signed on our side from a
 * long-lived token's: nobody has to be asked, and the long-lived ones never leave the server.
 * developers.cloudflare.com/r2/api/s3/temporary-credentials, "locally"
 */
import { createHash, createHmac } from "node:crypto";

import { ClipscribeError } from "./errors.ts";

export interface SessionCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
  expiresAt: Date;
}

export interface SessionWish {
  endpoint: string;
  accountId: string;
  parent: { accessKeyId: string; secretAccessKey: string };
  bucket: string;
  scope: "object-read-write" | "object-read-only";
  /** Nothing but these of what the scope allows, by S3's names; undefined: all of it. */
  actions?: readonly string[];
  prefixes: readonly string[];
  ttlSeconds: number;
  now: Date;
}

/** R2's own bounds: a week; below a minute nobody gets anything done. */
export const MAX_SESSION_S = 604_800;
export const MIN_SESSION_S = 60;

/** @throws `config` for a time that R2 does not take. `bug` without prefixes: that were all of it. */
export function mintSessionCredentials(wish: SessionWish): SessionCredentials {
  const { endpoint, accountId, parent, bucket, scope, actions, prefixes, ttlSeconds, now } = wish;
  if (!(ttlSeconds >= MIN_SESSION_S && ttlSeconds <= MAX_SESSION_S)) {
    throw new ClipscribeError("config", "credentials can't live so long, or so short", {
      details: { seconds: ttlSeconds },
      hint: "choose from a minute to a week, as --ttl 12h",
    });
  }
  if (prefixes.length === 0 || prefixes.includes("")) {
    throw new ClipscribeError("bug", "credentials without a prefix would open the whole bucket");
  }
  const issuedAt = Math.floor(now.getTime() / 1000);
  const expires = issuedAt + Math.floor(ttlSeconds);
  const claims = {
    bucket,
    scope,
    ...(actions !== undefined && { actions }),
    paths: { prefixPaths: prefixes, objectPaths: [] },
    sub: accountId,
    iss: parent.accessKeyId,
    aud: new URL(endpoint).host,
    iat: issuedAt,
    exp: expires,
  };
  const content = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  const signature = createHmac("sha256", parent.secretAccessKey)
    .update(content)
    .digest("base64url");
  const jwt = `${content}.${signature}`;
  return {
    accessKeyId: parent.accessKeyId,
    secretAccessKey: createHash("sha256").update(jwt).digest("hex"),
    sessionToken: Buffer.from(`jwt/${jwt}`).toString("base64"),
    expiresAt: new Date(expires * 1000),
  };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
