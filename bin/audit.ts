/** `clipscribe audit`: what was dropped is complete, partial, failed, cancelled, held or under way. */
import { EXIT } from "../core/exit-codes.ts";
import { MEDIA_EXTENSIONS } from "../core/media-types.ts";
import { safeLine } from "../core/safe-text.ts";
import { auditJobs } from "../sync/audit.ts";
import { readAcceptedDrops } from "./accepted-drops.ts";
import { openMachine } from "./compose.ts";
import type { Machine } from "./compose.ts";
import type { Io } from "./io.ts";
import { readJobId } from "./item-target.ts";
import { openLog } from "./log.ts";
import { readSettings } from "./settings.ts";

export async function audit(
  names: readonly string[],
  { json }: { json: boolean },
  io: Io,
): Promise<number> {
  const settings = await readSettings(io);
  const log = openLog({ write: io.stderr, format: json ? "json" : "text", level: "warn" });
  await using machine = await openMachine(io, settings, log);
  const jobs = names.map(readJobId);
  const wanted = jobs.length === 0 ? null : jobs;
  const {
    jobs: looked,
    dropped,
    counts,
    problems,
    notes,
  } = await auditJobs(machine.store, settings.user, wanted, await readAccepted(io, machine));
  if (json) {
    const ok = problems.length === 0;
    io.stdout(
      `${JSON.stringify({ schema: 1, ok, jobs: looked, dropped, counts, problems, notes })}\n`,
    );
  } else {
    const parts = Object.entries(counts).map(([where, count]) => `${count} ${where}`);
    io.stdout(`${looked} jobs: ${dropped} dropped = ${parts.join(" + ") || "0"}\n`);
    for (const line of [...problems, ...notes]) io.stdout(`  ${safeLine(line, 500)}\n`);
  }
  return problems.length === 0 ? EXIT.complete : EXIT.verification;
}

/** All media where no pipeline can be read. */
async function readAccepted(io: Io, { store, isShared }: Machine): Promise<readonly string[]> {
  try {
    return (await readAcceptedDrops(io, isShared ? store : null)).accept;
  } catch {
    return MEDIA_EXTENSIONS;
  }
}
