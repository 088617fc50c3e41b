/**
 * The drops' part of the ledger, in the same SQLite file but on a connection of its own: what is
 * noted here must outlive a power cut, what is noted of hashes need not.
 */
import type { DatabaseSync } from "node:sqlite";

import { DropItem, DropRecord } from "../../core/drop-records.ts";
import type { DropPhase } from "../../core/drop-records.ts";
import { ClipscribeError } from "../../core/errors.ts";
import type { JobId, Sha256 } from "../../core/ids.ts";
import type { DropLedger, KeptDrop } from "../../ports/drop-ledger.ts";
import { openLedgerFile } from "./open-ledger-file.ts";

/** What is searched for has a column; the rest is the record's JSON. */
const SCHEMA = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE IF NOT EXISTS drops (
    id INTEGER PRIMARY KEY AUTOINCREMENT, phase TEXT NOT NULL, job TEXT, record TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS drops_phase ON drops (phase);
  CREATE INDEX IF NOT EXISTS drops_job ON drops (job);
  CREATE TABLE IF NOT EXISTS drop_items (
    drop_id INTEGER NOT NULL REFERENCES drops, name TEXT NOT NULL, position INTEGER NOT NULL,
    sha256 TEXT, awaited INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (drop_id, name)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS drop_items_sha256 ON drop_items (sha256);
  CREATE INDEX IF NOT EXISTS drop_items_awaited ON drop_items (awaited) WHERE awaited = 1;
  CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`;

const OPEN: readonly DropPhase[] = ["spooled", "hashed", "acknowledged", "rejecting"];

interface Row {
  id: number;
  record: string;
}

export function openDropLedger(file: string): DropLedger {
  return guarded(openUnguarded(file), file);
}

/** Every call's errors as kinds: whoever is told that the disk is full waits, and goes on. */
function guarded(ledger: DropLedger, file: string): DropLedger {
  const handler: ProxyHandler<DropLedger> = {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== "function") return member;
      return (...args: unknown[]): unknown => {
        try {
          return (member as (...args: unknown[]) => unknown)(...args);
        } catch (error) {
          throw translateSqlite(error, file);
        }
      };
    },
  };
  return new Proxy(ledger, handler);
}

/** https://sqlite.org/rescode.html: primary codes are the low byte. Exported for its test. */
export function translateSqlite(error: unknown, file: string): unknown {
  const code = ((error as { errcode?: number }).errcode ?? 0) & 0xff;
  const as = (kind: "transient" | "denied", message: string, hint: string): ClipscribeError =>
    new ClipscribeError(kind, message, { details: { file }, hint, cause: error });
  switch (code) {
    case 5:
    case 6:
      return as("transient", "another process holds the ledger", "it is tried again");
    case 10:
      return as("transient", "the ledger's disk does not answer as it should", "check the disk");
    case 13:
      return as("transient", "the disk is full", "free some space: it goes on by itself");
    case 8:
    case 14:
      return as("denied", "the ledger can't be written", "make its folder writable");
    default:
      return error;
  }
}

function openUnguarded(file: string): DropLedger {
  const database = openLedgerFile(file, SCHEMA);
  const sql = prepare(database);

  /** `kept`: flushed, with all that was written before; `later`: with the next that is. */
  function together<Value>(until: "kept" | "later", work: () => Value): Value {
    database.exec(`PRAGMA synchronous = ${until === "kept" ? "FULL" : "NORMAL"}; BEGIN IMMEDIATE`);
    try {
      const value = work();
      database.exec("COMMIT");
      return value;
    } catch (error) {
      database.exec("ROLLBACK");
      throw error;
    }
  }

  function insertItem(id: number, position: number, item: DropItem): void {
    const sha256 = item.source?.sha256 ?? null;
    sql.upsertItem.run(id, item.name, position, sha256, isAwaited(item), JSON.stringify(item));
  }

  function insert(drop: DropRecord, items: readonly DropItem[]): number {
    const { lastInsertRowid } = sql.insertDrop.run(drop.phase, drop.job, JSON.stringify(drop));
    const id = Number(lastInsertRowid);
    for (const [position, item] of items.entries()) insertItem(id, position, item);
    return id;
  }

  const read = (row: Row): KeptDrop => ({
    id: row.id,
    drop: DropRecord.parse(JSON.parse(row.record)),
    items: (sql.itemsOf.all(row.id) as unknown as Row[]).map(({ record }) => readItem(record)),
  });
  const one = (row: unknown): KeptDrop | undefined =>
    row === undefined ? undefined : read(row as Row);

  return {
    add: (drop, items) => together("kept", () => insert(drop, items)),
    get: (id) => one(sql.byId.get(id)),
    change(id, change) {
      const isIntent = change.target !== undefined || change.phase === "rejecting";
      together(isIntent ? "kept" : "later", () => {
        const kept = one(sql.byId.get(id));
        if (kept === undefined) return;
        const drop = { ...kept.drop, ...change };
        sql.updateDrop.run(drop.phase, drop.job, JSON.stringify(drop), id);
      });
    },
    changeItem(id, name, change) {
      const isIntent = change.run !== undefined || change.upload_id !== undefined;
      together(isIntent && change.phase === undefined ? "kept" : "later", () => {
        const row = sql.item.get(id, name) as { record: string; position: number } | undefined;
        if (row === undefined) return;
        insertItem(id, row.position, { ...readItem(row.record), ...change });
      });
    },
    setItems(id, items) {
      together("kept", () => {
        sql.deleteItems.run(id);
        for (const [position, item] of items.entries()) insertItem(id, position, item);
      });
    },
    listOpen: () =>
      OPEN.flatMap((phase) => sql.byPhase.all(phase) as unknown as Row[])
        .map(read)
        .toSorted((a, b) => a.id - b.id),
    listSpooled: () => (sql.byPhase.all("spooled") as unknown as Row[]).map(read),
    findSame(name, sha256) {
      const rows = sql.bySha.all(sha256) as unknown as Row[];
      return rows.map(read).find(({ drop, items }) => {
        const isOurs = ["hashed", "acknowledged", "done"].includes(drop.phase);
        return isOurs && drop.kind === "file" && drop.name === name && items.length === 1;
      });
    },
    findPutBack(name) {
      const rows = sql.gone.all() as unknown as Row[];
      const kept = rows.map(read).find(({ drop }) => drop.kind === "folder" && drop.name === name);
      return kept?.drop.job === null ? undefined : kept;
    },
    hasJob: (job) => sql.byJob.get(job) !== undefined,
    findJob: (job) => one(sql.byJob.get(job)),
    listRecentJobs: (max) =>
      (sql.recentJobs.all(max) as { job: string }[]).map(({ job }) => job as JobId),
    countByPhase() {
      const rows = sql.counts.all() as { phase: DropPhase; count: number }[];
      return Object.fromEntries(rows.map(({ phase, count }) => [phase, count]));
    },
    spool(work, at) {
      const drop: DropRecord = {
        schema: 1,
        phase: "spooled",
        origin: "submit",
        name: work.name,
        sources: [...work.sources],
        urls: [...work.urls],
        kind: work.kind,
        job: work.job,
        pipeline: null,
        options: work.options,
        fingerprint: "",
        target: null,
        moved: false,
        error: null,
        created_at: at.toISOString(),
      };
      return together("kept", () => {
        if (sql.byJob.get(work.job) === undefined) return insert(drop, []);
        throw new ClipscribeError("conflict", "there is such a job already", {
          details: { job: work.job },
        });
      });
    },
    listAwaited() {
      const rows = sql.awaited.all() as { id: number; job: string; record: string }[];
      return rows.map(({ id, job, record }) => ({ id, job: job as JobId, item: readItem(record) }));
    },
    countAwaited: () => (sql.awaitedCount.get() as { count: number }).count,
    listPipelines: () =>
      new Set((sql.pipelines.all() as { digest: Sha256 }[]).map(({ digest }) => digest)),
    readFact: (name) => (sql.fact.get(name) as { value: string } | undefined)?.value,
    writeFact: (name, value) => void sql.setFact.run(name, value),
    [Symbol.dispose]: () => database.close(),
  };
}

function prepare(database: DatabaseSync) {
  const drops = "SELECT id, record FROM drops";
  return {
    insertDrop: database.prepare("INSERT INTO drops (phase, job, record) VALUES (?, ?, ?)"),
    updateDrop: database.prepare("UPDATE drops SET phase = ?, job = ?, record = ? WHERE id = ?"),
    byId: database.prepare(`${drops} WHERE id = ?`),
    byJob: database.prepare(`${drops} WHERE job = ? ORDER BY id DESC LIMIT 1`),
    recentJobs: database.prepare(
      "SELECT job, max(id) AS last FROM drops WHERE job IS NOT NULL GROUP BY job ORDER BY last DESC LIMIT ?",
    ),
    byPhase: database.prepare(`${drops} WHERE phase = ?`),
    bySha: database.prepare(
      `${drops} WHERE id IN (SELECT drop_id FROM drop_items WHERE sha256 = ?)
       ORDER BY id DESC LIMIT 1000`,
    ),
    gone: database.prepare(`${drops} WHERE phase = 'gone' ORDER BY id DESC LIMIT 100`),
    counts: database.prepare("SELECT phase, count(*) AS count FROM drops GROUP BY phase"),
    upsertItem: database.prepare("INSERT OR REPLACE INTO drop_items VALUES (?, ?, ?, ?, ?, ?)"),
    item: database.prepare(
      "SELECT position, record FROM drop_items WHERE drop_id = ? AND name = ?",
    ),
    itemsOf: database.prepare(
      "SELECT drop_id AS id, record FROM drop_items WHERE drop_id = ? ORDER BY position",
    ),
    deleteItems: database.prepare("DELETE FROM drop_items WHERE drop_id = ?"),
    awaited: database.prepare(
      `SELECT drops.id, drops.job, drop_items.record FROM drop_items
       JOIN drops ON drops.id = drop_items.drop_id WHERE awaited = 1 ORDER BY drops.id, position`,
    ),
    awaitedCount: database.prepare(
      `SELECT count(*) AS count FROM drop_items
       WHERE awaited = 1 AND record ->> '$.outcome' IS NULL`,
    ),
    pipelines: database.prepare(
      `SELECT DISTINCT record ->> '$.pipeline.digest' AS digest FROM drops
       WHERE record ->> '$.pipeline.digest' IS NOT NULL AND (phase IN ('hashed', 'acknowledged')
       OR id IN (SELECT drop_id FROM drop_items WHERE awaited = 1))`,
    ),
    fact: database.prepare("SELECT value FROM facts WHERE name = ?"),
    setFact: database.prepare("INSERT OR REPLACE INTO facts VALUES (?, ?)"),
  };
}

const isAwaited = (item: DropItem): number =>
  item.ticket !== null && !item.fetched && item.phase === "acknowledged" ? 1 : 0;

function readItem(record: string): DropItem {
  return DropItem.parse(JSON.parse(record));
}
