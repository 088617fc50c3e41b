/** `clipscribe audit`: what was dropped is complete, partial, failed, cancelled, held or under way. */
import { readFileSync } from "node:fs";

import { EXIT } from "../core/exit-codes.ts";
import { MEDIA_EXTENSIONS } from "../core/media-types.ts";
import { parsePipeline } from "../core/pipeline-parse.ts";
import { safeLine } from "../core/safe-text.ts";
import { auditJobs } from "../sync/audit.ts";
import { openMachine } from "./compose.ts";
import { findPipelineFile } from "./find-pipeline.ts";
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
  } = await auditJobs(machine.store, settings.user, wanted, readAccepted(io));
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

/** What the pipeline here accepts as a bare drop; all media where it can't be read. */
function readAccepted(io: Io): readonly string[] {
  const file = findPipelineFile(io, undefined);
  try {
    const parsed = parsePipeline(readFileSync(file, "utf8"), file);
    return parsed.ok ? parsed.value.pipeline.accept : MEDIA_EXTENSIONS;
  } catch {
    return MEDIA_EXTENSIONS;
  }
}
