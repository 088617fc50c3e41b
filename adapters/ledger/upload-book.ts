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
`;

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
    list: () => (all.all(place) as unknown as UploadRow[]).map(uploadOf),
    [Symbol.dispose]: () => database.close(),
  };
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
