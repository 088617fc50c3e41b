/** What S3 says of an object, behind its bytes in the same file: text, its length, a mark. */
import type { ObjectKey } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { StoredMeta } from "./bucket.ts";
import { S3Error } from "./s3-error.ts";

const MAGIC = "CSE1";
const FOOTER_BYTES = 8;

export function footerOf(meta: StoredMeta): Uint8Array {
  const text = Buffer.from(JSON.stringify(meta));
  const end = Buffer.alloc(FOOTER_BYTES);
  end.writeUInt32BE(text.length);
  end.write(MAGIC, 4, "latin1");
  return Buffer.concat([text, end]);
}

export async function readFooter(
  store: ObjectStore,
  key: ObjectKey,
  sizeBytes: number,
): Promise<StoredMeta> {
  const end = await readRange(store, key, sizeBytes - FOOTER_BYTES, sizeBytes - 1);
  const length = end.readUInt32BE(0);
  if (end.toString("latin1", 4) !== MAGIC) throw new S3Error("InternalError", `${key} is damaged`);
  const start = sizeBytes - FOOTER_BYTES - length;
  const text = await readRange(store, key, start, sizeBytes - FOOTER_BYTES - 1);
  return JSON.parse(text.toString("utf8")) as StoredMeta;
}

async function readRange(
  store: ObjectStore,
  key: ObjectKey,
  start: number,
  end: number,
): Promise<Buffer> {
  const { body } = await store.getStream(key, { range: { start, end } });
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}
