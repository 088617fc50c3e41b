/**
 * R2's temporary credentials, as they are verified: the session token is a JWT that the parent's
 * secret signed (HS256), the secret is its SHA-256, and what it names bounds the request.
 * developers.cloudflare.com/r2/api/s3/temporary-credentials
 */
import { createHmac } from "node:crypto";

import { z } from "zod";

import { S3Error } from "./s3-error.ts";
import { isSame, sha256 } from "./signature.ts";
import type { Credentials } from "./signature.ts";

const Claims = z.object({
  bucket: z.string(),
  scope: z.enum(["object-read-only", "object-read-write", "admin-read-only", "admin-read-write"]),
  paths: z
    .object({
      prefixPaths: z.array(z.string()).default([]),
      objectPaths: z.array(z.string()).default([]),
    })
    .optional(),
  sub: z.string(),
  iss: z.string(),
  aud: z.string(),
  exp: z.number(),
});
type Claims = z.infer<typeof Claims>;

/** What a request may touch. */
export interface Grant {
  canWrite: boolean;
  /** Null: the whole bucket. */
  paths: { prefixPaths: readonly string[]; objectPaths: readonly string[] } | null;
}

export const FULL_GRANT: Grant = { canWrite: true, paths: null };

export interface TokenPlace {
  parent: Credentials;
  accountId: string;
  bucket: string;
  /** The host that the request was sent to. */
  host: string;
  now: number;
}

/** Returns the secret to check the signature with. @throws S3Error */
export function readSessionToken(
  token: string,
  place: TokenPlace,
): { credentials: Credentials; grant: Grant } {
  const decoded = Buffer.from(token, "base64").toString("latin1");
  const jwt = decoded.startsWith("jwt/") ? decoded.slice(4) : "";
  const [head = "", body = "", signature = "", ...rest] = jwt.split(".");
  const mine = createHmac("sha256", place.parent.secretAccessKey)
    .update(`${head}.${body}`)
    .digest("base64url");
  const isSigned = rest.length === 0 && isSame(mine, signature);
  const algorithm = isSigned ? (readPart(head) as { alg?: unknown }).alg : undefined;
  const claims =
    isSigned && algorithm === "HS256" ? Claims.safeParse(readPart(body)).data : undefined;
  if (claims === undefined) throw new S3Error("InvalidToken", "the session token is none of ours");
  checkClaims(claims, place);
  const { scope, paths } = claims;
  return {
    credentials: { accessKeyId: place.parent.accessKeyId, secretAccessKey: sha256(jwt) },
    grant: { canWrite: scope.endsWith("read-write"), paths: paths ?? null },
  };
}

function checkClaims(claims: Claims, { parent, accountId, bucket, host, now }: TokenPlace): void {
  if (claims.exp * 1000 <= now) throw new S3Error("ExpiredToken", "the session token has expired");
  const isOurs = claims.iss === parent.accessKeyId && claims.sub === accountId;
  if (!isOurs || claims.aud !== host || claims.bucket !== bucket) {
    throw new S3Error("AccessDenied", "the session token is for another account, host or bucket");
  }
}

/** @throws S3Error `AccessDenied` where the grant does not cover it. */
export function checkGrant(
  { canWrite, paths }: Grant,
  { key, isWrite, isListing }: { key: string; isWrite: boolean; isListing: boolean },
): void {
  const isInside =
    paths === null ||
    paths.prefixPaths.some((prefix) => key.startsWith(prefix)) ||
    (!isListing && paths.objectPaths.includes(key));
  if (isInside && (canWrite || !isWrite)) return;
  throw new S3Error("AccessDenied", "the session token does not reach this");
}

function readPart(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, "base64url").toString("utf8")) ?? {};
  } catch {
    return {};
  }
}
