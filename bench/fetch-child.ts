/** Our fetching as a process of its own. Its arguments: a file with the plan, and the folder. */
import { readFileSync } from "node:fs";

import { openR2Store } from "../adapters/r2/r2-store.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { UserId } from "../core/ids.ts";
import type { ItemState } from "../core/records.ts";
import { retrying } from "../ports/retrying.ts";
import { fetchResults } from "../sync/fetch-results.ts";

interface Plan {
  endpoint: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
  user: string;
  states: Pick<ItemState, "job_id" | "item_id" | "manifest">[];
}

/** As `batch fetch` does. */
const AT_ONCE = 4;

const [, , planFile = "", folder = ""] = process.argv;
const plan = JSON.parse(readFileSync(planFile, "utf8")) as Plan;
using raw = openR2Store({ ...plan, minWriteIntervalMs: 1_000, etags: "md5" });
const tries = { attempts: 7, baseMs: 250, maxMs: 8_000, clock: systemClock, random: Math.random };
const store = retrying(raw, tries);
const queue = plan.states.values();
const worker = async (): Promise<void> => {
  for (const state of queue) await fetchResults(store, UserId.parse(plan.user), state, folder);
};
await Promise.all(Array.from({ length: AT_ONCE }, worker));
