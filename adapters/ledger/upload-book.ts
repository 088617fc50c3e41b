/** The ledger's tables of unfinished uploads. A row belongs to one bucket at one endpoint. */

import { Sha256 } from "../../core/ids.ts";
import { parseObjectKey } from "../../core/keys.ts";
import type { Etag } from "../../ports/object-store.ts";
import type { UnfinishedUpload, UploadBook } from "../../ports/upload-book.ts";
import { openLedgerFile } from "./open-ledger-file.ts";

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA foreign_keys = ON;
  CREATE TABLE IF NOT EXISTS uploads (
    upload_id TEXT PRIMARY KEY, place TEXT NOT NULL, key TEXT NOT NULL, sha256 TEXT NOT NULL,
    size INTEGER NOT NULL, part_bytes INTEGER NOT NULL, path TEXT NOT NULL, started_at TEXT NOT NULL,
    UNIQUE (place, key)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS upload_parts (
    upload_id TEXT NOT NULL REFERENCES uploads ON DELETE CASCADE, number INTEGER NOT NULL,
    etag TEXT NOT NULL, size INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (upload_id, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS part_digests (
    sha256 TEXT NOT NULL, part_bytes INTEGER NOT NULL, md5s BLOB NOT NULL, noted_at TEXT NOT NULL,
    PRIMARY KEY (sha256, part_bytes)
  ) STRICT;
`;

/** What is not on its way by then is hashed again as it is sent. */
const KEEP_DIGESTS_MS = 7 * 24 * 60 * 60 * 1000;
const MD5_BYTES = 16;

interface UploadRow {
  upload_id: string;
  key: string;
  sha256: string;
  size: number;
  part_bytes: number;
  path: string;
  started_at: string;
}

interface PartRow {
  number: number;
  etag: string;
  size: number;
  digest: string;
}

/** `place`: which bucket, and where; an upload's id means nothing elsewhere. */
export function openUploadBook(file: string, place: string): UploadBook & Disposable {
  const database = openLedgerFile(file, SCHEMA);
  const byKey = database.prepare("SELECT * FROM uploads WHERE place = ? AND key = ?");
  const all = database.prepare("SELECT * FROM uploads WHERE place = ? ORDER BY started_at");
  const insert = database.prepare("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  const remove = database.prepare("DELETE FROM uploads WHERE upload_id = ?");
  const selectParts = database.prepare(
    "SELECT * FROM upload_parts WHERE upload_id = ? ORDER BY number",
  );
  // An upload that another process has ended meanwhile has no parts any more.
  const insertPart = database.prepare(
    `INSERT OR REPLACE INTO upload_parts SELECT upload_id, ?, ?, ?, ? FROM uploads WHERE upload_id = ?`,
  );
  const insertDigests = database.prepare("INSERT OR REPLACE INTO part_digests VALUES (?, ?, ?, ?)");
  const removeDigests = database.prepare("DELETE FROM part_digests WHERE noted_at < ?");
  const selectDigests = database.prepare(
    "SELECT md5s FROM part_digests WHERE sha256 = ? AND part_bytes = ?",
  );
  return {
    find(key) {
      const row = byKey.get(place, key) as unknown as UploadRow | undefined;
      return row && uploadOf(row);
    },
    parts: (uploadId) =>
      (selectParts.all(uploadId) as unknown as PartRow[]).map((row) => ({
        partNumber: row.number,
        etag: row.etag as unknown as Etag,
        sizeBytes: row.size,
        digest: row.digest,
      })),
    begin({ uploadId, key, sha256, sizeBytes, partBytes, path, startedAt }) {
      const started = startedAt.toISOString();
      insert.run(uploadId, place, key, sha256, sizeBytes, partBytes, path, started);
    },
    addPart(uploadId, { partNumber, etag, sizeBytes, digest }) {
      insertPart.run(partNumber, etag, sizeBytes, digest, uploadId);
    },
    end: (uploadId) => void remove.run(uploadId),
    rememberDigests({ sha256, partBytes, md5s }, now) {
      removeDigests.run(new Date(now.getTime() - KEEP_DIGESTS_MS).toISOString());
      const bytes = Buffer.from(md5s.join(""), "hex");
      insertDigests.run(sha256, partBytes, bytes, now.toISOString());
    },
    findDigests(sha256, partBytes) {
      const row = selectDigests.get(sha256, partBytes) as { md5s: Uint8Array } | undefined;
      return row && cutDigests(Buffer.from(row.md5s));
    },
    list: () => (all.all(place) as unknown as UploadRow[]).map(uploadOf),
    [Symbol.dispose]: () => database.close(),
  };
}

function cutDigests(bytes: Buffer): string[] {
  const count = bytes.length / MD5_BYTES;
  return Array.from({ length: count }, (_, at) =>
    bytes.toString("hex", at * MD5_BYTES, (at + 1) * MD5_BYTES),
  );
}

function uploadOf(row: UploadRow): UnfinishedUpload {
  return {
    key: parseObjectKey(row.key),
    uploadId: row.upload_id,
    sha256: Sha256.parse(row.sha256),
    sizeBytes: row.size,
    partBytes: row.part_bytes,
    path: row.path,
    startedAt: new Date(row.started_at),
  };
}
