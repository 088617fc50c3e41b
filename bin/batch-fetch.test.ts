import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import type { SpawnSyncReturns } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openDiskStore } from "../adapters/disk/disk-store.ts";
import { makeHome } from "../bench/campaign-world.ts";
import { ItemId } from "../core/ids.ts";
import { queueItem } from "../core/item-state.ts";
import { keysOf } from "../core/keys.ts";
import { Ticket } from "../core/records.ts";
import type { ItemState, Metadata } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { JOB, USER, publishItem } from "../samples/publish-item.ts";

const NAMES = ["good", "bad", "fine"];
const DIGEST = "0".repeat(64) as Ticket["pipeline_digest"];

function ticketOf(item: string): Ticket {
  const source = {
    kind: "file" as const,
    url: null,
    filename: `${item}.mp4`,
    sha256: DIGEST,
    size: 1,
    media_type: "video/mp4",
  };
  return Ticket.parse({
    schema: 1,
    job_id: JOB,
    item_id: ItemId.parse(item),
    run: 1,
    user: USER,
    lane: "batch",
    pipeline_digest: DIGEST,
    source,
    artifacts: [],
    info: {
      title: null,
      url: null,
      file_name: source.filename,
      platform: null,
      channel: null,
      published_at: null,
      view_count: null,
      description: null,
      thumbnail_url: null,
    },
    created_at: "2026-11-25T20:41:00.000Z",
  });
}

/** Three complete items; `spoil` does to the store what only an enemy, or a mishap, does. */
async function world(t: TestContext, spoil: (store: ObjectStore) => Promise<void>) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-batch-fetch-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  {
    await using store = openDiskStore({ root: join(dir, "store") });
    const keys = keysOf(USER);
    const put = async (key: Parameters<ObjectStore["put"]>[0], value: unknown): Promise<void> =>
      void (await store.put(key, Buffer.from(JSON.stringify(value))));
    for (const name of NAMES) {
      const { manifest } = await publishItem(store, name, { "report.md": Buffer.from(name) });
      const queued = queueItem(ticketOf(name), new Date());
      const state: ItemState = { ...queued, status: "complete", manifest };
      await put(keys.item(JOB, ItemId.parse(name)), state);
    }
    const metadata: Metadata = {
      schema: 1,
      job_id: JOB,
      user: USER,
      user_email: null,
      submitted_at: "2026-11-25T20:41:00.000Z",
      lane: "batch",
      pipeline: { name: "test", digest: DIGEST },
      items: NAMES.map((name) => ({
        item_id: ItemId.parse(name),
        source: ticketOf(name).source,
      })),
      options: {},
      device: "another computer",
      notify: { email: null, webhook: null },
      control: { state: "run", budget_usd: null, approved_usd: null },
    };
    await put(keys.metadata(JOB), metadata);
    await spoil(store);
  }
  const results = join(dir, "results");
  const fetch = async () => {
    const program = join(import.meta.dirname, "clipscribe.ts");
    const args = ["batch", "fetch", JOB, "--json", "--output-dir", results];
    const child = spawn(process.execPath, [program, ...args], {
      cwd: dir,
      env: {
        PATH: process.env["PATH"],
        HOME: dir,
        CLIPSCRIBE_HOME: join(dir, "home"),
        CLIPSCRIBE_STORE: `disk:${join(dir, "store")}`,
        CLIPSCRIBE_USER: USER,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let stdout = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    const end = JSON.parse(stdout) as { items: { item_id: string; state: string }[] };
    const states = Object.fromEntries(end.items.map(({ item_id, state }) => [item_id, state]));
    return { code, states };
  };
  return { dir, results, fetch };
}

describe("batch fetch", () => {
  test("brings what is there once, and on any computer", async (t) => {
    const { results, fetch } = await world(t, async () => undefined);

    const first = await fetch();
    const second = await fetch();

    assert.deepEqual(first, { code: 0, states: { good: "new", bad: "new", fine: "new" } });
    assert.deepEqual(new Set(Object.values(second.states)), new Set(["unchanged"]));
    assert.equal(readFileSync(join(results, JOB, "good", "report.md"), "utf8"), "good");
  });

  const spoils: Record<string, (store: ObjectStore) => Promise<void>> = {
    "whose manifest leads out of its folder": async (store) => {
      const keys = keysOf(USER);
      const key = keys.item(JOB, ItemId.parse("bad"));
      const { body } = await store.get(key);
      const state = JSON.parse(Buffer.from(body).toString("utf8")) as ItemState;
      const { manifest } = await publishItem(store, "bad", { x: Buffer.from("x") }, (made) => ({
        ...made,
        files: made.files.map((file) => ({ ...file, path: "../../../stolen" })),
      }));
      await store.put(key, Buffer.from(JSON.stringify({ ...state, manifest })));
    },
    "whose state speaks of another job": async (store) => {
      const key = keysOf(USER).item(JOB, ItemId.parse("bad"));
      const { body } = await store.get(key);
      const state = JSON.parse(Buffer.from(body).toString("utf8")) as ItemState;
      await store.put(key, Buffer.from(JSON.stringify({ ...state, job_id: "another-job" })));
    },
    "whose state is called ../../x": async (store) => {
      const key = keysOf(USER).item(JOB, ItemId.parse("bad"));
      const { body } = await store.get(key);
      const state = JSON.parse(Buffer.from(body).toString("utf8")) as ItemState;
      await store.put(key, Buffer.from(JSON.stringify({ ...state, item_id: "../../x" })));
    },
    "whose state is no record": async (store) => {
      await store.put(keysOf(USER).item(JOB, ItemId.parse("bad")), Buffer.from("<html>"));
    },
  };
  for (const [name, spoil] of Object.entries(spoils)) {
    test(`an item ${name} is refused, the others come, and the exit code says so`, async (t) => {
      const { dir, results, fetch } = await world(t, spoil);

      const { code, states } = await fetch();

      assert.equal(code, 7);
      assert.deepEqual(states, { bad: "failed", good: "new", fine: "new" });
      assert.deepEqual(readdirSync(join(results, JOB)).toSorted(), ["fine", "good"]);
      assert.deepEqual(readdirSync(results), [JOB]);
      assert.ok(!existsSync(join(dir, "stolen")));
    });
  }

  test("brings a job whose blobs have expired: its published files have not", async (t) => {
    const home = makeHome({ stages: 3, items: 2 });
    t.after(home.remove);
    const clipscribe = (...args: string[]): SpawnSyncReturns<string> =>
      spawnSync(process.execPath, [join(import.meta.dirname, "clipscribe.ts"), ...args], {
        cwd: home.dir,
        env: { PATH: process.env["PATH"], HOME: home.dir, CLIPSCRIBE_HOME: home.home },
        encoding: "utf8",
      });
    const ran = clipscribe("run", home.inbox, "--pipeline", home.pipeline, "--quiet");
    const folder = ran.stdout.trim().split("\n").at(-1) ?? "";
    const before = readAll(folder);
    assert.ok(before.has("digest.md") && before.has(join("item-0", "big.txt")));
    rmSync(join(home.home, "store", "blobs"), { recursive: true });
    rmSync(folder, { recursive: true });

    const fetched = clipscribe("batch", "fetch", basename(folder));

    assert.equal(fetched.status, 0, fetched.stderr);
    assert.deepEqual(readAll(folder), before);
  });
});

function readAll(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [relative(folder, path), readFileSync(path, "utf8")];
    }),
  );
}
