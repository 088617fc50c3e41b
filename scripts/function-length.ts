/**
 * How long a function is by itself: the lines of functions inside it are theirs. So a function that
 * opens something, and returns its methods, counts as long as what it does at once. Reads the
 * formatter's layout: what begins at a depth ends with the next closing line of that depth.
 */
export const MAX_FUNCTION_LINES = 70;

export interface LongFunction {
  /** From 1. */
  line: number;
  name: string;
  lines: number;
}

const isControl = /^ *(?:\} )?(?:if|else|for|while|switch|try|catch|finally|do|using)\b/;
const isFunction =
  /^ *(?:export |default )*(?:async )?function\b|=> \{$|^ *(?:async |static |get |set )*\*?[\w$]+(?:<.*>)?\(.*\{$/;

/** Pure: the functions of a file that are longer than `max` lines, blank lines and comments apart. */
export function longFunctions(text: string, max = MAX_FUNCTION_LINES): LongFunction[] {
  const found: LongFunction[] = [];
  const open: { depth: number; line: number; name: string; lines: number }[] = [];
  let head: { depth: number; line: number; name: string } | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const depth = line.length - line.trimStart().length;
    const current = open.at(-1);
    if (line.trim() === "" || /^ *(?:\/\/|\/\*|\*)/.test(line)) continue;
    if (current !== undefined && depth === current.depth && /^ *\}/.test(line)) {
      open.pop();
      if (current.lines > max) found.push(current);
      if (!line.endsWith("{")) continue;
    }
    const around = open.at(-1);
    if (around !== undefined) around.lines++;
    // A head that the formatter has broken into lines: `function name(` … `): Type {`.
    const name =
      /^ *(?:export |default )*(?:async )?(?:function\*? ?)?\*?([\w$]*)/.exec(line)?.[1] ?? "";
    if (/[(<]$/.test(line) && !isControl.test(line)) head = { depth, line: index + 1, name };
    const closesHead = head?.depth === depth && /^ *\).*\{$/.test(line);
    if (closesHead || (isFunction.test(line) && !isControl.test(line))) {
      const start = closesHead && head !== undefined ? head : { depth, line: index + 1, name };
      open.push({ ...start, lines: 0 });
    }
  }
  return found.toSorted((a, b) => a.line - b.line);
}
