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
  actions: z.array(z.string()).optional(),
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
  /** Null: all that the scope allows. */
  actions: readonly string[] | null;
  /** Null: the whole bucket. */
  paths: { prefixPaths: readonly string[]; objectPaths: readonly string[] } | null;
}

export const FULL_GRANT: Grant = { canWrite: true, actions: null, paths: null };

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
  const { scope, actions, paths } = claims;
  return {
    credentials: { accessKeyId: place.parent.accessKeyId, secretAccessKey: sha256(jwt) },
    grant: {
      canWrite: scope.endsWith("read-write"),
      actions: actions ?? null,
      paths: paths ?? null,
    },
  };
}

function checkClaims(claims: Claims, { parent, accountId, bucket, host, now }: TokenPlace): void {
  if (claims.exp * 1000 <= now) throw new S3Error("ExpiredToken", "the session token has expired");
  const isOurs = claims.iss === parent.accessKeyId && claims.sub === accountId;
  if (!isOurs || claims.aud !== host || claims.bucket !== bucket) {
    throw new S3Error("AccessDenied", "the session token is for another account, host or bucket");
  }
}

/** S3's name of a request, as temporary credentials list them. */
export function actionOf(
  method: string,
  key: string,
  query: ReadonlyMap<string, string>,
  isCopy: boolean,
): string {
  const isUpload = query.has("uploadId");
  if (key === "" && query.has("uploads")) return "ListMultipartUploads";
  if (key === "" && method === "POST") return "DeleteObjects";
  if (key === "" && query.has("location")) return "GetBucketLocation";
  if (key === "") return query.get("list-type") === "2" ? "ListObjectsV2" : "ListObjectsV1";
  switch (method) {
    case "GET":
      return isUpload ? "ListParts" : "GetObject";
    case "HEAD":
      return "HeadObject";
    case "DELETE":
      return isUpload ? "AbortMultipartUpload" : "DeleteObject";
    case "POST":
      return isUpload ? "CompleteMultipartUpload" : "CreateMultipartUpload";
    default:
      if (isUpload) return isCopy ? "UploadPartCopy" : "UploadPart";
      return isCopy ? "CopyObject" : "PutObject";
  }
}

const READS = /^(?:Get|Head|List)/;

/** @throws S3Error `AccessDenied` where the grant does not cover it. */
export function checkGrant({ canWrite, actions, paths }: Grant, action: string, key: string): void {
  const isInside =
    paths === null ||
    paths.prefixPaths.some((prefix) => key.startsWith(prefix)) ||
    (!action.startsWith("ListObjects") && paths.objectPaths.includes(key));
  const isAllowed = (canWrite || READS.test(action)) && (actions?.includes(action) ?? true);
  if (isInside && isAllowed) return;
  throw new S3Error("AccessDenied", "the session token does not reach this");
}

function readPart(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, "base64url").toString("utf8")) ?? {};
  } catch {
    return {};
  }
}
