import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { DropOptions } from "../../core/drop-records.ts";
import type { DropItem, DropRecord } from "../../core/drop-records.ts";
import { hasKind } from "../../core/errors.ts";
import { ItemId, JobId, Sha256 } from "../../core/ids.ts";
import type { DropLedger } from "../../ports/drop-ledger.ts";
import { openDropLedger, translateSqlite } from "./drop-ledger.ts";
import { openLedger } from "./ledger.ts";

const SHA = Sha256.parse("a".repeat(64));
const JOB = JobId.parse("20261125-1800-talk-7f3a");
const AT = new Date("2026-11-25T18:00:00Z");

function ledgerFile(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-ledger-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, "ledger.db");
}

function open(t: TestContext, file = ledgerFile(t)): DropLedger {
  const ledger = openDropLedger(file);
  t.after(() => {
    try {
      ledger[Symbol.dispose]();
    } catch {
      // The test closed it.
    }
  });
  return ledger;
}

const drop = (more: Partial<DropRecord> = {}): DropRecord => ({
  schema: 1,
  phase: "hashed",
  origin: "inbox",
  name: "talk.mp4",
  sources: ["/inbox/talk.mp4"],
  urls: [],
  kind: "file",
  job: JOB,
  pipeline: null,
  options: DropOptions.parse({}),
  fingerprint: "1:2:3",
  target: null,
  moved: false,
  error: null,
  created_at: AT.toISOString(),
  ...more,
});

const item = (more: Partial<DropItem> = {}): DropItem => ({
  schema: 1,
  name: "talk.mp4",
  phase: "hashed",
  item: ItemId.parse("talk"),
  url: null,
  path: "/inbox/talk.mp4",
  fingerprint: "1:2:3",
  source: {
    kind: "file",
    url: null,
    filename: "talk.mp4",
    sha256: SHA,
    size: 1,
    media_type: "video/mp4",
  },
  info: null,
  sidecars: [],
  upload_id: null,
  artifacts: [],
  ticket: null,
  run: null,
  outcome: null,
  fetched: false,
  error: null,
  ...more,
});

describe("the ledger of drops", () => {
  test("what was noted is there for the next process, beside the hashes in the same file", (t) => {
    const file = ledgerFile(t);
    using hashes = openLedger(file);
    const first = openDropLedger(file);
    const id = first.add(drop(), [item(), item({ name: "b.mp4" })]);
    first.change(id, { target: "/done/talk.mp4" });
    first.changeItem(id, "talk.mp4", { upload_id: "u1" });
    first[Symbol.dispose]();

    const [kept] = open(t, file).listOpen();

    assert.equal(kept?.id, id);
    assert.equal(kept?.drop.target, "/done/talk.mp4");
    assert.deepEqual(
      kept?.items.map((each) => [each.name, each.upload_id]),
      [
        ["talk.mp4", "u1"],
        ["b.mp4", null],
      ],
    );
    assert.equal(hashes.findDownload("x"), undefined);
  });

  test("what is done, rejected or gone is nothing to go on with", (t) => {
    const ledger = open(t);
    for (const phase of ["done", "rejected", "gone"] as const) ledger.add(drop({ phase }), []);
    const id = ledger.add(drop({ phase: "acknowledged" }), []);

    assert.deepEqual(
      ledger.listOpen().map((kept) => kept.id),
      [id],
    );
    assert.deepEqual(ledger.countByPhase(), { done: 1, rejected: 1, gone: 1, acknowledged: 1 });
  });

  test("the same name with the same bytes is found, another name or a drop that ended elsewhere is not", (t) => {
    const ledger = open(t);
    ledger.add(drop({ phase: "gone" }), [item()]);
    assert.equal(ledger.findSame("talk.mp4", SHA), undefined);
    const id = ledger.add(drop({ phase: "done" }), [item()]);

    assert.equal(ledger.findSame("talk.mp4", SHA)?.id, id);
    assert.equal(ledger.findSame("other.mp4", SHA), undefined);
    assert.equal(ledger.findSame("talk.mp4", Sha256.parse("b".repeat(64))), undefined);
  });

  test("spooled work is open at once, for another process too; the same job twice is refused", (t) => {
    const file = ledgerFile(t);
    const agent = open(t, file);
    const work = {
      job: JOB,
      name: "urls.txt",
      kind: "list" as const,
      sources: ["/lists/urls.txt"],
      urls: [],
      options: DropOptions.parse({ budget: 2 }),
    };
    const id = open(t, file).spool(work, AT);

    assert.equal(agent.get(id)?.drop.phase, "spooled");
    assert.equal(agent.listOpen()[0]?.drop.options.budget, 2);
    assert.ok(agent.hasJob(JOB));
    assert.throws(() => agent.spool(work, AT), hasKind("conflict"));
  });

  test("an item is awaited from its ticket until its results are here", (t) => {
    const ledger = open(t);
    const id = ledger.add(drop(), [item()]);
    assert.deepEqual(ledger.listAwaited(), []);
    ledger.changeItem(id, "talk.mp4", { phase: "acknowledged", ticket: "inbox/t", run: 1 });
    const awaited = ledger.listAwaited().map(({ job, item: each }) => [job, each.item]);
    ledger.changeItem(id, "talk.mp4", { outcome: "complete", fetched: true });

    assert.deepEqual(awaited, [[JOB, "talk"]]);
    assert.deepEqual(ledger.listAwaited(), []);
  });

  test("recent jobs come newest first, each once, and no more than asked for", (t) => {
    const ledger = open(t);
    const jobs = ["a", "b", "c"].map((name) => JobId.parse(`20261125-1800-${name}-7f3a`));
    for (const job of [...jobs, ...jobs.slice(0, 1)]) ledger.add(drop({ job, phase: "done" }), []);
    ledger.add(drop({ job: null, phase: "rejected" }), []);

    assert.deepEqual(ledger.listRecentJobs(2), [jobs[0], jobs[2]]);
  });

  test("a full disk passes, a read-only one is denied, a bug stays one", () => {
    const kind = (errcode: number): string =>
      (translateSqlite({ errcode }, "ledger.db") as { kind?: string }).kind ?? "as it was";

    assert.deepEqual([13, 10, 10 | (13 << 8), 5, 8, 14, 1].map(kind), [
      ...["transient", "transient", "transient", "transient"],
      ...["denied", "denied", "as it was"],
    ]);
  });

  test("a fact outlives the process", (t) => {
    const file = ledgerFile(t);
    const first = openDropLedger(file);
    first.writeFact("server_seen_at", "2026-11-25T18:02:00Z");
    first[Symbol.dispose]();

    assert.equal(open(t, file).readFact("server_seen_at"), "2026-11-25T18:02:00Z");
  });
});
