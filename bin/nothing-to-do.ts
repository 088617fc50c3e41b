/**
 * The first look of a run: is everything as the last one left it? Loads next to nothing, since that
 * is the answer most of the time and 10,000 items should not wait for code that they don't need.
 */
import { existsSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";

import { EXIT } from "../core/exit-codes.ts";
import { findUnchanged } from "../sync/snapshot.ts";
import type { Snapshot } from "../sync/snapshot.ts";
import { findPipelineFile } from "./find-pipeline.ts";
import { readVersion } from "./install.ts";
import type { Io } from "./io.ts";
import { readSettings } from "./settings.ts";

/** Reports and returns the exit code where nothing is to do; otherwise undefined. */
export async function reportNothingToDo(
  args: readonly string[],
  options: { pipeline?: string | undefined; json: boolean; quiet: boolean },
  io: Io,
): Promise<number | undefined> {
  const settings = await readSettings(io);
  // What holds on a bucket may have been pushed from elsewhere.
  if (settings.store.kind !== "disk") return undefined;
  const paths = args.map((arg) => resolve(io.cwd, arg));
  if (!paths.every((path) => existsSync(path))) return undefined;
  const named = paths.map((path) => realpathSync(path));
  const pipeline = findPipelineFile(io, options.pipeline);
  const asked = { named, pipeline, results: settings.results };
  const snapshot = findUnchanged(settings.home, asked, readVersion());
  return snapshot === undefined ? undefined : report(snapshot, options, io);
}

function report(snapshot: Snapshot, options: { json: boolean; quiet: boolean }, io: Io): number {
  const { items, stages, job, resultsDir } = snapshot;
  if (options.json) {
    const reused = stages.map((id) => ({ id, state: "reused", why: "nothing changed" }));
    const results = items.map((item) => ({
      item_id: item,
      status: "complete",
      path: join(resultsDir, item),
      cost_usd: 0,
      stages: reused,
      error: null,
    }));
    const summary = { schema: 1, job_id: job, status: "complete", cost_usd: 0, items: results };
    io.stdout(`${JSON.stringify(summary)}\n`);
    return EXIT.complete;
  }
  const [only] = items;
  const single = items.length === 1 && only !== undefined;
  if (!options.quiet) {
    const what = single ? `all ${stages.length} stages reused` : `all ${items.length} items reused`;
    io.stdout(`nothing changed: ${what}, $0\n`);
  }
  io.stdout(`${single ? reportOf(join(resultsDir, only)) : resultsDir}\n`);
  return EXIT.complete;
}

/** The page of an item's folder, or the folder where no page is published. */
export function reportOf(folder: string): string {
  const html = join(folder, "report.html");
  return existsSync(html) ? html : folder;
}
