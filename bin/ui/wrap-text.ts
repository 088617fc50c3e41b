/** Lines of a narrow terminal, broken between words; text from outside is made safe first. */
import { safeLine } from "../../core/safe-text.ts";

/** What goes on longer than this is for the log. */
const MAX_LINES = 4;

export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of safeLine(text, width * MAX_LINES).split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  // A word longer than a line, as an address is, stays whole: it may be copied.
  return lines.slice(0, MAX_LINES);
}
