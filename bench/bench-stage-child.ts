/** A run of bench-stage whose store counts what is asked of it. */
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
const code = await run([plan.inbox], options, io, {
  store: (store) => {
    const wrapped = metered(store);
    meter = wrapped.meter;
    return wrapped.store;
  },
});
const peak = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(JSON.stringify({ peak_mb: peak, meter }));
process.exitCode = code;
