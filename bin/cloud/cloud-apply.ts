/** `clipscribe cloud apply`: makes what is missing. As often as you like; deletes nothing. */
import { leastRights } from "../../core/account-rights.ts";
import { EXIT } from "../../core/exit-codes.ts";
import { safeLine } from "../../core/safe-text.ts";
import type { Io } from "../io.ts";
import { editConfig, readConfigText, writePrivate } from "../config-edit.ts";
import { hangText } from "../ui/wrap-text.ts";
import { applyAccount } from "./apply-account.ts";
import type { AppliedAccount } from "./apply-account.ts";
import { openCloud } from "./open-cloud.ts";
import type { Cloud } from "./open-cloud.ts";

export async function cloudApply(
  { json, save }: { json: boolean; save: boolean },
  io: Io,
): Promise<number> {
  await using cloud = await openCloud(io);
  const tell = (line: string): void => {
    if (!json) io.stdout(hangText("  ✓ ", line, io));
  };
  const applied = await applyAccount({ ...cloud.applying, tell });
  const settings = settingsOf(cloud, applied);
  const file = cloud.settings.configFile;
  if (save) writePrivate(file, editConfig(readConfigText(file), settings).after);
  if (json) {
    const { done, plan } = applied;
    const rights = leastRights(cloud.wanted);
    io.stdout(
      `${JSON.stringify({ schema: 1, ok: true, done, notes: plan.notes, settings, rights })}\n`,
    );
    return EXIT.complete;
  }
  if (applied.done.length === 0) io.stdout("  everything was as it should be\n");
  for (const note of applied.plan.notes) io.stdout(hangText("  · ", note, io));
  io.stdout(save ? `\nwritten to ${safeLine(file, 300)}:\n` : "\nsettings for runners:\n");
  for (const [name, value] of Object.entries(settings)) io.stdout(`  ${name}=${value}\n`);
  io.stdout("\nthe least that each token has to be allowed:\n");
  for (const { who, made, rights } of leastRights(cloud.wanted)) {
    io.stdout(hangText("  ", who, io) + hangText("      made: ", made, io));
    for (const right of rights) io.stdout(hangText("      - ", right, io));
  }
  io.stdout("\nnow: clipscribe cloud check\n");
  return EXIT.complete;
}

/** What a runner has to be told; no secrets. */
function settingsOf(
  { wanted, endpoint }: Cloud,
  { found }: AppliedAccount,
): Record<string, string> {
  return {
    CLIPSCRIBE_STORE: `r2:${wanted.bucket}`,
    CLIPSCRIBE_QUEUE: "cloudflare",
    CLOUDFLARE_ACCOUNT_ID: wanted.accountId,
    CLOUDFLARE_JURISDICTION: wanted.jurisdiction,
    R2_ENDPOINT: endpoint,
    CLIPSCRIBE_QUEUE_URGENT: found.queues.urgent?.id ?? "",
    CLIPSCRIBE_QUEUE_BATCH: found.queues.batch?.id ?? "",
  };
}
