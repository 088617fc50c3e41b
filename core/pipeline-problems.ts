/** Problems of a `pipeline.yaml` as a person reads them: place, line, caret, what to do. */
import type { PipelineProblem } from "./pipeline.ts";
import { safeLine } from "./safe-text.ts";

/** Of a long line so much is shown, around the caret. */
const MAX_LINE_CHARS = 100;
/** More problems at once help nobody. */
const MAX_SHOWN = 50;

export function formatProblems(
  problems: readonly PipelineProblem[],
  source: { file: string; text: string },
): string {
  const lines = source.text.replaceAll("\r\n", "\n").split("\n");
  const shown = problems
    .slice(0, MAX_SHOWN)
    .map((problem) => formatProblem(problem, source.file, lines));
  if (problems.length > MAX_SHOWN) shown.push(`… and ${problems.length - MAX_SHOWN} more`);
  return shown.join("\n");
}

function formatProblem(problem: PipelineProblem, file: string, lines: readonly string[]): string {
  const message = safeLine(problem.message);
  const hint = problem.hint === null ? "" : `\n    ${safeLine(problem.hint)}`;
  if (problem.line === null || problem.column === null) return `${file} ${message}${hint}`;
  const { text, caret } = excerpt(lines[problem.line - 1] ?? "", problem.column - 1);
  const place = `${file}:${problem.line}:${problem.column}`;
  return `${place} ${message}\n    ${text}\n    ${" ".repeat(caret)}^${hint}`;
}

/** Cuts a line around the caret; tabs become one space, so that the caret stays below its column. */
function excerpt(line: string, at: number): { text: string; caret: number } {
  // oxlint-disable-next-line no-control-regex -- each hidden character is one visible one here
  const visible = line
    .replaceAll("\t", " ")
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "·");
  const start = at > MAX_LINE_CHARS - 20 ? at - MAX_LINE_CHARS / 2 : 0;
  const head = start > 0 ? "…" : "";
  const cut = visible.slice(start, start + MAX_LINE_CHARS);
  const tail = start + MAX_LINE_CHARS < visible.length ? "…" : "";
  const before = head + visible.slice(start, at);
  return { text: head + cut + tail, caret: columnsOf(before) };
}

/** Wide characters take two columns of a terminal. */
function columnsOf(text: string): number {
  let columns = 0;
  for (const char of text) {
    columns +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}]/u.test(
        char,
      )
        ? 2
        : 1;
  }
  return columns;
}
