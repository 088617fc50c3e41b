/** Whether the token works, and the account is as `cloud apply` makes it. */
import { accountRefusal, planAccount } from "../../core/account-plan.ts";
import type { FoundAccount } from "../../core/account-plan.ts";
import { LANES } from "../../core/account-wanted.ts";
import { ClipscribeError, isKind } from "../../core/errors.ts";
import type { Lane } from "../../core/ids.ts";
import { describeAction } from "./apply-account.ts";
import { Unsure } from "./checks.ts";
import type { Checks } from "./checks.ts";
import type { Cloud } from "./open-cloud.ts";

/** Returns the queues' ids; null where they can't be known. */
export async function checkAccount(
  checks: Checks,
  cloud: Cloud,
): Promise<Record<Lane, string> | null> {
  const { account, wanted, settings } = cloud;
  await checks.run("token", async () => {
    const state = await account.verifyToken();
    if (state === "invalid") {
      throw new ClipscribeError("denied", "Cloudflare knows no such token, or it has expired", {
        hint: "make a new one, and set CLOUDFLARE_API_TOKEN",
      });
    }
    return state === "valid" ? "the token is active" : "Cloudflare says nothing about this kind";
  });
  let queues: FoundAccount["queues"] | undefined;
  await checks.run("queues", async () => {
    queues = await account.readQueues();
    const missing = LANES.filter((lane) => queues?.[lane] === null);
    if (missing.length > 0) {
      const names = missing.map((lane) => wanted.queues[lane]).join(", ");
      throw new ClipscribeError("config", `there is no queue ${names}`, {
        hint: "run `clipscribe cloud apply`",
      });
    }
    return LANES.map((lane) => `${wanted.queues[lane]} ${queues?.[lane]?.id}`).join(", ");
  });
  await checks.run("settings", async () => assertSameQueues(queues, settings));
  await checks.run("account", async () => {
    const bucket = await account.readBucket().catch((error: unknown) => {
      if (!isKind(error, "denied")) throw error;
      throw new Unsure(
        "skipped",
        "rules, lifetimes and CORS can't be read with this token; a runner needs no more than it has",
        "to look at them, use the setup token: Account · Workers R2 Storage: Edit",
      );
    });
    if (queues === undefined) throw new Unsure("skipped", "the queues are not known", "see above");
    const found = { bucket, queues, elsewhere: [], foreignKey: null };
    const { actions, problems, notes } = planAccount(wanted, found);
    if (problems.length > 0) throw accountRefusal(problems);
    if (actions.length > 0) {
      const lacking = actions.map(describeAction).join("; ");
      throw new ClipscribeError("config", `not yet as it should be: ${lacking}`, {
        hint: "run `clipscribe cloud apply`",
      });
    }
    const said = notes.length === 0 ? "" : `; ${notes.join("; ")}`;
    return `rules, lifetimes${wanted.cors.length > 0 ? ", CORS" : ""} as wanted${said}`;
  });
  const { urgent, batch } = queues ?? {};
  return urgent && batch ? { urgent: urgent.id, batch: batch.id } : null;
}

async function assertSameQueues(
  queues: FoundAccount["queues"] | undefined,
  { all }: Cloud["settings"],
): Promise<string> {
  for (const lane of LANES) {
    const name = `CLIPSCRIBE_QUEUE_${lane.toUpperCase()}`;
    const set = all.get(name)?.value ?? null;
    const id = queues?.[lane]?.id;
    if (id === undefined) throw new Unsure("skipped", "the queues are not known", "see above");
    if (set === id) continue;
    const hint = `set ${name}=${id}, or run \`clipscribe cloud apply --save\``;
    if (set === null)
      throw new Unsure("skipped", `${name} is not set here; a runner needs it`, hint);
    throw new ClipscribeError("config", `${name} names another queue`, { hint });
  }
  return "the settings name these queues";
}
