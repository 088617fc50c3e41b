/** Reads a bucket with nothing but S3 and SHA-256: shares no code with the runner. */
import { createHash } from "node:crypto";

import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from "@aws-sdk/client-s3";

import type { EmulatorAddress } from "../emulator/emulator.ts";

/** Faults of the night meet readers, too. */
const ATTEMPTS = 10;

export interface NightReader extends Disposable {
  user: string;
  list(prefix: string): Promise<string[]>;
  /** Null where there is no such object. */
  get(key: string): Promise<Buffer | null>;
  /** The same, and when this version was written. */
  read(key: string): Promise<{ body: Buffer; writtenMs: number } | null>;
  unfinishedUploads(): Promise<number>;
}

export interface SeenState {
  status: string;
  run: number;
  epoch: number;
  owner: string | null;
  manifest: { sha256: string } | null;
}

export interface SeenManifest {
  files: { path: string; sha256: string }[];
}

export function openNightReader(address: EmulatorAddress, user: string): NightReader {
  const Bucket = address.bucket;
  const client = new S3Client({
    region: "auto",
    endpoint: address.s3_endpoint,
    forcePathStyle: true,
    maxAttempts: ATTEMPTS,
    credentials: {
      accessKeyId: address.access_key_id,
      secretAccessKey: address.secret_access_key,
    },
  });
  const read: NightReader["read"] = async (Key) => {
    try {
      const { Body, LastModified } = await client.send(new GetObjectCommand({ Bucket, Key }));
      const body = Buffer.from((await Body?.transformToByteArray()) ?? []);
      return { body, writtenMs: LastModified?.getTime() ?? 0 };
    } catch (error) {
      if ((error as { name?: string }).name === "NoSuchKey") return null;
      throw error;
    }
  };
  return {
    user,
    read,
    async list(Prefix) {
      const keys: string[] = [];
      let ContinuationToken: string | undefined;
      do {
        const page = await client.send(
          new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }),
        );
        for (const { Key = "" } of page.Contents ?? []) keys.push(Key);
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken !== undefined);
      return keys;
    },
    get: async (key) => (await read(key))?.body ?? null,
    async unfinishedUploads() {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
      return Uploads.length;
    },
    [Symbol.dispose]: () => client.destroy(),
  };
}

export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
