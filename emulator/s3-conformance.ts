/**
 * What an S3 server has to do so that this project, the AWS SDK and rclone can rely on it. Runs
 * with the real SDK; where servers differ, R2's documentation decides.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";

import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import type { S3ClientConfig } from "@aws-sdk/client-s3";

export interface S3UnderTest {
  endpoint: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
}

export interface ConformanceCase {
  name: string;
  run(s3: S3UnderTest): Promise<void>;
}

export const md5 = (body: string | Uint8Array): string =>
  createHash("md5").update(body).digest("hex");

export function clientOf(s3: S3UnderTest, more: Partial<S3ClientConfig> = {}): S3Client {
  const { accessKeyId, secretAccessKey } = s3;
  return new S3Client({
    region: "auto",
    endpoint: s3.endpoint,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    expectContinueHeader: false,
    maxAttempts: 1,
    ...more,
  });
}

export interface Tools {
  s3: S3UnderTest;
  client: S3Client;
  Bucket: string;
  /** A key of this case alone. */
  key: string;
  put(Key: string, Body: string | Uint8Array, more?: object): Promise<string>;
  text(Key: string, more?: object): Promise<string>;
  keys(input: object): Promise<string[]>;
}

let count = 0;

export function conformance(name: string, work: (tools: Tools) => Promise<void>): ConformanceCase {
  return {
    name,
    async run(s3) {
      const client = clientOf(s3);
      const { bucket: Bucket } = s3;
      try {
        await work({
          s3,
          client,
          Bucket,
          key: `case-${process.pid}-${count++}`,
          async put(Key, Body, more = {}) {
            const { ETag = "" } = await client.send(
              new PutObjectCommand({ Bucket, Key, Body, ...more }),
            );
            return ETag;
          },
          async text(Key, more = {}) {
            const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, ...more }));
            return (await Body?.transformToString()) ?? "";
          },
          async keys(input) {
            const found: string[] = [];
            let ContinuationToken: string | undefined;
            do {
              const page = await client.send(
                new ListObjectsV2Command({ Bucket, ...input, ContinuationToken }),
              );
              found.push(...(page.Contents ?? []).map(({ Key = "" }) => Key));
              ContinuationToken = page.NextContinuationToken;
            } while (ContinuationToken !== undefined);
            return found;
          },
        });
      } finally {
        client.destroy();
      }
    },
  };
}

export async function fails(work: Promise<unknown>, ...statuses: number[]): Promise<void> {
  await assert.rejects(work, (error: { $metadata?: { httpStatusCode?: number } }) => {
    assert.ok(statuses.includes(error.$metadata?.httpStatusCode ?? 0), String(error));
    return true;
  });
}

export const OBJECT_CASES: readonly ConformanceCase[] = [
  conformance("the bucket is there", async ({ client, Bucket }) => {
    await client.send(new HeadBucketCommand({ Bucket }));
  }),
  conformance("a bucket that is not there is NoSuchBucket", async ({ client, key }) => {
    const command = new PutObjectCommand({ Bucket: "no-such-bucket", Key: key, Body: "x" });
    await fails(client.send(command), 404);
  }),
  conformance("what was put is read", async ({ put, text, key }) => {
    await put(key, "hello");
    assert.equal(await text(key), "hello");
  }),
  conformance("the ETag of a put is the MD5 of its bytes", async ({ put, key }) => {
    assert.equal(await put(key, "hello"), `"${md5("hello")}"`);
  }),
  conformance("an empty object is an object", async ({ put, text, key }) => {
    await put(key, "");
    assert.equal(await text(key), "");
  }),
  conformance("a put replaces what was there", async ({ put, text, key }) => {
    await put(key, "one");
    await put(key, "two, and longer");
    assert.equal(await text(key), "two, and longer");
  }),
  conformance("content type and metadata come back", async ({ client, Bucket, put, key }) => {
    await put(key, "x", { ContentType: "text/x-test", Metadata: { from: "a-test", n: "1" } });
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: key }));
    assert.equal(head.ContentType, "text/x-test");
    assert.deepEqual(head.Metadata, { from: "a-test", n: "1" });
    assert.equal(head.ContentLength, 1);
    assert.ok(head.LastModified instanceof Date);
  }),
  conformance("get and head of no object are 404", async ({ client, Bucket, key }) => {
    await fails(client.send(new GetObjectCommand({ Bucket, Key: key })), 404);
    await fails(client.send(new HeadObjectCommand({ Bucket, Key: key })), 404);
  }),
  conformance(
    "a delete deletes, and of no object is no error",
    async ({ client, Bucket, put, key }) => {
      await put(key, "x");
      await client.send(new DeleteObjectCommand({ Bucket, Key: key }));
      await fails(client.send(new HeadObjectCommand({ Bucket, Key: key })), 404);
      await client.send(new DeleteObjectCommand({ Bucket, Key: key }));
    },
  ),
  conformance("many are deleted at once", async ({ client, Bucket, put, keys, key }) => {
    for (const name of ["a", "b", "c"]) await put(`${key}/${name}`, name);
    const Objects = ["a", "b", "not-there"].map((name) => ({ Key: `${key}/${name}` }));
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    assert.deepEqual(await keys({ Prefix: `${key}/` }), [`${key}/c`]);
  }),
  conformance("if-none-match * creates once", async ({ put, text, key }) => {
    await put(key, "first", { IfNoneMatch: "*" });
    await fails(put(key, "second", { IfNoneMatch: "*" }), 412);
    assert.equal(await text(key), "first");
  }),
  conformance("if-match swaps once", async ({ put, text, key }) => {
    const etag = await put(key, "one");
    await put(key, "two", { IfMatch: etag });
    await fails(put(key, "three", { IfMatch: etag }), 412);
    assert.equal(await text(key), "two");
  }),
  conformance("if-match on no object is lost", async ({ put, key }) => {
    await fails(put(key, "x", { IfMatch: `"${md5("x")}"` }), 412, 404);
  }),
  conformance("of twenty creators exactly one wins", async ({ put, text, key }) => {
    const all = await Promise.allSettled(
      Array.from({ length: 20 }, async (_, at) => put(key, `racer ${at}`, { IfNoneMatch: "*" })),
    );
    const winners = all.flatMap(({ status }, at) => (status === "fulfilled" ? [at] : []));
    assert.equal(winners.length, 1);
    assert.equal(await text(key), `racer ${winners[0]}`);
  }),
  conformance("of twenty swaps of one ETag exactly one wins", async ({ put, key }) => {
    const IfMatch = await put(key, "start");
    const all = await Promise.allSettled(
      Array.from({ length: 20 }, async (_, at) => put(key, `racer ${at}`, { IfMatch })),
    );
    assert.equal(all.filter(({ status }) => status === "fulfilled").length, 1);
  }),
  conformance("a get with the ETag that it has is 304", async ({ put, text, key }) => {
    const etag = await put(key, "x");
    await fails(text(key, { IfNoneMatch: etag }), 304);
    assert.equal(await text(key, { IfNoneMatch: '"other"' }), "x");
  }),
  conformance("a get under another ETag is 412", async ({ put, text, key }) => {
    const etag = await put(key, "x");
    await fails(text(key, { IfMatch: '"other"' }), 412);
    assert.equal(await text(key, { IfMatch: etag }), "x");
  }),
  conformance("a range is inclusive", async ({ put, text, key }) => {
    await put(key, "0123456789");
    assert.equal(await text(key, { Range: "bytes=2-4" }), "234");
  }),
  conformance("an open range goes to the end, a suffix is the end", async ({ put, text, key }) => {
    await put(key, "0123456789");
    assert.equal(await text(key, { Range: "bytes=7-" }), "789");
    assert.equal(await text(key, { Range: "bytes=-2" }), "89");
    assert.equal(await text(key, { Range: "bytes=8-100" }), "89");
  }),
  conformance("a range past the end is 416", async ({ put, text, key }) => {
    await put(key, "0123");
    await fails(text(key, { Range: "bytes=10-" }), 416);
  }),
  conformance("a range says which bytes it is", async ({ client, Bucket, put, key }) => {
    await put(key, "0123456789");
    const got = await client.send(new GetObjectCommand({ Bucket, Key: key, Range: "bytes=1-3" }));
    assert.equal(got.ContentRange, "bytes 1-3/10");
    assert.equal(got.$metadata.httpStatusCode, 206);
    await got.Body?.transformToByteArray();
  }),
  conformance("a copy is an object of its own", async ({ client, Bucket, put, text, key }) => {
    await put(`${key}/from`, "x", { Metadata: { a: "b" } });
    const CopySource = `${Bucket}/${key}/from`;
    await client.send(new CopyObjectCommand({ Bucket, Key: `${key}/to`, CopySource }));
    await put(`${key}/from`, "y");
    assert.equal(await text(`${key}/to`), "x");
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: `${key}/to` }));
    assert.deepEqual(head.Metadata, { a: "b" });
  }),
  conformance(
    "a copy onto itself may replace the metadata",
    async ({ client, Bucket, put, key }) => {
      await put(key, "x", { Metadata: { a: "b" } });
      await client.send(
        new CopyObjectCommand({
          Bucket,
          Key: key,
          CopySource: `${Bucket}/${key}`,
          MetadataDirective: "REPLACE",
          Metadata: { mtime: "1" },
        }),
      );
      const head = await client.send(new HeadObjectCommand({ Bucket, Key: key }));
      assert.deepEqual(head.Metadata, { mtime: "1" });
    },
  ),
  conformance("a copy of no object is 404", async ({ client, Bucket, key }) => {
    const CopySource = `${Bucket}/${key}-none`;
    await fails(client.send(new CopyObjectCommand({ Bucket, Key: key, CopySource })), 404);
  }),
  conformance("a copy under the source's ETag", async ({ client, Bucket, put, key }) => {
    const etag = await put(`${key}/from`, "x");
    const input = { Bucket, Key: `${key}/to`, CopySource: `${Bucket}/${key}/from` };
    await client.send(new CopyObjectCommand({ ...input, CopySourceIfMatch: etag }));
    await fails(client.send(new CopyObjectCommand({ ...input, CopySourceIfMatch: '"no"' })), 412);
  }),
  conformance(
    "a listing has keys, sizes, ETags and times",
    async ({ client, Bucket, put, key }) => {
      const etag = await put(`${key}/a`, "12345");
      const { Contents = [] } = await client.send(
        new ListObjectsV2Command({ Bucket, Prefix: `${key}/` }),
      );
      assert.equal(Contents.length, 1);
      assert.deepEqual([Contents[0]?.Size, Contents[0]?.ETag], [5, etag]);
      assert.ok(Contents[0]?.LastModified instanceof Date);
    },
  ),
  conformance("a listing is in the order of UTF-8 bytes", async ({ put, keys, key }) => {
    const names = ["a", "a/b", "a b", "a-b", "aß", "a\u{1F600}", "a\uFF5E", "aa"];
    for (const name of names) await put(`${key}/${name}`, "x");
    const expected = names
      .map((name) => `${key}/${name}`)
      .toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
    assert.deepEqual(await keys({ Prefix: `${key}/` }), expected);
  }),
  conformance(
    "2,001 keys come in pages of a thousand",
    async ({ client, Bucket, put, keys, key }) => {
      const names = Array.from(
        { length: 2_001 },
        (_, at) => `${key}/${String(at).padStart(5, "0")}`,
      );
      const queue = names.values();
      const worker = async (): Promise<void> => {
        for (const name of queue) await put(name, "x");
      };
      await Promise.all(Array.from({ length: 16 }, worker));
      const page = await client.send(new ListObjectsV2Command({ Bucket, Prefix: `${key}/` }));
      assert.deepEqual([page.KeyCount, page.IsTruncated], [1_000, true]);
      assert.deepEqual(await keys({ Prefix: `${key}/` }), names);
    },
  ),
  conformance("a listing goes on after a key", async ({ put, keys, key }) => {
    for (const name of ["a", "b", "c"]) await put(`${key}/${name}`, "x");
    const found = await keys({ Prefix: `${key}/`, StartAfter: `${key}/a` });
    assert.deepEqual(found, [`${key}/b`, `${key}/c`]);
  }),
  conformance("a delimiter makes folders, over pages", async ({ client, Bucket, put, key }) => {
    for (const name of ["a", "f/1", "f/2", "g/1", "z"]) await put(`${key}/${name}`, "x");
    const seen: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket,
          Prefix: `${key}/`,
          Delimiter: "/",
          MaxKeys: 2,
          ContinuationToken,
        }),
      );
      seen.push(...(page.Contents ?? []).map(({ Key = "" }) => Key));
      seen.push(...(page.CommonPrefixes ?? []).map(({ Prefix = "" }) => Prefix));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    const expected = ["a", "f/", "g/", "z"].map((name) => `${key}/${name}`);
    assert.deepEqual(seen.toSorted(), expected);
  }),
  conformance("the older listing pages by marker", async ({ client, Bucket, put, key }) => {
    for (const name of ["a", "b", "c"]) await put(`${key}/${name}`, "x");
    const first = await client.send(
      new ListObjectsCommand({ Bucket, Prefix: `${key}/`, MaxKeys: 2 }),
    );
    assert.equal(first.IsTruncated, true);
    const Marker = first.Contents?.at(-1)?.Key;
    const rest = await client.send(new ListObjectsCommand({ Bucket, Prefix: `${key}/`, Marker }));
    assert.deepEqual(
      rest.Contents?.map(({ Key }) => Key),
      [`${key}/c`],
    );
  }),
  conformance(
    "odd keys live side by side and come back as they were",
    async ({ put, text, keys, key }) => {
      const names = [
        "x",
        "x/y",
        "x/y/",
        "a+b",
        "a b",
        "ä",
        "a\u0308",
        "%41",
        "q?x=1&y",
        "e'(*)!",
        "日本",
      ];
      for (const name of names) await put(`${key}/${name}`, name);
      for (const name of names) assert.equal(await text(`${key}/${name}`), name);
      assert.equal((await keys({ Prefix: `${key}/` })).length, names.length);
    },
  ),
  conformance("a key has at most 1,024 bytes", async ({ put, key }) => {
    await put(key + "k".repeat(1024 - key.length), "x");
    await fails(put(key + "k".repeat(1025 - key.length), "x"), 400);
  }),
  conformance(
    "the SDK's own stream, with a trailer, is stored without its framing",
    async ({ s3, text, key }) => {
      const client = clientOf(s3, { requestChecksumCalculation: "WHEN_SUPPORTED" });
      const Body = Readable.from([Buffer.from("hello "), Buffer.from("stream")]);
      await client.send(
        new PutObjectCommand({ Bucket: s3.bucket, Key: key, Body, ContentLength: 12 }),
      );
      client.destroy();
      assert.equal(await text(key), "hello stream");
    },
  ),
  conformance(
    "a checksum that fits is taken, one that does not is refused",
    async ({ put, key }) => {
      await put(key, "hello", { ChecksumCRC32: "NhCmhg==" });
      await fails(put(key, "hello", { ChecksumCRC32: "AAAAAA==" }), 400);
      await fails(put(key, "hello", { ContentMD5: "AAAAAAAAAAAAAAAAAAAAAA==" }), 400);
    },
  ),
];
