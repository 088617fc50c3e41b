/** What this machine remembers of uploads in parts, so that another process can go on with them. */
import type { Sha256 } from "../core/ids.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Etag } from "./object-store.ts";

export interface FinishedPart {
  partNumber: number;
  etag: Etag;
  sizeBytes: number;
  /** Of the bytes that were sent as this part; by which algorithm, its length says. */
  digest: string;
}

export interface UnfinishedUpload {
  key: ObjectKey;
  uploadId: string;
  /** Of the whole, as it was meant when the upload began. */
  sha256: Sha256;
  sizeBytes: number;
  partBytes: number;
  /** Absolute: where it was read. */
  path: string;
  startedAt: Date;
}

/** What the first reading of a content found, part by part. */
export interface PartDigests {
  /** Of the whole. */
  sha256: Sha256;
  /** Of all parts but the last. */
  partBytes: number;
  /** Hex, in the order of the parts. */
  md5s: readonly string[];
}

/** One bucket's. Calls return once the note is kept; an upload is in the book once, by its key. */
export interface UploadBook {
  find(key: ObjectKey): UnfinishedUpload | undefined;
  /** By part number. */
  parts(uploadId: string): FinishedPart[];
  /** Before the first part is sent. Forgets an older upload of the same key. */
  begin(upload: UnfinishedUpload): void;
  addPart(uploadId: string, part: FinishedPart): void;
  /** It is complete, or was given up. */
  end(uploadId: string): void;
  /** They belong to the content, whichever file has it and wherever it goes; kept for some days. */
  rememberDigests(digests: PartDigests, now: Date): void;
  findDigests(sha256: Sha256, partBytes: number): readonly string[] | undefined;
  /** Oldest first. */
  list(): UnfinishedUpload[];
}
