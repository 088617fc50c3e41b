/** The disk store's etags: of the bytes where they are few, else of the file's identity. */
import type { BigIntStats } from "node:fs";

import { sha256Of } from "../../core/digest.ts";
import type { Etag } from "../../ports/object-store.ts";
import type { DiskFs } from "./disk-fs.ts";

/** Reading so much to know an etag costs less than 0.1 ms. */
export const HASHED_ETAG_BYTES = 65_536n;

export function etagOfFile(fs: DiskFs, path: string, info: BigIntStats): Etag {
  if (info.size > HASHED_ETAG_BYTES) return etagOf(info, undefined);
  const file = fs.read(path);
  if (file === undefined) throw Object.assign(new Error("the file is gone"), { code: "ENOENT" });
  return hashedEtag(file.body);
}

export function etagOf(info: BigIntStats, body: Uint8Array | undefined): Etag {
  if (body !== undefined && info.size <= HASHED_ETAG_BYTES) return hashedEtag(body);
  return `${info.ino.toString(36)}-${info.mtimeNs.toString(36)}-${info.size.toString(36)}` as Etag;
}

export function hashedEtag(body: Uint8Array): Etag {
  return sha256Of(body).slice(0, 32) as unknown as Etag;
}
