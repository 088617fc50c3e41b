/** One timed run of bench-stage: set-up (bundling, hashing, submitting) is timed with it. */
import { run } from "../bin/run.ts";
import { systemIo } from "../bin/io.ts";
import { metered } from "../ports/metered.ts";
import type { StoreMeter } from "../ports/metered.ts";

const plan = JSON.parse(process.env["CAMPAIGN_PLAN"] ?? "{}") as {
  inbox: string;
  pipeline: string;
};
let meter: StoreMeter | undefined;
const io = { ...systemIo(), stdout: () => undefined };
const options = {
  pipeline: plan.pipeline,
  again: false,
  budget: null,
  json: true,
  plain: false,
  quiet: false,
  verbose: false,
};
const before = performance.now();
const code = await run([plan.inbox], options, io, {
  store: (store) => {
    const wrapped = metered(store);
    meter = wrapped.meter;
    return wrapped.store;
  },
});
const ms = performance.now() - before;
const used = process.resourceUsage();
const peak = Math.round(used.maxRSS / 1024);
const cpu = { user_ms: used.userCPUTime / 1000, system_ms: used.systemCPUTime / 1000 };
console.log(JSON.stringify({ ms, peak_mb: peak, cpu, meter }));
process.exitCode = code;
