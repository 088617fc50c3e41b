/** The cases of who may do what: signatures and presigned addresses. */
import assert from "node:assert/strict";

import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

import { clientOf, conformance, fails } from "./s3-conformance.ts";
import type { ConformanceCase } from "./s3-conformance.ts";

export const ACCESS_CASES: readonly ConformanceCase[] = [
  conformance("a presigned address reads and writes", async ({ s3, client, text, key }) => {
    const input = { Bucket: s3.bucket, Key: key };
    const to = await getSignedUrl(client, new PutObjectCommand(input), { expiresIn: 60 });
    assert.equal((await fetch(to, { method: "PUT", body: "by address" })).status, 200);
    assert.equal(await text(key), "by address");
    const from = await getSignedUrl(client, new GetObjectCommand(input), { expiresIn: 60 });
    assert.equal(await (await fetch(from)).text(), "by address");
  }),
  conformance(
    "a presigned address that was tampered with is refused",
    async ({ s3, client, put, key }) => {
      await put(key, "x");
      const command = new GetObjectCommand({ Bucket: s3.bucket, Key: key });
      const url = await getSignedUrl(client, command, { expiresIn: 60 });
      assert.equal((await fetch(url.replace(key, `${key}x`))).status, 403);
      assert.equal((await fetch(url, { method: "DELETE" })).status, 403);
    },
  ),
  conformance("wrong keys are refused", async ({ s3, key }) => {
    const client = clientOf({ ...s3, secretAccessKey: "wrong" });
    const command = new PutObjectCommand({ Bucket: s3.bucket, Key: key, Body: "x" });
    await fails(client.send(command), 403);
    client.destroy();
  }),
  conformance("a request without a signature is refused", async ({ s3, key }) => {
    const { status } = await fetch(`${s3.endpoint}/${s3.bucket}/${key}`);
    assert.ok(status === 401 || status === 403, String(status));
  }),
  conformance(
    "a body that is not the signed one is refused",
    async ({ s3, client, put, key, text }) => {
      await put(key, "before");
      const command = new PutObjectCommand({ Bucket: s3.bucket, Key: key, Body: "signed" });
      command.middlewareStack.add(
        (next) => async (args) => {
          (args.request as { body: string }).body = "forged";
          return next(args);
        },
        { step: "finalizeRequest", priority: "low", name: "forge" },
      );
      await fails(client.send(command), 400, 403);
      assert.equal(await text(key), "before");
    },
  ),
];
