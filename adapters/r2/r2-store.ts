/**
 * R2, or any S3, as the store. Checksums only where they are required: R2 refuses the trailers that
 * newer SDKs send by themselves. Never retries. Parts are of one size, as R2 wants them.
 * developers.cloudflare.com/r2/api/s3
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

import { ClipscribeError } from "../../core/errors.ts";
import type { ObjectKey } from "../../core/keys.ts";
import { MAX_PAGE_KEYS, MIN_PART_BYTES } from "../../ports/object-store.ts";
import type {
  Etag,
  GetOptions,
  ObjectStore,
  PutOptions,
  RequestOptions,
  SendOptions,
  StreamOptions,
  StoredObject,
  UploadPart,
} from "../../ports/object-store.ts";
import { etagOf, infoOf, quote, usableKey } from "./object-info.ts";
import { describeS3Error, isNotModified, needed } from "./r2-error.ts";
import { fixedKeys, toSdkProvider, withFreshKeys } from "./renewing-keys.ts";
import type { BucketKeys, RenewingKeys, StaticKeys } from "./renewing-keys.ts";
import { openSignedPuts } from "./signed-puts.ts";

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
const MAX_SOCKETS = 50;
const REQUEST_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;

export function openR2Store(options: R2Options): ObjectStore & Disposable {
  const { endpoint, bucket: Bucket } = options;
  const keys = "keys" in options ? options.keys : fixedKeys(options);
  const client = new S3Client({
    region: "auto",
    endpoint,
    forcePathStyle: true,
    // Whatever AWS_… says in this machine's environment is about another cloud.
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    credentials: toSdkProvider(keys),
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // R2 answers no 100-continue, and the SDK would wait six seconds for one with every part.
    expectContinueHeader: false,
    // Who calls decides about tries: a put whose answer is lost is not simply made again.
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Without it the SDK only warns, and waits for ever.
      throwOnRequestTimeout: true,
      socketTimeout: REQUEST_TIMEOUT_MS,
      httpsAgent: { maxSockets: MAX_SOCKETS },
      httpAgent: { maxSockets: MAX_SOCKETS },
    },
  });

  const puts = openSignedPuts({ ...options, keys });

  async function call<Result>(
    about: { key?: ObjectKey; signal?: AbortSignal | undefined },
    work: (abort: { abortSignal?: AbortSignal }) => Promise<Result>,
  ): Promise<Result> {
    const { key, signal } = about;
    return withFreshKeys(keys, async () => {
      try {
        signal?.throwIfAborted();
        return await work(signal === undefined ? {} : { abortSignal: signal });
      } catch (error) {
        throw describeS3Error(error, { bucket: Bucket, signal, ...(key !== undefined && { key }) });
      }
    });
  }

  async function getObject(key: ObjectKey, get: GetOptions & StreamOptions) {
    const Range = get.range && `bytes=${get.range.start}-${get.range.end ?? ""}`;
    const IfNoneMatch = get.ifNoneMatch && quote(get.ifNoneMatch);
    const IfMatch = get.ifMatch && quote(get.ifMatch);
    const { signal } = get;
    return call({ key, signal }, async (abort) =>
      client
        .send(new GetObjectCommand({ Bucket, Key: key, Range, IfMatch, IfNoneMatch }), abort)
        .then((found) => ({ ...found, ETag: needed(found.ETag, Bucket) }))
        .catch((error: unknown) => {
          if (isNotModified(error)) return undefined;
          throw error;
        }),
    );
  }

  async function createUpload(key: ObjectKey, options: Omit<PutOptions, "ifMatch"> = {}) {
    const { signal, contentType: ContentType } = options;
    const { UploadId } = await call({ key, signal }, async (abort) =>
      client.send(new CreateMultipartUploadCommand({ Bucket, Key: key, ContentType }), abort),
    );
    return needed(UploadId, Bucket);
  }

  async function putPart(
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    body: Uint8Array,
    part: SendOptions = {},
  ): Promise<UploadPart> {
    const etag = await puts.putPart(key, uploadId, partNumber, body, part);
    return { partNumber, etag, sizeBytes: body.length };
  }

  async function completeUpload(
    key: ObjectKey,
    UploadId: string,
    parts: readonly UploadPart[],
    options: Pick<PutOptions, "ifMatch" | "signal"> = {},
  ): Promise<Etag> {
    const Parts = parts.map(({ partNumber, etag }) => ({
      PartNumber: partNumber,
      ETag: quote(etag),
    }));
    const { ETag } = await call({ key, signal: options.signal }, async (abort) =>
      client.send(
        new CompleteMultipartUploadCommand({
          Bucket,
          Key: key,
          UploadId,
          MultipartUpload: { Parts },
          ...conditions(options),
        }),
        abort,
      ),
    );
    return etagOf(needed(ETag, Bucket));
  }

  async function abortUpload(key: ObjectKey, UploadId: string, { signal }: RequestOptions = {}) {
    await call({ key, signal }, async (abort) =>
      client.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId }), abort),
    ).catch((error: unknown) => {
      if ((error as ClipscribeError).kind !== "missing") throw error;
    });
  }

  const store: ObjectStore = {
    minWriteIntervalMs: options.minWriteIntervalMs,
    etags: options.etags,
    partDigest: "md5",

    async get(key: ObjectKey, get: GetOptions = {}): Promise<StoredObject> {
      const found = await getObject(key, get);
      if (found === undefined) return undefined as unknown as StoredObject;
      const body = await call({ key, signal: get.signal }, async () =>
        found.Body === undefined ? new Uint8Array() : found.Body.transformToByteArray(),
      );
      return { ...infoOf(key, found, body.length), body };
    },

    async getStream(key, get = {}) {
      const found = await getObject(key, get);
      const body = found?.Body as AsyncIterable<Uint8Array> | undefined;
      const info = infoOf(key, found ?? {}, found?.ContentLength ?? 0);
      return { ...info, body: guarded(key, body, get.signal) };
    },

    put: async (key, body, put = {}) => puts.put(key, body, put),
    createUpload,
    putPart,
    completeUpload,
    abortUpload,

    async putStream(key, body, options = {}) {
      const parts = inParts(body);
      const first = await parts.next();
      const second = first.done === true ? first : await parts.next();
      if (second.done === true) return puts.put(key, first.value ?? new Uint8Array(), options);
      const upload = await createUpload(key, options);
      try {
        const sent = [
          await putPart(key, upload, 1, first.value ?? new Uint8Array(), options),
          await putPart(key, upload, 2, second.value, options),
        ];
        for await (const part of parts) {
          sent.push(await putPart(key, upload, sent.length + 1, part, options));
        }
        return await completeUpload(key, upload, sent, options);
      } catch (error) {
        // What is left of it costs money until the bucket's own rule removes it, after a week.
        await abortUpload(key, upload).catch(() => undefined);
        throw error;
      }
    },

    async listParts(key, UploadId, { signal } = {}) {
      const parts: UploadPart[] = [];
      let marker: string | undefined;
      do {
        const page = await call({ key, signal }, async (abort) =>
          client.send(
            new ListPartsCommand({ Bucket, Key: key, UploadId, PartNumberMarker: marker }),
            abort,
          ),
        );
        needed(page.UploadId ?? page.Parts, Bucket);
        for (const { PartNumber = 0, ETag, Size = 0 } of page.Parts ?? []) {
          parts.push({ partNumber: PartNumber, etag: etagOf(ETag), sizeBytes: Size });
        }
        marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
      } while (marker !== undefined);
      return parts;
    },

    async head(key, { signal } = {}) {
      try {
        const found = await call({ key, signal }, async (abort) =>
          client.send(new HeadObjectCommand({ Bucket, Key: key }), abort),
        );
        const ETag = needed(found.ETag, Bucket);
        return infoOf(key, { ...found, ETag }, found.ContentLength ?? 0);
      } catch (error) {
        if ((error as ClipscribeError).kind === "missing") return undefined;
        throw error;
      }
    },

    async *list(prefix, { signal, startAfter, onUnusable } = {}) {
      let token: string | undefined;
      do {
        const page = await call({ signal }, async (abort) =>
          client.send(
            new ListObjectsV2Command({
              Bucket,
              Prefix: prefix,
              MaxKeys: MAX_PAGE_KEYS,
              // Keys may hold what XML can't.
              EncodingType: "url",
              ...(token === undefined ? { StartAfter: startAfter } : { ContinuationToken: token }),
            }),
            abort,
          ),
        );
        // A page that is none must not look like an empty bucket.
        needed(page.KeyCount ?? page.Contents, Bucket);
        for (const { Key = "", ETag, Size = 0, LastModified } of page.Contents ?? []) {
          const key = usableKey(Key);
          if (key === undefined) {
            onUnusable?.(Key);
            continue;
          }
          yield {
            key,
            etag: etagOf(ETag),
            sizeBytes: Size,
            modifiedAt: LastModified ?? new Date(0),
          };
        }
        token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
    },

    async copy(from, to, options = {}) {
      const { signal, ifMatch } = options;
      const CopySource = `${Bucket}/${from.split("/").map(encodeURIComponent).join("/")}`;
      const command = new CopyObjectCommand({ Bucket, Key: to, CopySource });
      if (ifMatch !== undefined) withTargetCondition(command, ifMatch);
      await call({ key: to, signal }, async (abort) => client.send(command, abort));
    },

    async delete(key, { signal, ifMatch } = {}) {
      const IfMatch = ifMatch && quote(ifMatch);
      await call({ key, signal }, async (abort) =>
        client.send(new DeleteObjectCommand({ Bucket, Key: key, IfMatch }), abort),
      ).catch((error: unknown) => {
        if ((error as ClipscribeError).kind !== "missing") throw error;
      });
    },

    async presign(key, method, expiresSeconds) {
      if (!(expiresSeconds > 0 && expiresSeconds <= MAX_PRESIGN_S)) {
        throw new ClipscribeError("bug", "a presigned address lives at most 900 seconds");
      }
      const input = { Bucket, Key: key };
      const expiresIn = expiresSeconds;
      const url =
        method === "get"
          ? await getSignedUrl(client, new GetObjectCommand(input), { expiresIn })
          : await getSignedUrl(client, new PutObjectCommand(input), { expiresIn });
      return new URL(url);
    },
  };
  return {
    ...store,
    [Symbol.dispose]: () => {
      client.destroy();
      puts[Symbol.dispose]();
    },
  };

  async function* guarded(
    key: ObjectKey,
    body: AsyncIterable<Uint8Array> | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    try {
      if (body !== undefined) yield* body;
    } catch (error) {
      throw describeS3Error(error, { key, bucket: Bucket, signal });
    }
  }
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

function conditions({ ifMatch }: Pick<PutOptions, "ifMatch">): {
  IfMatch?: string;
  IfNoneMatch?: string;
} {
  if (ifMatch === undefined) return {};
  return ifMatch === null ? { IfNoneMatch: "*" } : { IfMatch: quote(ifMatch) };
}

/** R2's own headers for a condition on the target: S3 has none. */
function withTargetCondition(command: CopyObjectCommand, ifMatch: Etag | null): CopyObjectCommand {
  command.middlewareStack.add(
    (next) => async (args) => {
      const { headers = {} } = args.request as { headers?: Record<string, string> };
      if (ifMatch === null) headers["cf-copy-destination-if-none-match"] = "*";
      else headers["cf-copy-destination-if-match"] = quote(ifMatch);
      return next(args);
    },
    { step: "build", name: "targetCondition" },
  );
  return command;
}
