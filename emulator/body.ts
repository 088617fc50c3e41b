/**
 * The body of a put: `aws-chunked` framing taken off, every digest that the client sent verified,
 * signed chunks and trailers included.
 * docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { crc32 } from "node:zlib";

import { S3Error } from "./s3-error.ts";
import { isSame, sha256 } from "./signature.ts";
import type { Signer } from "./signature.ts";

const EMPTY = sha256("");
/** A chunk's or a trailer's line is short; a longer one is an attack or noise. */
const MAX_LINE_BYTES = 16 * 1024;
const MAX_CHUNK_BYTES = 64 * 1024 * 1024;
const UNSUPPORTED = ["x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme"];

export interface BodyDigests {
  md5: string;
  sizeBytes: number;
  /** `x-amz-checksum-…` headers to store and to say again. */
  checksums: Record<string, string>;
}

export interface ReadBody {
  chunks: AsyncIterable<Uint8Array>;
  /** Once all chunks were read. @throws S3Error where one that was sent does not fit. */
  digests(): BodyDigests;
}

export function readBody(
  source: AsyncIterable<Uint8Array>,
  headers: IncomingHttpHeaders,
  signer: Signer,
): ReadBody {
  const { payload } = signer;
  const isChunked = payload.startsWith("STREAMING-");
  const isSigned = payload.startsWith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
  const md5 = createHash("md5");
  const whole = createHash("sha256");
  const sha1 = createHash("sha1");
  const trailers: Record<string, string> = {};
  let crc = 0;
  let sizeBytes = 0;
  const raw = isChunked ? unchunk(source, isSigned ? signer : null, trailers) : source;

  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of raw) {
      sizeBytes += chunk.length;
      md5.update(chunk);
      whole.update(chunk);
      sha1.update(chunk);
      crc = crc32(chunk, crc);
      yield chunk;
    }
  }

  return {
    chunks: chunks(),
    digests() {
      const digest = md5.digest();
      const sha = whole.digest();
      const sent = (name: string): string | undefined => {
        const value = trailers[name] ?? headers[name];
        return typeof value === "string" ? value : undefined;
      };
      const expected = headers[isChunked ? "x-amz-decoded-content-length" : "content-length"];
      if (expected !== undefined && Number(expected) !== sizeBytes) {
        throw new S3Error("IncompleteBody", "the body has another length than was said");
      }
      const isPlain = /^[0-9a-f]{64}$/.test(payload);
      if (isPlain && payload !== sha.toString("hex")) {
        throw new S3Error("XAmzContentSHA256Mismatch", "the body is not the one that was signed");
      }
      const crcBytes = Buffer.alloc(4);
      crcBytes.writeUInt32BE(crc);
      const known: Record<string, string> = {
        "x-amz-checksum-crc32": crcBytes.toString("base64"),
        "x-amz-checksum-sha256": sha.toString("base64"),
        "x-amz-checksum-sha1": sha1.digest("base64"),
      };
      const checksums: Record<string, string> = {};
      for (const [name, value] of Object.entries(known)) {
        const claimed = sent(name);
        if (claimed === undefined) continue;
        if (claimed !== value) throw new S3Error("BadDigest", `${name} does not fit the body`);
        checksums[name] = value;
      }
      if (UNSUPPORTED.some((name) => sent(name) !== undefined)) {
        throw new S3Error("NotImplemented", "this checksum is not verified here");
      }
      const contentMd5 = headers["content-md5"];
      if (typeof contentMd5 === "string" && contentMd5 !== digest.toString("base64")) {
        const isWellFormed = /^[A-Za-z0-9+/]{22}==$/.test(contentMd5);
        throw new S3Error(isWellFormed ? "BadDigest" : "InvalidDigest", "Content-MD5 does not fit");
      }
      return { md5: digest.toString("hex"), sizeBytes, checksums };
    },
  };
}

/** `SIZE[;chunk-signature=…]\r\n … \r\n`, the last chunk empty, then trailers and an empty line. */
async function* unchunk(
  source: AsyncIterable<Uint8Array>,
  signer: Signer | null,
  trailers: Record<string, string>,
): AsyncGenerator<Uint8Array> {
  const reader = openReader(source);
  let previous = signer?.signature ?? "";
  for (;;) {
    const head = await reader.line();
    const match = /^([0-9a-f]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(head);
    const size = Number.parseInt(match?.[1] ?? "", 16);
    if (match === null || size > MAX_CHUNK_BYTES) {
      throw new S3Error("IncompleteBody", "a chunk's head can't be read");
    }
    const data = await reader.take(size);
    if (signer !== null) {
      const mine = signer.sign(["AWS4-HMAC-SHA256-PAYLOAD", previous, EMPTY, sha256(data)]);
      if (!isSame(mine, match[2] ?? "")) {
        throw new S3Error("SignatureDoesNotMatch", "a chunk is not the one that was signed");
      }
      previous = mine;
    }
    if (size === 0) break;
    yield data;
    if ((await reader.line()) !== "") throw new S3Error("IncompleteBody", "a chunk has no end");
  }
  let signed = "";
  for (;;) {
    const line = await reader.line(true);
    if (line === "") break;
    const at = line.indexOf(":");
    const name = line.slice(0, at).trim().toLowerCase();
    const value = line.slice(at + 1).trim();
    if (name === "x-amz-trailer-signature") {
      const mine = signer?.sign(["AWS4-HMAC-SHA256-TRAILER", previous, sha256(signed)]) ?? "";
      if (!isSame(mine, value)) {
        throw new S3Error("SignatureDoesNotMatch", "the trailer is not the one that was signed");
      }
      continue;
    }
    signed += `${name}:${value}\n`;
    trailers[name] = value;
  }
}

interface Reader {
  /** Without its line end; at the body's end "" where `mayEnd`. */
  line(mayEnd?: boolean): Promise<string>;
  take(size: number): Promise<Buffer>;
}

function openReader(source: AsyncIterable<Uint8Array>): Reader {
  const iterator = source[Symbol.asyncIterator]();
  let held: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  async function more(): Promise<boolean> {
    const { value, done } = await iterator.next();
    if (done === true) return false;
    held = held.length === 0 ? Buffer.from(value) : Buffer.concat([held, value]);
    return true;
  }
  return {
    async line(mayEnd = false) {
      for (;;) {
        const end = held.indexOf("\r\n");
        if (end !== -1) {
          const text = held.subarray(0, end).toString("latin1");
          held = held.subarray(end + 2);
          return text;
        }
        if (held.length > MAX_LINE_BYTES) throw new S3Error("IncompleteBody", "a line has no end");
        if (await more()) continue;
        if (mayEnd && held.length === 0) return "";
        throw new S3Error("IncompleteBody", "the body ends in the middle");
      }
    },
    async take(size) {
      const parts: Buffer[] = [];
      let missing = size;
      while (missing > 0) {
        if (held.length === 0 && !(await more())) {
          throw new S3Error("IncompleteBody", "the body ends in the middle");
        }
        const part = held.subarray(0, missing);
        held = held.subarray(part.length);
        parts.push(part);
        missing -= part.length;
      }
      return Buffer.concat(parts);
    },
  };
}
