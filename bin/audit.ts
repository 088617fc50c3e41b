/** `clipscribe audit`: what was dropped is complete, partial, failed, cancelled, held or under way. */
import { EXIT } from "../core/exit-codes.ts";
import { safeLine } from "../core/safe-text.ts";
import { auditJobs } from "../sync/audit.ts";
import { openMachine } from "./compose.ts";
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
  } = await auditJobs(machine.store, settings.user, wanted);
  if (json) {
    const ok = problems.length === 0;
    io.stdout(`${JSON.stringify({ schema: 1, ok, jobs: looked, dropped, counts, problems })}\n`);
  } else {
    const parts = Object.entries(counts).map(([where, count]) => `${count} ${where}`);
    io.stdout(`${looked} jobs: ${dropped} dropped = ${parts.join(" + ") || "0"}\n`);
    for (const problem of problems) io.stdout(`  ${safeLine(problem, 500)}\n`);
  }
  return problems.length === 0 ? EXIT.complete : EXIT.verification;
}
