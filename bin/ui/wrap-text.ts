/** Lines of a narrow terminal, broken between words; text from outside is made safe first. */
import { safeLine } from "../../core/safe-text.ts";
import type { Io } from "../io.ts";

/** What goes on longer than this is for the log. */
const MAX_LINES = 4;

export function wrapText(text: string, width: number, maxLines = MAX_LINES): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of safeLine(text, width * maxLines).split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  // A word longer than a line, as an address is, stays whole: it may be copied.
  return lines.slice(0, maxLines);
}

/** What a report's lines may go on for. */
const MAX_REPORT_LINES = 12;
/** Where nobody said: a pipe or a file, whose lines are somebody's to parse. */
const MAX_CHARS = 1_000;

/**
 * A line of a report behind its mark, ended by a line feed. In a terminal it is broken between words,
 * and goes on under itself; elsewhere it is one line.
 */
export function hangText(mark: string, text: string, { columns }: Pick<Io, "columns">): string {
  if (columns === null) return `${mark}${safeLine(text, MAX_CHARS)}\n`;
  const width = Math.max(20, columns - 1 - mark.length);
  const lines = wrapText(text, width, MAX_REPORT_LINES);
  return `${mark}${lines.join(`\n${" ".repeat(mark.length)}`)}\n`;
}
