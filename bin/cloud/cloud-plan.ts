/** `clipscribe cloud plan`: what `cloud apply` would do, and what the account then costs. Writes nothing. */
import { monthlyCost } from "../../core/account-cost.ts";
import type { MonthlyCost } from "../../core/account-cost.ts";
import { planAccount } from "../../core/account-plan.ts";
import type { AccountPlan } from "../../core/account-plan.ts";
import { EXIT } from "../../core/exit-codes.ts";
import type { Io } from "../io.ts";
import { hangText } from "../ui/wrap-text.ts";
import { describeAction, readAccount } from "./apply-account.ts";
import { openCloud } from "./open-cloud.ts";

/** A journalist, a small newsroom, and one that has outgrown the free allowances. */
const USES = [
  { runners: 1, itemsPerDay: 2 },
  { runners: 1, itemsPerDay: 20 },
  { runners: 3, itemsPerDay: 50 },
];

export async function cloudPlan({ json }: { json: boolean }, io: Io): Promise<number> {
  await using cloud = await openCloud(io);
  const { wanted } = cloud;
  const plan = planAccount(wanted, await readAccount(cloud.applying));
  const costs = USES.map((use) => monthlyCost(use, cloud.retention));
  const ok = plan.problems.length === 0;
  if (json) {
    const { actions, problems, notes } = plan;
    const { bucket, jurisdiction, accountId: account } = wanted;
    const told = actions.map((action) => ({ do: action.do, say: describeAction(action) }));
    io.stdout(
      `${JSON.stringify({ schema: 1, ok, account, bucket, jurisdiction, accepted_by: cloud.acceptedBy, actions: told, problems, notes, costs })}\n`,
    );
  } else {
    io.stdout(`account     ${wanted.accountId}\n`);
    io.stdout(`bucket      ${wanted.bucket}, jurisdiction ${wanted.jurisdiction}\n`);
    io.stdout(hangText("bare drops  ", `what ${cloud.acceptedBy} accepts`, io));
    printPlan(plan, io);
    printCosts(costs, io);
  }
  return ok ? EXIT.complete : EXIT.usage;
}

function printPlan({ actions, problems, notes }: AccountPlan, io: Io): void {
  for (const action of actions) io.stdout(hangText("  + ", describeAction(action), io));
  for (const note of notes) io.stdout(hangText("  · ", note, io));
  for (const { message, hint } of problems) {
    io.stdout(hangText("  ! ", message, io) + hangText("    ", hint, io));
  }
  if (problems.length > 0) io.stdout("nothing can be done before that is settled\n");
  else if (actions.length === 0) io.stdout("  everything is as it should be\n");
  else io.stdout("nothing was changed: `clipscribe cloud apply` does it, and deletes nothing\n");
}

function printCosts(costs: readonly MonthlyCost[], io: Io): void {
  io.stdout("a month's bill after a year; an item is an hour of video of 0.5 GB:\n");
  for (const cost of costs) {
    const { runners, itemsPerDay, storedGb, totalUsd, needsWorkersPaid } = cost;
    const who = `${runners} runner${runners === 1 ? "" : "s"}, ${itemsPerDay} items a day`;
    const paid = needsWorkersPaid ? ", and the fee of Workers Paid" : "";
    io.stdout(
      `  ${who.padEnd(26)} ${`${storedGb} GB`.padStart(8)}  $${totalUsd.toFixed(2)}${paid}\n`,
    );
  }
}
