/** Opens SQLite files that several processes of one machine share. */
import { DatabaseSync } from "node:sqlite";

/** Another process's transaction takes milliseconds. */
const BUSY_MS = 10_000;
/**
 * The switch to a write-ahead log wants the file for itself and does not wait for it: of processes
 * that open a new file at once, the later ones look again.
 */
const OPEN_TRIES = 50;
const BETWEEN_TRIES_MS = 20;
/** SQLite's primary result codes BUSY and LOCKED. */
const TAKEN = new Set([5, 6]);

/** @param schema statements that can be run again. @throws SQLite's own errors. */
export function openDatabase(file: string, schema: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: BUSY_MS });
  for (let attempt = 1; ; attempt++) {
    try {
      database.exec(schema);
      return database;
    } catch (error) {
      const { errcode = 0 } = error as { errcode?: number };
      if (!TAKEN.has(errcode & 0xff) || attempt >= OPEN_TRIES) {
        database.close();
        throw error;
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BETWEEN_TRIES_MS);
    }
  }
}
