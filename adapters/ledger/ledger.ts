/**
 * The laptop's own record, one SQLite file: which file had which SHA-256 when, and what was
 * downloaded from where. A row is trusted while size, times and inode are as they were; a file
 * changed in the same moment as it was hashed is not (git's "racy" rule).
 */
import { statSync } from "node:fs";
import type { BigIntStats } from "node:fs";

import { ClipscribeError } from "../../core/errors.ts";
import type { Sha256 } from "../../core/ids.ts";
import type { Source } from "../../core/records.ts";
import type { LocatedSource, Sources } from "../../ports/sources.ts";
import { openLedgerFile } from "./open-ledger-file.ts";

/** File systems keep times in steps of up to two seconds (FAT). */
const RACY_NS = 2_000_000_000n;

export interface FileIdentity {
  size: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  ino: bigint;
}

export interface RememberedDownload {
  path: string;
  /** ItemInfo as JSON. */
  info: string;
  sidecars: string[];
}

export interface Ledger extends Sources, Disposable {
  /** The hash of a file that is as it was when it was hashed. */
  find(path: string, identity: FileIdentity): Sha256 | undefined;
  remember(path: string, identity: FileIdentity, sha256: Sha256, hashedAt: Date): void;
  findDownload(url: string): RememberedDownload | undefined;
  rememberDownload(url: string, download: RememberedDownload): void;
  /** Runs `work` in one transaction: thousands of rows cost one flush. */
  together<Value>(work: () => Value): Value;
}

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns TEXT NOT NULL, ctime_ns TEXT NOT NULL,
    ino TEXT NOT NULL, sha256 TEXT NOT NULL, hashed_at TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS files_sha256 ON files (sha256);
  CREATE TABLE IF NOT EXISTS downloads (
    url TEXT PRIMARY KEY, path TEXT NOT NULL, info TEXT NOT NULL, sidecars TEXT NOT NULL
  ) STRICT;
`;

interface FileRow {
  path: string;
  size: number;
  mtime_ns: string;
  ctime_ns: string;
  ino: string;
  sha256: string;
}

export function openLedger(file: string): Ledger {
  const database = openLedgerFile(file, SCHEMA);
  const select = database.prepare("SELECT * FROM files WHERE path = ?");
  const bySha = database.prepare("SELECT * FROM files WHERE sha256 = ? ORDER BY path LIMIT 100");
  const upsert = database.prepare("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)");
  const selectDownload = database.prepare("SELECT * FROM downloads WHERE url = ?");
  const upsertDownload = database.prepare("INSERT OR REPLACE INTO downloads VALUES (?, ?, ?, ?)");

  function glance({ sha256 }: Source): LocatedSource | undefined {
    const row = (bySha.all(sha256) as unknown as FileRow[]).find(matches);
    return row && located(row);
  }

  return {
    find(path, identity) {
      const row = select.get(path) as unknown as FileRow | undefined;
      return row !== undefined && isSame(row, identity) ? (row.sha256 as Sha256) : undefined;
    },
    remember(path, { size, mtimeNs, ctimeNs, ino }, sha256, hashedAt) {
      const isRacy = BigInt(hashedAt.getTime()) * 1_000_000n - mtimeNs < RACY_NS;
      // A racy row still locates the file; its time of change never matches, so it is hashed again.
      const change = isRacy ? "racy" : `${ctimeNs}`;
      upsert.run(path, size, `${mtimeNs}`, change, `${ino}`, sha256, hashedAt.toISOString());
    },
    findDownload(url) {
      const row = selectDownload.get(url) as
        | { path: string; info: string; sidecars: string }
        | undefined;
      if (row === undefined) return undefined;
      return { ...row, sidecars: JSON.parse(row.sidecars) as string[] };
    },
    rememberDownload(url, { path, info, sidecars }) {
      upsertDownload.run(url, path, info, JSON.stringify(sidecars));
    },
    together(work) {
      database.exec("BEGIN IMMEDIATE");
      try {
        const value = work();
        database.exec("COMMIT");
        return value;
      } catch (error) {
        database.exec("ROLLBACK");
        throw error;
      }
    },
    glance,
    async locate(source) {
      const found = glance(source);
      if (found !== undefined) return found;
      throw new ClipscribeError("missing", "the original file is gone or was changed", {
        details: { file: source.filename, sha256: source.sha256.slice(0, 12) },
        hint: "put it back where it was, or run again with the changed file",
      });
    },
    [Symbol.dispose]: () => database.close(),
  };
}

export function identityOf(info: BigIntStats): FileIdentity {
  return {
    size: Number(info.size),
    mtimeNs: info.mtimeNs,
    ctimeNs: info.ctimeNs,
    ino: info.ino,
  };
}

function located(row: FileRow): LocatedSource {
  return {
    path: row.path,
    async verify() {
      if (matches(row)) return;
      throw new ClipscribeError("contract", "the file changed while it was being worked on", {
        hint: "wait until it is written to its end, then run again",
      });
    },
  };
}

function matches(row: FileRow): boolean {
  const info = statSync(row.path, { bigint: true, throwIfNoEntry: false });
  if (info === undefined) return false;
  const identity = identityOf(info);
  return isSame(
    { ...row, ctime_ns: row.ctime_ns === "racy" ? `${identity.ctimeNs}` : row.ctime_ns },
    identity,
  );
}

function isSame(row: FileRow, { size, mtimeNs, ctimeNs, ino }: FileIdentity): boolean {
  return (
    row.size === size &&
    row.mtime_ns === `${mtimeNs}` &&
    row.ctime_ns === `${ctimeNs}` &&
    row.ino === `${ino}`
  );
}
