/**
 * `clipscribe cloud check`: every right, rule and address is used once: an object is put, its event
 * waited for, and all of it removed again. What Cloudflare does not document is written down.
 */
import { randomUUID } from "node:crypto";

import { EXIT } from "../../core/exit-codes.ts";
import type { Io } from "../io.ts";
import { hangText } from "../ui/wrap-text.ts";
import { checkAccount } from "./check-account.ts";
import { checkBucket, clearChecked } from "./check-bucket.ts";
import { checkEvents } from "./check-events.ts";
import { checkSession } from "./check-session.ts";
import { Unsure, createChecks } from "./checks.ts";
import type { CheckResult, Checks } from "./checks.ts";
import { openCloud } from "./open-cloud.ts";
import type { Cloud } from "./open-cloud.ts";

const MARKS = { ok: "✓", failed: "✗", skipped: "–", unclear: "?" } as const;

export async function cloudCheck(
  { json, waitMs }: { json: boolean; waitMs: number },
  io: Io,
): Promise<number> {
  await using cloud = await openCloud(io);
  const checks = createChecks((result) => {
    if (!json) showCheck(result, io);
  });
  const id = randomUUID();
  const queues = await checkAccount(checks, cloud);
  if (cloud.store === null) {
    await checks.run("objects", async () => {
      const hint =
        "set R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY: a token of R2, Object Read & Write, for this bucket";
      throw new Unsure("skipped", "no keys of the bucket are set", hint);
    });
  } else {
    await checkObjects(checks, cloud, queues, { id, waitMs });
  }
  const failed = checks.results.filter(({ state }) => state === "failed").length;
  if (json) {
    const { results, facts } = checks;
    io.stdout(`${JSON.stringify({ schema: 1, ok: failed === 0, checks: results, facts })}\n`);
  } else {
    const open = checks.results.filter(({ state }) => state === "skipped" || state === "unclear");
    const well = open.length === 0 ? "all is well" : "nothing failed";
    const rest = open.length === 0 ? "" : `, ${open.length} could not be looked at`;
    io.stdout(`${failed === 0 ? well : `${failed} failed`}${rest}\n`);
  }
  return failed === 0 ? EXIT.complete : EXIT.verification;
}

async function checkObjects(
  checks: Checks,
  cloud: Cloud,
  queues: Awaited<ReturnType<typeof checkAccount>>,
  wait: { id: string; waitMs: number },
): Promise<void> {
  const { store } = cloud;
  if (store === null) return;
  try {
    await checkBucket(checks, store, wait.id);
    const isReached = checks.results.some(({ id, state }) => id === "objects" && state === "ok");
    if (!isReached) return;
    await checkSession(checks, cloud, wait.id);
    if (queues !== null) await checkEvents(checks, cloud, queues, wait);
  } finally {
    await clearChecked(store, wait.id).catch(() => undefined);
  }
}

function showCheck({ id, state, say, hint }: CheckResult, io: Io): void {
  const mark = `  ${MARKS[state]} ${id.padEnd(14)} `;
  io.stdout(hangText(mark, say, io));
  if (hint !== null) io.stdout(hangText(" ".repeat(mark.length), hint, io));
}
