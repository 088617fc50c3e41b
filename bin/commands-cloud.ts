/** The verbs of whoever sets up the account: `clipscribe cloud …`. */
import { InvalidArgumentError, Option } from "commander";

import { parseCount } from "./command-maker.ts";
import type { CommandMaker, RunFlags } from "./command-maker.ts";

export function addCloudCommands({ command, setCode, io }: CommandMaker): void {
  const cloud = command("cloud", "the Cloudflare account: plan, apply, check");
  cloud
    .command("plan")
    .description("what would be made in the account, and what it costs; changes nothing")
    .option("--json", "one JSON object")
    .action(async ({ json = false }: RunFlags) => {
      const { cloudPlan } = await import("./cloud/cloud-plan.ts");
      setCode(await cloudPlan({ json }, io));
    });
  cloud
    .command("apply")
    .description("make what is missing: bucket, queues, rules, lifetimes; deletes nothing")
    .option("--save", "write the queues' ids and the rest to config.yaml")
    .option("--json", "one JSON object")
    .action(async ({ json = false, save = false }: RunFlags & { save?: boolean }) => {
      const { cloudApply } = await import("./cloud/cloud-apply.ts");
      setCode(await cloudApply({ json, save }, io));
    });
  cloud
    .command("check")
    .description(
      "use every right, rule and address once: put an object, wait for its event, delete it",
    )
    .addOption(
      new Option("--wait <seconds>", "how long an event may take")
        .default(60)
        .argParser(parseCount),
    )
    .option("--json", "one JSON object, with what Cloudflare does not document")
    .action(async ({ json = false, wait }: RunFlags & { wait: number }) => {
      const { cloudCheck } = await import("./cloud/cloud-check.ts");
      setCode(await cloudCheck({ json, waitMs: wait * 1000 }, io));
    });
  cloud
    .command("credentials")
    .description("keys for a laptop: for hours, for one user's prefixes; run it on a server")
    .requiredOption("--user <name>", "whose prefixes")
    .addOption(ttlOption())
    .option("--may-push", "may also push pipelines, which say what is done with everybody's drops")
    .option(
      "--json",
      "as CLIPSCRIBE_CREDENTIALS_COMMAND reads it (AWS calls it credential_process)",
    )
    .action(async (flags: RunFlags & { user: string; ttl: number; mayPush?: boolean }) => {
      const { cloudCredentials } = await import("./cloud/cloud-credentials.ts");
      const { user, ttl: ttlSeconds, mayPush = false, json = false } = flags;
      setCode(await cloudCredentials({ user, ttlSeconds, mayPush, json }, io));
    });
  cloud
    .command("rclone")
    .description("settings for rclone, to see the bucket with it; they hold keys")
    .option("--user <name>", "only this user's folders, by credentials that end")
    .addOption(ttlOption())
    .option("--out <file>", "write them there, for its owner only; default: print them")
    .action(async (flags: { user?: string; ttl: number; out?: string }) => {
      const { cloudRclone } = await import("./cloud/cloud-rclone.ts");
      const { user = null, ttl: ttlSeconds, out = null } = flags;
      setCode(await cloudRclone({ user, ttlSeconds, out }, io));
    });
}

function ttlOption(): Option {
  const option = new Option("--ttl <time>", "how long they live: 30m, 12h, 7d");
  return option.default(12 * 3600, "12h").argParser(parseSeconds);
}

function parseSeconds(text: string): number {
  const [, count, unit = "s"] = /^(\d{1,6})([smhd])?$/.exec(text) ?? [];
  if (count === undefined) throw new InvalidArgumentError("give a time, as 30m, 12h or 7d");
  const seconds: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 };
  return Number(count) * (seconds[unit] ?? 1);
}
