/**
 * What is asked seldom, by the SDK: what becomes of an unfinished upload, listings, copies, deletions, addresses. A
 * module of its own, since it takes a tenth of a second to load, and a put or a get needs none of it.
 * Checksums only where they are required: R2 refuses the trailers that newer SDKs send by themselves.
 */
import {
  AbortMultipartUploadCommand,
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

import { isKind } from "../../core/errors.ts";
import { MAX_PAGE_KEYS } from "../../ports/object-store.ts";
import type { Etag, ObjectStore, UploadPart } from "../../ports/object-store.ts";
import { openBucketCalls } from "./call-bucket.ts";
import type { CallAbout } from "./call-bucket.ts";
import { etagOf, quote, usableKey } from "./object-info.ts";
import { needed } from "./r2-error.ts";
import { toSdkProvider } from "./renewing-keys.ts";
import type { BucketKeys, RenewingKeys } from "./renewing-keys.ts";

export type SdkRequests = Disposable &
  Pick<ObjectStore, "listParts" | "abortUpload" | "list" | "copy" | "delete" | "presign">;

export interface SdkRequestsOptions {
  endpoint: string;
  bucket: string;
  keys: RenewingKeys<BucketKeys>;
}

const MAX_SOCKETS = 50;
const REQUEST_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;

export function openSdkRequests({
  endpoint,
  bucket: Bucket,
  keys,
}: SdkRequestsOptions): SdkRequests {
  const client = openClient(endpoint, keys);

  const callBucket = openBucketCalls(keys, Bucket);

  async function call<Result>(
    about: CallAbout,
    work: (abort: { abortSignal?: AbortSignal }) => Promise<Result>,
  ): Promise<Result> {
    const { signal } = about;
    const abort = signal === undefined ? {} : { abortSignal: signal };
    return callBucket(about, async () => work(abort));
  }

  return {
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

    async abortUpload(key, UploadId, { signal } = {}) {
      await ifThere(
        call({ key, signal }, async (abort) =>
          client.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId }), abort),
        ),
      );
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
      await ifThere(
        call({ key, signal }, async (abort) =>
          client.send(new DeleteObjectCommand({ Bucket, Key: key, IfMatch }), abort),
        ),
      );
    },

    async presign(key, method, expiresIn) {
      const input = { Bucket, Key: key };
      const url =
        method === "get"
          ? await getSignedUrl(client, new GetObjectCommand(input), { expiresIn })
          : await getSignedUrl(client, new PutObjectCommand(input), { expiresIn });
      return new URL(url);
    },

    [Symbol.dispose]: () => client.destroy(),
  };
}

function openClient(endpoint: string, keys: RenewingKeys<BucketKeys>): S3Client {
  return new S3Client({
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
}

/** What is gone already needs no end. */
async function ifThere(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isKind(error, "missing")) throw error;
  }
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
