/** The one place that prints an error that ended a command. */
import { asClipscribeError, toErrorRecord } from "../core/errors.ts";
import { exitCodeOfKind } from "../core/exit-codes.ts";
import { safeLine, safeText } from "../core/safe-text.ts";
import type { Io } from "./io.ts";

export function reportError(thrown: unknown, io: Io, json: boolean): number {
  const error = asClipscribeError(thrown);
  const code = exitCodeOfKind(error.kind);
  if (json) {
    const record = toErrorRecord(error);
    const problems = (thrown as { problems?: unknown }).problems;
    io.stdout(
      `${JSON.stringify({ schema: 1, job_id: null, status: "failed", cost_usd: 0, items: [], error: record, problems })}\n`,
    );
    return code;
  }
  const report = (thrown as { report?: unknown }).report;
  if (typeof report === "string") io.stderr(`${safeText(report)}\n`);
  io.stderr(`error: ${safeLine(error.message, 1_000)}\n`);
  if (error.hint !== undefined) io.stderr(`  ${safeLine(error.hint, 500)}\n`);
  const isPuzzling = error.kind === "bug" || error.kind === "transient";
  for (const cause of isPuzzling ? toErrorRecord(error).cause : [])
    io.stderr(`  because: ${safeLine(cause, 300)}\n`);
  return code;
}
