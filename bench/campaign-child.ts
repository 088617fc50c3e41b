/** One run of a campaign, in its own process: the real verb, with one fault planned into the store. */
import { appendFileSync } from "node:fs";

import { run } from "../bin/run.ts";
import { systemIo } from "../bin/io.ts";
import { reportError } from "../bin/report-error.ts";
import { failing } from "../ports/failing.ts";
import type { FailurePlan } from "../ports/failing.ts";
import type { Defences } from "../runner/defences.ts";

interface Plan {
  inbox: string;
  pipeline: string;
  again?: boolean;
  fail?: { at: number; mode: FailurePlan["mode"] };
  /** Counts store operations into this file, one line each. */
  operations?: string;
  defences?: Partial<Defences>;
}

const plan = JSON.parse(process.env["CAMPAIGN_PLAN"] ?? "{}") as Plan;
const die = (): void => {
  process.kill(process.pid, "SIGKILL");
};
const options = {
  pipeline: plan.pipeline,
  again: plan.again ?? false,
  budget: null,
  json: true,
  plain: false,
  quiet: false,
  verbose: false,
};
const io = systemIo();
try {
  process.exitCode = await run([plan.inbox], options, io, {
    defences: plan.defences ?? {},
    store: (store) =>
      failing(store, {
        at: plan.fail?.at ?? -1,
        mode: plan.fail?.mode ?? "error",
        onFailure: die,
        ...(plan.operations !== undefined && {
          onOperation: (method: string, key: string) =>
            appendFileSync(plan.operations ?? "", `${method} ${key}\n`),
        }),
      }),
  });
} catch (error) {
  process.exitCode = reportError(error, io, true);
}
