/**
 * One agent a folder. The lock is SQLite's file lock: the system releases it when its holder ends,
 * however that ends, so nothing is ever left over to be guessed about. Who holds it is written in
 * a file beside it, for people only.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { ClipscribeError } from "../../core/errors.ts";

const SQLITE_BUSY = 5;

export interface LockHolder {
  pid: number;
  host: string;
  /** The verb: `up`, `batch submit`. */
  role: string;
  /** ISO 8601. */
  since: string;
}

/** @throws `conflict` naming who works on the folder; `denied` where no lock can be kept there. */
export function acquireAgentLock(folder: string, role: string, now: Date): Disposable {
  // Hidden: the inbox is one of these folders, and hidden names are no drops.
  const file = join(folder, ".clipscribe-lock");
  const about = join(folder, ".clipscribe-lock.json");
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
  } catch (cause) {
    throw unusable(folder, cause);
  }
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    if ((cause as { errcode?: number }).errcode !== SQLITE_BUSY) throw unusable(folder, cause);
    throw isHeld(folder, readHolder(about));
  }
  const holder: LockHolder = { pid: process.pid, host: hostname(), role, since: now.toISOString() };
  try {
    writeFileSync(`${about}.tmp`, `${JSON.stringify(holder)}\n`);
    renameSync(`${about}.tmp`, about);
  } catch (cause) {
    database.close();
    throw unusable(folder, cause);
  }
  return { [Symbol.dispose]: () => database.close() };
}

/** Who works on the folder now; undefined: nobody. */
export function findAgent(folder: string): LockHolder | undefined {
  const file = join(folder, ".clipscribe-lock");
  if (!existsSync(file)) return undefined;
  const database = new DatabaseSync(file, { timeout: 0, readOnly: true });
  try {
    // A shared lock: refused while somebody holds the exclusive one.
    database.exec("SELECT * FROM sqlite_master");
    return undefined;
  } catch (error) {
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) return undefined;
    const nobody = { pid: 0, host: "", role: "another process", since: "" };
    return readHolder(join(folder, ".clipscribe-lock.json")) ?? nobody;
  } finally {
    database.close();
  }
}

function readHolder(about: string): LockHolder | undefined {
  try {
    return JSON.parse(readFileSync(about, "utf8")) as LockHolder;
  } catch {
    return undefined;
  }
}

function isHeld(folder: string, holder: LockHolder | undefined): ClipscribeError {
  const who =
    holder === undefined
      ? "another process"
      : `\`clipscribe ${holder.role}\` (process ${holder.pid} on ${holder.host}, since ${holder.since})`;
  return new ClipscribeError("conflict", `${who} works on this folder already`, {
    details: { folder: `${basename(dirname(folder))}/${basename(folder)}` },
    hint: "let it go on, or stop it first; for a second inbox set CLIPSCRIBE_HOME to another folder",
  });
}

function unusable(folder: string, cause: unknown): ClipscribeError {
  return new ClipscribeError("denied", "the folder can't be locked", {
    details: { folder },
    hint: "make it writable, or set CLIPSCRIBE_HOME or CLIPSCRIBE_INBOX to another",
    cause,
  });
}
