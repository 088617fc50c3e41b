/**
 * make bench-fetch: the results of a night, 50 items of 12 small files and a sound of 4 MB each, from
 * the emulator into a folder. Ours asks for each manifest, compares every hash, flushes every file and
 * puts each item in place by one rename; `rclone copy` copies the same names and flushes nothing. What was
 * decided: docs/decisions/2026-11-25-results-by-our-own-stream.md. Target: not slower. ITEMS, ROUNDS.
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openR2Store } from "../adapters/r2/r2-store.ts";
import { keysOf } from "../core/keys.ts";
import type { ItemState } from "../core/records.ts";
import { JOB, USER, publishItem } from "../samples/publish-item.ts";
import { median, report, round } from "./measure.ts";
import { bundleChild } from "./peers/bundle-child.ts";
import { findRclones, rcloneEnv } from "./peers/rclone.ts";
import { startEmulator } from "./peers/start-sink.ts";
import { runTimed } from "./peers/timed-child.ts";
import type { Timed } from "./peers/timed-child.ts";

const ITEMS = Number(process.env["ITEMS"] ?? 50);
const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const SMALL_FILES = 12;
const SMALL_BYTES = 30_000;
const SOUND_BYTES = 4_000_000;
const TARGET = 1;

const dir = mkdtempSync(join(tmpdir(), "clipscribe-bench-fetch-"));
try {
  const child = await bundleChild("fetch-child.ts", dir);
  await using cloud = await startEmulator(join(dir, "cloud"));
  const { place } = cloud;
  const states: Pick<ItemState, "job_id" | "item_id" | "manifest">[] = [];
  {
    using store = openR2Store({ ...place, minWriteIntervalMs: 0, etags: "md5" });
    for (let item = 0; item < ITEMS; item++) {
      const files: Record<string, Uint8Array> = { "audio.m4a": randomBytes(SOUND_BYTES) };
      for (let at = 0; at < SMALL_FILES; at++) files[`part-${at}.json`] = randomBytes(SMALL_BYTES);
      const state = await publishItem(store, `talk-${item}`, files);
      // As a runner shows them: rclone knows names, not hashes.
      for (const [name, body] of Object.entries(files)) {
        await store.put(keysOf(USER).result(JOB, state.item_id, name), body);
      }
      states.push(state);
    }
  }
  const plan = join(dir, "plan.json");
  writeFileSync(plan, JSON.stringify({ ...place, user: USER, states }));
  const files = ITEMS * (SMALL_FILES + 1);

  const contestants: { name: string; run: (to: string) => Promise<Timed> }[] = [
    {
      name: "clipscribe",
      run: async (to) => {
        const timed = await runTimed([process.execPath, child, plan, to], { HOME: dir });
        // Its manifests as well.
        if (countFiles(to) !== files + ITEMS) throw new Error("not all files came");
        return timed;
      },
    },
    ...findRclones().flatMap(({ name, program }) =>
      [4, 16].map((transfers) => ({
        name: `${name} --transfers ${transfers}`,
        run: async (to: string) => {
          const from = `r2:${place.bucket}/results/${USER}/${JOB}`;
          const command = [program, "copy", `--transfers=${transfers}`, from, join(to, JOB)];
          const timed = await runTimed(command, rcloneEnv(place, dir));
          if (countFiles(to) !== files) throw new Error("not all files came");
          return timed;
        },
      })),
    ),
  ];
  const runs = new Map<string, Timed[]>(contestants.map(({ name }) => [name, []]));
  for (let at = 0; at < ROUNDS; at++) {
    for (const [turn, { name, run }] of contestants.entries()) {
      // Deleted at the end only: ext4 looks for long before it makes files where many have just gone.
      runs.get(name)?.push(await run(join(dir, `to-${at}-${turn}`)));
      spawnSync("sync");
    }
  }
  const megabytes = (ITEMS * (SOUND_BYTES + SMALL_FILES * SMALL_BYTES)) / 1e6;
  const figures = [...runs].map(([name, each]) => ({
    name,
    seconds: round(median(each.map(({ ms }) => ms)) / 1000),
    mb_s: round(megabytes / (median(each.map(({ ms }) => ms)) / 1000)),
    cpu_seconds: round(median(each.map(({ cpuSeconds }) => cpuSeconds))),
    runs_ms: each.map(({ ms }) => Math.round(ms)),
  }));
  const [ours, ...theirs] = figures;
  const best = Math.min(...theirs.map(({ seconds }) => seconds));
  const ratio = best / (ours?.seconds ?? Number.NaN);
  report({
    name: "bench-fetch",
    pass: ratio >= TARGET,
    ratio_to_best_rclone: round(ratio),
    target_ratio: TARGET,
    items: ITEMS,
    files,
    megabytes: round(megabytes),
    contestants: figures,
  });
} finally {
  rmSync(dir, { recursive: true, force: true });
}

function countFiles(folder: string): number {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}
