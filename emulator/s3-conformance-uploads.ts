/** The cases of uploads in parts, and the list of all. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";

import { ACCESS_CASES } from "./s3-conformance-access.ts";
import { OBJECT_CASES, conformance, fails, md5 } from "./s3-conformance.ts";
import type { ConformanceCase, Tools } from "./s3-conformance.ts";

const PART = 5 * 1024 * 1024;

async function upload({ client, Bucket }: Tools, Key: string, bodies: readonly Uint8Array[]) {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
  for (const [index, Body] of bodies.entries()) {
    const PartNumber = index + 1;
    const { ETag } = await client.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }),
    );
    Parts.push({ PartNumber, ETag });
  }
  const complete = async (more: object = {}) =>
    client.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key,
        UploadId,
        MultipartUpload: { Parts },
        ...more,
      }),
    );
  return { UploadId, Parts, complete };
}

const UPLOAD_CASES: readonly ConformanceCase[] = [
  conformance("parts make one object, whose ETag is of their ETags", async (tools) => {
    const bodies = [randomBytes(PART), randomBytes(PART), randomBytes(10)];
    const { complete } = await upload(tools, tools.key, bodies);
    const { ETag } = await complete();
    const sums = Buffer.concat(bodies.map((body) => Buffer.from(md5(body), "hex")));
    assert.equal(ETag, `"${md5(sums)}-3"`);
    const { Body } = await tools.client.send(
      new GetObjectCommand({ Bucket: tools.Bucket, Key: tools.key }),
    );
    assert.ok(
      Buffer.concat(bodies).equals((await Body?.transformToByteArray()) ?? Buffer.alloc(0)),
    );
  }),
  conformance("nothing is visible before an upload is complete", async (tools) => {
    const { client, Bucket, key } = tools;
    await upload(tools, key, [randomBytes(10)]);
    await fails(client.send(new HeadObjectCommand({ Bucket, Key: key })), 404);
  }),
  conformance("parts that arrived are listed", async (tools) => {
    const { client, Bucket, key } = tools;
    const { UploadId, Parts } = await upload(tools, key, [randomBytes(PART), randomBytes(7)]);
    const listed = await client.send(new ListPartsCommand({ Bucket, Key: key, UploadId }));
    assert.deepEqual(
      listed.Parts?.map(({ PartNumber, ETag, Size }) => [PartNumber, ETag, Size]),
      [
        [1, Parts[0]?.ETag, PART],
        [2, Parts[1]?.ETag, 7],
      ],
    );
  }),
  conformance("a part sent again replaces the first", async (tools) => {
    const { client, Bucket, key, text } = tools;
    const { UploadId } = await upload(tools, key, [Buffer.from("wrong")]);
    const { ETag } = await client.send(
      new UploadPartCommand({ Bucket, Key: key, UploadId, PartNumber: 1, Body: "right" }),
    );
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    await client.send(
      new CompleteMultipartUploadCommand({ Bucket, Key: key, UploadId, MultipartUpload }),
    );
    assert.equal(await text(key), "right");
  }),
  conformance("parts of different sizes are refused", async (tools) => {
    const bodies = [randomBytes(PART), randomBytes(PART + 1), randomBytes(1)];
    await fails((await upload(tools, tools.key, bodies)).complete(), 400);
  }),
  conformance("a part below 5 MiB that is not the last is refused", async (tools) => {
    await fails((await upload(tools, tools.key, [randomBytes(9), randomBytes(9)])).complete(), 400);
  }),
  conformance("an upload is completed under if-none-match", async (tools) => {
    const { complete } = await upload(tools, tools.key, [Buffer.from("late")]);
    await tools.put(tools.key, "first");
    await fails(complete({ IfNoneMatch: "*" }), 412);
    assert.equal(await tools.text(tools.key), "first");
  }),
  conformance("an aborted upload is gone", async (tools) => {
    const { client, Bucket, key } = tools;
    const { UploadId, complete } = await upload(tools, key, [Buffer.from("x")]);
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId }));
    await fails(complete(), 404);
    await fails(client.send(new ListPartsCommand({ Bucket, Key: key, UploadId })), 404);
  }),
];

export const CASES: readonly ConformanceCase[] = [
  ...OBJECT_CASES,
  ...UPLOAD_CASES,
  ...ACCESS_CASES,
];
