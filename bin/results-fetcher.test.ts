import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { openDiskStore } from "../adapters/disk/disk-store.ts";
import { ItemId, JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { readItem } from "../runner/item-record.ts";
import { makeTinyProject } from "../samples/tiny-project.ts";
import { openResultsFetcher } from "./results-fetcher.ts";

describe("a fetcher of results", () => {
  test("whose thread does not start, or ends, brings them all the same", async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-fetcher-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const home = join(dir, "home");
    const media = join(dir, "talk.mp4");
    writeFileSync(media, "content");
    const pipeline = makeTinyProject(dir)("pipeline.yaml", 0);
    const program = join(import.meta.dirname, "clipscribe.ts");
    const env = { PATH: process.env["PATH"], HOME: dir, CLIPSCRIBE_HOME: home };
    const said = execFileSync(
      process.execPath,
      [program, "run", media, "--pipeline", pipeline, "--json"],
      { env, cwd: dir },
    );
    const { job_id, items } = JSON.parse(said.toString().trim().split("\n").at(-1) ?? "") as {
      job_id: string;
      items: { item_id: string }[];
    };
    const user = UserId.parse("me");
    await using store = openDiskStore({ root: join(home, "store") });
    const key = keysOf(user).item(JobId.parse(job_id), ItemId.parse(items[0]?.item_id));
    const found = await readItem(store, key);
    assert.ok(found);
    // The thread opens the store by its folder, and this is none.
    await using fetcher = openResultsFetcher(
      { store, storeFolder: media },
      { user, results: join(dir, "results") },
      1_000,
    );

    for (let time = 1; time <= 2; time++) {
      const { folder, keptAs } = await fetcher.fetch(found.state);
      assert.equal(readFileSync(join(folder, "out.txt"), "utf8"), "said");
      assert.equal(keptAs, null);
    }
  });
});
