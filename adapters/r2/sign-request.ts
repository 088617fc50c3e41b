/**
 * AWS Signature Version 4 in headers, for requests whose body is at hand.
 * docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHmac, createSecretKey, hash } from "node:crypto";
import type { KeyObject } from "node:crypto";

export interface SigningKeys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
}

export interface Unsigned {
  method: "GET" | "HEAD" | "POST" | "PUT";
  host: string;
  /** As it is sent: percent-encoded, see `encodePath`. */
  path: string;
  query: readonly (readonly [name: string, value: string])[];
  /** Lower-case names; all of them are signed. */
  headers: Readonly<Record<string, string>>;
  /** Hex SHA-256 of the body, or UNSIGNED-PAYLOAD. */
  payload: string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
/** R2's only region; any S3 takes the one that it is asked in. */
const REGION = "auto";

export type Sign = (request: Unsigned, now: Date) => Record<string, string>;

/** Returns a function that gives all headers of a request, the signature among them. */
export function openSigner({ accessKeyId, secretAccessKey, sessionToken }: SigningKeys): Sign {
  // A key is good for a day: deriving it takes four times as long as the signature itself.
  let dayOfKey = "";
  let key: Buffer | KeyObject = Buffer.alloc(0);
  return ({ method, host, path, query, headers, payload }, now) => {
    const time = now.toISOString().replaceAll(/[-:]|\.\d{3}/g, "");
    const day = time.slice(0, 8);
    if (day !== dayOfKey) {
      const derived = [day, REGION, "s3", "aws4_request"].reduce<Buffer>(
        hmac,
        Buffer.from(`AWS4${secretAccessKey}`),
      );
      key = createSecretKey(derived);
      dayOfKey = day;
    }
    const all: Record<string, string> = {
      ...headers,
      host,
      "x-amz-content-sha256": payload,
      "x-amz-date": time,
      ...(sessionToken !== undefined && { "x-amz-security-token": sessionToken }),
    };
    const names = Object.keys(all).toSorted();
    const canonical = [
      method,
      path,
      encodeQuery(query),
      ...names.map((name) => `${name}:${(all[name] ?? "").trim().replaceAll(/ +/g, " ")}`),
      "",
      names.join(";"),
      payload,
    ].join("\n");
    const scope = `${day}/${REGION}/s3/aws4_request`;
    const digest = hash("sha256", canonical, "hex");
    const signature = hmac(key, [ALGORITHM, time, scope, digest].join("\n")).toString("hex");
    const credential = `${accessKeyId}/${scope}`;
    all["authorization"] =
      `${ALGORITHM} Credential=${credential}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
    return all;
  };
}

export function encodePath(path: string): string {
  return path.split("/").map(encode).join("/");
}

export function encodeQuery(query: Unsigned["query"]): string {
  const pairs = query.map(([name, value]) => `${encode(name)}=${encode(value)}`);
  return pairs.toSorted().join("&");
}

/** RFC 3986: what `encodeURIComponent` leaves alone is encoded as well. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function hmac(key: Buffer | KeyObject, data: string): Buffer {
  return createHmac("sha256", key).update(data).digest();
}
