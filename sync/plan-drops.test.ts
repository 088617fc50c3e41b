import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { DropOptions } from "../core/drop-records.ts";
import type { DropItem, DropRecord } from "../core/drop-records.ts";
import { ClipscribeError } from "../core/errors.ts";
import { ItemId, JobId, Sha256 } from "../core/ids.ts";
import type { KeptDrop } from "../ports/drop-ledger.ts";
import { passProbe, phaseOf, seeDrop } from "./drop-state.ts";
import { AT_ONCE, MAX_OPEN_DROPS, planDrops, planKept } from "./plan-drops.ts";
import type { PlanInput } from "./plan-drops.ts";
import { emptyItem } from "./read-drop.ts";
import { createTroubles } from "./troubles.ts";
import type { Scope } from "./troubles.ts";

const SHA = Sha256.parse("a".repeat(64));

function item(name: string, more: Partial<DropItem> = {}): DropItem {
  const source = {
    kind: "file",
    url: null,
    filename: name,
    sha256: SHA,
    size: 1,
    media_type: "",
  } as const;
  return { ...emptyItem(name), phase: "hashed", item: ItemId.parse("item"), source, ...more };
}

let nextId = 1;
function kept(drop: Partial<DropRecord>, ...items: DropItem[]): KeptDrop {
  return {
    id: nextId++,
    drop: {
      schema: 1,
      phase: "hashed",
      origin: "inbox",
      name: "talk.mp4",
      sources: [],
      urls: [],
      kind: "file",
      job: JobId.parse("job"),
      pipeline: null,
      options: DropOptions.parse({}),
      fingerprint: "",
      target: null,
      moved: false,
      error: null,
      created_at: "2026-11-25T18:00:00Z",
      ...drop,
    },
    items,
  };
}

const plan = (input: Partial<PlanInput>) =>
  planDrops({
    waiting: [],
    kept: [],
    busy: new Map(),
    isHeldBack: () => false,
    room: (_, full) => full,
    sourcesStay: false,
    nowMs: 0,
    ...input,
  });
const doing = (drop: KeptDrop, sourcesStay = false): string[] =>
  planKept(drop, sourcesStay).map((step) => step.do);

describe("what is to be done with a drop of the ledger", () => {
  test("with a bucket: its ticket first, then its move, then it is done", () => {
    const acknowledged = item("a", { phase: "acknowledged" });
    assert.deepEqual(doing(kept({}, item("a"))), ["hand-off"]);
    assert.deepEqual(doing(kept({}, acknowledged)), ["acknowledge"]);
    assert.deepEqual(doing(kept({ phase: "acknowledged" }, acknowledged)), ["move"]);
    assert.deepEqual(doing(kept({ phase: "acknowledged", moved: true }, acknowledged)), ["finish"]);
  });

  test("on one machine: its move first, since the ticket has it read where it lies", () => {
    assert.deepEqual(doing(kept({}, item("a")), true), ["move"]);
    assert.deepEqual(doing(kept({ moved: true }, item("a")), true), ["hand-off"]);
  });

  test("what another process handed over is never moved", () => {
    assert.deepEqual(doing(kept({ origin: "submit", phase: "spooled" })), ["read-spooled"]);
    const done = kept(
      { origin: "submit", phase: "acknowledged" },
      item("a", { phase: "acknowledged" }),
    );
    assert.deepEqual(doing(done), ["finish"]);
    assert.deepEqual(doing(kept({ origin: "submit" }, item("a")), true), ["hand-off"]);
  });

  test("what is over needs nothing", () => {
    for (const phase of ["done", "rejected", "gone"] as const) {
      assert.deepEqual(doing(kept({ phase }, item("a"))), []);
    }
  });

  test("a person is told the slowest of its items", () => {
    const items = [item("a", { phase: "prepared" }), item("b", { phase: "pending" })];
    assert.equal(phaseOf(kept({}).drop, items), "downloading");
    assert.equal(phaseOf(kept({}).drop, items.slice(0, 1)), "uploading");
    assert.equal(phaseOf(kept({ phase: "done" }).drop, items), "done");
  });
});

describe("the plan", () => {
  const ready = (name: string) => passProbe(seeDrop(name, "file", 0));

  test("begins no second step of a drop whose first is under way, or that is held back", () => {
    const drop = kept({ phase: "rejecting" });

    assert.equal(plan({ kept: [drop] }).length, 1);
    assert.equal(plan({ kept: [drop], busy: new Map([[`${drop.id}`, "set-aside"]]) }).length, 0);
    assert.equal(plan({ kept: [drop], isHeldBack: () => true }).length, 0);
  });

  test("small files go before large ones, urgent ones before all", () => {
    const sized = (name: string, size: number, lane: "urgent" | "batch" = "batch"): KeptDrop => {
      const { source } = item(name);
      const options = DropOptions.parse({ lane });
      return kept({ options }, item(name, { source: source && { ...source, size } }));
    };
    const steps = plan({
      kept: [sized("large", 900), sized("small", 5), sized("now", 5_000, "urgent")],
    });

    assert.deepEqual(
      steps.map((step) => ("item" in step ? step.item : "")),
      ["now", "small", "large"],
    );
  });

  test("as many steps of a kind as there is room for, those under way counted", () => {
    const many = Array.from({ length: 50 }, (_, at) => kept({}, item(`${at}`)));
    const busy = new Map([["other x", "hand-off" as const]]);

    assert.equal(plan({ kept: many, busy }).length, AT_ONCE.store - 1);
  });

  test("what the ledger can't hold open yet waits in the inbox, looked at but not read", () => {
    const open = Array.from({ length: MAX_OPEN_DROPS }, () => kept({ phase: "done" }));

    assert.deepEqual(plan({ kept: open, waiting: [ready("a.mp4")] }), []);
    assert.equal(plan({ kept: open.slice(1), waiting: [ready("a.mp4")] }).length, 1);
  });
});

describe("trouble", () => {
  const error = (kind: "transient" | "denied", message = "no route"): ClipscribeError =>
    new ClipscribeError(kind, message);
  function troubles() {
    const told: string[] = [];
    const made = createTroubles(
      {
        onTrouble: (scope: Scope, { message }) => void told.push(`${scope}: ${message}`),
        onOver: (scope) => void told.push(`${scope} over`),
      },
      () => 0.5,
    );
    return { told, ...made };
  }

  test("an outage is said once, lets one step try, and is said to be over", () => {
    const t = troubles();
    t.failed("1 a", "store", error("transient"), 0);
    t.failed("2 b", "store", error("transient"), 10);

    assert.equal(t.room("store", 16, 20), 0);
    assert.equal(t.room("folder", 4, 20), 4);
    assert.equal(t.room("store", 16, 5_000), 1);
    t.succeeded("2 b", "store", 5_000);
    assert.equal(t.room("store", 16, 5_000), 16);
    assert.ok(t.notBeforeMs("1 a") <= 5_000);
    assert.deepEqual(t.told, ["store: no route", "store over"]);
  });

  test("waits grow to a minute, and no further", () => {
    const t = troubles();
    let nowMs = 0;
    for (let tries = 0; tries < 40; tries++) {
      t.failed("1 a", "store", error("transient"), nowMs);
      const waitMs = t.nextMs(nowMs) - nowMs;
      assert.ok(waitMs <= 75_000);
      nowMs += waitMs;
    }
  });

  test("a file that may not be read holds back nobody else, and is said once", () => {
    const t = troubles();
    t.failed("waiting a.mp4", "folder", error("denied"), 0);
    t.failed("waiting a.mp4", "folder", error("denied"), 2_000);

    assert.equal(t.room("folder", 4, 0), 4);
    assert.ok(t.notBeforeMs("waiting a.mp4") > 2_000);
    assert.equal(t.told.length, 1);
  });

  test("credentials that are refused hold back all of the store", () => {
    const t = troubles();
    t.failed("1 a", "store", error("denied"), 0);

    assert.equal(t.room("store", 16, 10), 0);
  });

  test("a link that fails while others come through is at fault itself; offline, none is", () => {
    const t = troubles();
    t.failed("1 dead", "network", error("transient"), 0);
    assert.equal(t.isOwn("1 dead", "network"), false);
    t.succeeded("1 alive", "network", 1_000);

    assert.equal(t.isOwn("1 dead", "network"), true);
  });

  test("after a sleep everything may be tried at once", () => {
    const t = troubles();
    for (let tries = 0; tries < 8; tries++) t.failed("1 a", "store", error("transient"), tries);
    t.forgive(100);

    assert.equal(t.room("store", 16, 100), 1);
    assert.equal(t.notBeforeMs("1 a"), 100);
  });
});
