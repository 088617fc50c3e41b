/**
 * RFC 3161 over HTTP (§3.4): a DER request is posted, a DER answer comes back. Whether its signer is
 * to be trusted is for whoever relies on it: `openssl ts -verify` with the authority's certificate.
 */
import { randomBytes } from "node:crypto";

import { SignedData } from "@peculiar/asn1-cms";
import type { ContentInfo } from "@peculiar/asn1-cms";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  MessageImprint,
  PKIStatus,
  TSTInfo,
  TimeStampReq,
  TimeStampReqVersion,
  TimeStampResp,
} from "@peculiar/asn1-tsp";
import { AlgorithmIdentifier } from "@peculiar/asn1-x509";
import { Agent, fetch } from "undici";

import { ClipscribeError } from "../../core/errors.ts";
import type { TimestampAuthority } from "../../ports/timestamp-authority.ts";

const SHA256_OID = "2.16.840.1.101.3.4.2.1";
const TIMEOUT_MS = 20_000;
/** An answer with its certificates is a few kilobytes. */
const MAX_ANSWER_BYTES = 256 * 1024;
const NONCE_BYTES = 8;

const agent = new Agent({ headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });

export interface Timestamp {
  /** Of the bytes that the authority saw, hexadecimal. */
  sha256: string;
  at: Date;
}

export function openTimestampAuthority({ url }: { url: string }): TimestampAuthority {
  const { host } = new URL(url);
  return {
    async stamp(sha256, signal) {
      const nonce = newNonce();
      const answer = await post(url, host, requestFor(sha256, nonce), signal);
      const { info, timestamp } = readToken(answer);
      const isSame = timestamp.sha256 === sha256 && isEqual(info.nonce, nonce);
      if (isSame) return answer;
      throw new ClipscribeError("contract", "the timestamp is of something else", {
        details: { host },
      });
    },
  };
}

/** What an answer says. @throws `contract` where it is refused, or can't be read. */
export function readTimestamp(answer: Uint8Array): Timestamp {
  return readToken(answer).timestamp;
}

function requestFor(sha256: string, nonce: ArrayBuffer): Uint8Array {
  const request = new TimeStampReq({
    version: TimeStampReqVersion.v1,
    messageImprint: new MessageImprint({
      hashAlgorithm: new AlgorithmIdentifier({ algorithm: SHA256_OID, parameters: null }),
      hashedMessage: new OctetString(Buffer.from(sha256, "hex")),
    }),
    nonce,
    certReq: true,
  });
  return new Uint8Array(AsnConvert.serialize(request));
}

/** A positive integer in DER: its first byte is neither 0 nor above 127. */
function newNonce(): ArrayBuffer {
  const bytes = new Uint8Array(randomBytes(NONCE_BYTES));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.buffer;
}

async function post(
  url: string,
  host: string,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: { "content-type": "application/timestamp-query" },
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      dispatcher: agent,
      redirect: "error",
    });
    const answer = new Uint8Array(await response.arrayBuffer());
    if (response.ok && answer.length <= MAX_ANSWER_BYTES) return answer;
    const kind = response.status >= 500 || response.status === 429 ? "transient" : "contract";
    throw new ClipscribeError(kind, `the timestamp authority answered ${response.status}`, {
      details: { host },
      hint: "check CLIPSCRIBE_TSA_URL",
    });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ClipscribeError) throw error;
    throw new ClipscribeError("transient", "the timestamp authority can't be reached", {
      details: { host },
      hint: "check the connection and CLIPSCRIBE_TSA_URL",
      cause: error,
    });
  }
}

function readToken(answer: Uint8Array): { info: TSTInfo; timestamp: Timestamp } {
  let info: TSTInfo | undefined;
  let said = "";
  try {
    const { status, timeStampToken } = AsnConvert.parse(answer, TimeStampResp);
    said = [status.statusString].flat().join(" ");
    const isGranted =
      status.status === PKIStatus.granted || status.status === PKIStatus.grantedWithMods;
    if (isGranted && timeStampToken !== undefined) info = infoOf(timeStampToken);
  } catch (cause) {
    throw new ClipscribeError("contract", "the timestamp can't be read", { cause });
  }
  if (info === undefined) {
    throw new ClipscribeError(
      "contract",
      `the timestamp authority refused: ${said || "no reason"}`,
    );
  }
  const { messageImprint, genTime } = info;
  const hashed = Buffer.from(messageImprint.hashedMessage.buffer);
  const isSha256 = messageImprint.hashAlgorithm.algorithm === SHA256_OID;
  return { info, timestamp: { sha256: isSha256 ? hashed.toString("hex") : "", at: genTime } };
}

function infoOf(token: ContentInfo): TSTInfo | undefined {
  const { encapContentInfo } = AsnConvert.parse(token.content, SignedData);
  const content = encapContentInfo.eContent?.single;
  return content === undefined ? undefined : AsnConvert.parse(content.buffer, TSTInfo);
}

function isEqual(a: ArrayBuffer | undefined, b: ArrayBuffer): boolean {
  return a !== undefined && Buffer.from(a).equals(Buffer.from(b));
}
