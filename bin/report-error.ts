/** The one place that prints an error that ended a command. */
import { asClipscribeError, toErrorRecord } from "../core/errors.ts";
import { exitCodeOfKind } from "../core/exit-codes.ts";
import { safeText } from "../core/safe-text.ts";
import type { Io } from "./io.ts";
import { hangText } from "./ui/wrap-text.ts";

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
  io.stderr(hangText("error: ", error.message, io));
  if (error.hint !== undefined) io.stderr(hangText("  ", error.hint, io));
  const isPuzzling = error.kind === "bug" || error.kind === "transient";
  for (const cause of isPuzzling ? toErrorRecord(error).cause : [])
    io.stderr(hangText("  because: ", cause, io));
  return code;
}
