/**
 * R2, or any S3, as the store. Never retries. Parts are of one size, as R2 wants them. What is asked
 * thousands of times is signed and sent here (signed-requests.ts), the rest is the SDK's
 * (sdk-requests.ts), which is loaded when it is first needed. developers.cloudflare.com/r2/api/s3
 */
import { hash } from "node:crypto";

import { ClipscribeError, isKind } from "../../core/errors.ts";
import type { ObjectKey } from "../../core/keys.ts";
import { MIN_PART_BYTES } from "../../ports/object-store.ts";
import type {
  GetOptions,
  ObjectInfo,
  ObjectStore,
  SendOptions,
  StoredObject,
  UploadPart,
} from "../../ports/object-store.ts";
import { infoOf } from "./object-info.ts";
import { describeS3Error } from "./r2-error.ts";
import { fixedKeys } from "./renewing-keys.ts";
import type { BucketKeys, RenewingKeys, StaticKeys } from "./renewing-keys.ts";
import type { SdkRequests } from "./sdk-requests.ts";
import { openSignedRequests } from "./signed-requests.ts";
import { openSignedUploads } from "./signed-uploads.ts";

export type R2Options = R2Place & (StaticKeys | { keys: RenewingKeys<BucketKeys> });

export interface R2Place {
  endpoint: string;
  bucket: string;
  /** R2: 1,000 between two writes of a key. */
  minWriteIntervalMs: number;
  /** R2's are MD5s; another S3's may be those of encrypted bytes. */
  etags: "md5" | "opaque";
  /** No byte of an upload leaves for so long: it is given up, and can be resumed. */
  stallMs?: number | undefined;
}

/** Streams up to this size are one request; longer ones go in parts of this size. */
const PART_BYTES = 8 * 1024 * 1024;
const MAX_PRESIGN_S = 900;

export function openR2Store(options: R2Options): ObjectStore & Disposable {
  const { bucket } = options;
  const keys = "keys" in options ? options.keys : fixedKeys(options);
  const requests = openSignedRequests({ ...options, keys });
  const uploads = openSignedUploads(requests, bucket);
  let opened: Promise<SdkRequests> | undefined;

  async function sdk(): Promise<SdkRequests> {
    return (opened ??= import("./sdk-requests.ts").then(({ openSdkRequests }) =>
      openSdkRequests({ ...options, keys }),
    ));
  }

  async function putPart(
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    body: Uint8Array,
    part: SendOptions = {},
  ): Promise<UploadPart> {
    const etag = await requests.putPart(key, uploadId, partNumber, body, part);
    return { partNumber, etag, sizeBytes: body.length };
  }

  const store: ObjectStore = {
    minWriteIntervalMs: options.minWriteIntervalMs,
    etags: options.etags,
    partDigest: "md5",

    async get(key: ObjectKey, get: GetOptions = {}): Promise<StoredObject> {
      const found = await requests.get(key, get);
      if (found === undefined) return undefined as unknown as StoredObject;
      const info = infoOf(key, found, found.body.length);
      if (options.etags === "md5" && get.range === undefined) assertBytes(info, found.body);
      return { ...info, body: found.body };
    },

    async getStream(key, get = {}) {
      const found = await requests.getStream(key, get);
      const body = guarded(key, found.body, get.signal);
      return { ...infoOf(key, found, found.ContentLength), body };
    },

    async head(key, head = {}) {
      try {
        const found = await requests.head(key, head);
        return infoOf(key, found, found.ContentLength);
      } catch (error) {
        if (isKind(error, "missing")) return undefined;
        throw error;
      }
    },

    put: async (key, body, put = {}) => requests.put(key, body, put),
    putPart,

    async putStream(key, body, options = {}) {
      const parts = inParts(body);
      const first = await parts.next();
      const second = first.done === true ? first : await parts.next();
      if (second.done === true) return requests.put(key, first.value ?? new Uint8Array(), options);
      const upload = await uploads.createUpload(key, options);
      try {
        const sent = [
          await putPart(key, upload, 1, first.value ?? new Uint8Array(), options),
          await putPart(key, upload, 2, second.value, options),
        ];
        for await (const part of parts) {
          sent.push(await putPart(key, upload, sent.length + 1, part, options));
        }
        return await uploads.completeUpload(key, upload, sent, options);
      } catch (error) {
        // What is left of it costs money until the bucket's own rule removes it, after a week.
        await (await sdk()).abortUpload(key, upload).catch(() => undefined);
        throw error;
      }
    },

    ...uploads,
    listParts: async (...call) => (await sdk()).listParts(...call),
    abortUpload: async (...call) => (await sdk()).abortUpload(...call),
    copy: async (...call) => (await sdk()).copy(...call),
    delete: async (...call) => (await sdk()).delete(...call),
    async *list(...call) {
      yield* (await sdk()).list(...call);
    },

    async presign(key, method, expiresSeconds) {
      if (!(expiresSeconds > 0 && expiresSeconds <= MAX_PRESIGN_S)) {
        throw new ClipscribeError("bug", "a presigned address lives at most 900 seconds");
      }
      return (await sdk()).presign(key, method, expiresSeconds);
    },
  };
  return {
    ...store,
    [Symbol.dispose]: () => {
      requests[Symbol.dispose]();
      void opened?.then((open) => open[Symbol.dispose]());
    },
  };

  async function* guarded(
    key: ObjectKey,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    try {
      yield* body;
    } catch (error) {
      throw describeS3Error(error, { key, bucket, signal });
    }
  }
}

/** An object that was sent in one piece is called by its MD5. What a record says is acted upon. */
function assertBytes({ key, etag }: ObjectInfo, body: Uint8Array): void {
  if (!/^[0-9a-f]{32}$/.test(etag) || hash("md5", body, "hex") === etag) return;
  throw new ClipscribeError("transient", "an answer's bytes are not the object's", {
    details: { key },
    hint: "something between this machine and R2_ENDPOINT damages what it passes on",
  });
}

/**
 * Parts of PART_BYTES, the last one shorter; nothing for an empty stream. Their bytes stay as they are
 * until the part after the next is asked for.
 */
async function* inParts(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
  const size = Math.max(PART_BYTES, MIN_PART_BYTES);
  const buffers: Buffer[] = [];
  let count = 0;
  let filled = 0;
  for await (const chunk of body) {
    // A copy: whoever made the stream may use its buffer again.
    for (let at = 0; at < chunk.length;) {
      const part = (buffers[count % 2] ??= Buffer.allocUnsafe(size));
      const taken = Math.min(chunk.length - at, size - filled);
      part.set(chunk.subarray(at, at + taken), filled);
      at += taken;
      filled += taken;
      if (filled < size) continue;
      yield part;
      count++;
      filled = 0;
    }
  }
  if (filled > 0) yield buffers[count % 2]?.subarray(0, filled) ?? Buffer.alloc(0);
  return undefined;
}
