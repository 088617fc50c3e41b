/** What S3's errors mean here. */
import { ClipscribeError } from "../../core/errors.ts";
import type { ErrorKind } from "../../core/errors.ts";

const DENIED = [
  "AccessDenied",
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "ExpiredToken",
  "ExpiredRequest",
  "InvalidToken",
];
const MISSING = ["NoSuchKey", "NotFound", "NoSuchUpload"];
const TIMED = ["RequestTimeTooSkewed"];

interface SdkError {
  name?: string;
  Code?: string;
  message?: string;
  $metadata?: { httpStatusCode?: number };
}

/** Returns undefined where the object is only the same as before (304). */
export function describeS3Error(
  thrown: unknown,
  about: { key?: string; bucket: string; signal?: AbortSignal | undefined },
): ClipscribeError {
  if (thrown instanceof ClipscribeError) return thrown;
  const { key, bucket, signal } = about;
  if (signal?.aborted === true) {
    return new ClipscribeError("cancelled", "the work was interrupted", { cause: signal.reason });
  }
  const error = thrown as SdkError;
  const code = error.name ?? error.Code ?? "";
  const status = error.$metadata?.httpStatusCode ?? 0;
  const details = { ...(key !== undefined && { key }), bucket };
  const as = (kind: ErrorKind, message: string, hint?: string): ClipscribeError =>
    new ClipscribeError(kind, message, { details, cause: thrown, ...(hint && { hint }) });
  if (code === "NoSuchBucket") {
    return as("config", "there is no such bucket", "make it, or correct CLIPSCRIBE_STORE");
  }
  // If-Match on a key that is not there: 412 on R2, 404 on AWS.
  if (status === 412 || code === "ConditionalRequestConflict" || status === 409) {
    return as("conflict", "the object was changed by another writer");
  }
  if (MISSING.includes(code) || status === 404) return as("missing", "there is no such object");
  if (TIMED.includes(code)) {
    return as(
      "denied",
      "this machine's clock is wrong",
      "set it; requests are signed with the time",
    );
  }
  if (DENIED.includes(code) || status === 401 || status === 403) {
    const hint =
      "check R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY; their token needs Object Read & Write for this bucket";
    return as("denied", "the bucket refuses these credentials", hint);
  }
  if (isDamaged(thrown)) {
    const hint = "it is sent again; if this comes back, something on the way changes data";
    return as("transient", "other bytes arrived at the bucket than were sent", hint);
  }
  if (status === 416 || (status >= 400 && status < 500 && status !== 408 && status !== 429)) {
    return as("contract", `the bucket refuses the request: ${code || status}`);
  }
  const what = status === 0 ? "can't be reached or broke off" : `answered ${status}`;
  return as("transient", `the bucket ${what}`, "check the connection and R2_ENDPOINT");
}

/** A 200 that lacks what every S3 says is somebody else's: a hotel's page, a proxy's. */
export function needed<Value>(value: Value | undefined, bucket: string): Value {
  if (value !== undefined && value !== "") return value;
  throw new ClipscribeError("transient", "something else answers in the bucket's place", {
    details: { bucket },
    hint: "sign in to the network that you are on, or correct R2_ENDPOINT",
  });
}

/** What arrived has not the digest that came with it. */
export function isDamaged(thrown: unknown): boolean {
  return (thrown as SdkError).name === "BadDigest";
}

export function isNotModified(thrown: unknown): boolean {
  return (thrown as SdkError).$metadata?.httpStatusCode === 304;
}

/** In the shape of the SDK's errors, so that one place knows what they mean. */
export function refusal(httpStatusCode: number, text: string): Error {
  const code = /<Code>([A-Za-z]{1,80})<\/Code>/.exec(text)?.[1] ?? "";
  const message = /<Message>([^<]{0,300})/.exec(text)?.[1] ?? `HTTP ${httpStatusCode}`;
  return Object.assign(new Error(message), { name: code, $metadata: { httpStatusCode } });
}
