/** Opens the one SQLite file of the ledger, which each of its parts does on a connection of its own. */
import type { DatabaseSync } from "node:sqlite";

import { ClipscribeError } from "../../core/errors.ts";
import { openDatabase } from "../sqlite/open-database.ts";

/** @throws `denied` */
export function openLedgerFile(file: string, schema: string): DatabaseSync {
  try {
    return openDatabase(file, schema);
  } catch (cause) {
    throw new ClipscribeError("denied", "the ledger can't be opened", {
      details: { file },
      hint: "make its folder writable, or set CLIPSCRIBE_HOME to another",
      cause,
    });
  }
}
