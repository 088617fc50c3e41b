/**
 * Looks at the bucket with nothing but S3 and SHA-256, sharing no code with the runner: what the
 * records say has to be there, whole, once.
 */
import { createHash } from "node:crypto";

import { GetObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";

import type { EmulatorAddress } from "../emulator/emulator.ts";

interface State {
  status: string;
  run: number;
  owner: string | null;
  manifest: { sha256: string } | null;
}

export async function checkBucket(
  address: EmulatorAddress,
  user: string,
): Promise<{ problems: string[]; published: number }> {
  const client = new S3Client({
    region: "auto",
    endpoint: address.s3_endpoint,
    forcePathStyle: true,
    credentials: {
      accessKeyId: address.access_key_id,
      secretAccessKey: address.secret_access_key,
    },
  });
  const Bucket = address.bucket;
  const list = async (Prefix: string): Promise<string[]> => {
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
  };
  const get = async (Key: string): Promise<Buffer | null> => {
    try {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    } catch {
      return null;
    }
  };
  const hash = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

  const problems: string[] = [];
  let published = 0;
  for (const key of await list("inbox/")) problems.push(`${key} is still there`);
  for (const key of await list("sys/poison/")) problems.push(`${key}: something was unreadable`);
  const states = (await list(`jobs/${user}/`)).filter((key) => key.includes("/items/"));
  const shown = new Set((await list(`results/${user}/`)).map((key) => key));
  for (const key of states) {
    const [, , job = "", , file = ""] = key.split("/");
    const name = `${job}/${file.slice(0, -".json".length)}`;
    const state = JSON.parse((await get(key))?.toString() ?? "{}") as State;
    if (state.owner !== null || ["queued", "processing"].includes(state.status)) {
      problems.push(`${name} is ${state.status}, owned by ${state.owner}`);
    }
    // What a job yields as a whole lies beside its items' folders, in no folder of its own.
    const isJob = file === "_job.json";
    const prefix = isJob ? `results/${user}/${job}/` : `results/${user}/${name}/`;
    if (state.manifest === null) {
      if (state.status === "complete") problems.push(`${name} is complete, with no manifest`);
      const isMine = (key: string): boolean =>
        key.startsWith(prefix) && !(isJob && key.slice(prefix.length).includes("/"));
      if ([...shown].some(isMine)) {
        problems.push(`${name} shows results that nobody published`);
      }
      continue;
    }
    const manifest = await get(`${prefix}manifest.json`);
    if (manifest === null || hash(manifest) !== state.manifest.sha256) {
      problems.push(`${name}: manifest.json is not the published one`);
      continue;
    }
    published++;
    const { files } = JSON.parse(manifest.toString()) as {
      files: { path: string; sha256: string }[];
    };
    for (const { path, sha256 } of files) {
      const bytes = await get(prefix + path);
      if (bytes === null || hash(bytes) !== sha256) problems.push(`${name}: ${path} is damaged`);
      shown.delete(prefix + path);
    }
    shown.delete(`${prefix}manifest.json`);
  }
  for (const key of shown) problems.push(`${key} belongs to no manifest`);
  client.destroy();
  return { problems, published };
}
