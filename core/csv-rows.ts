/**
 * Rows of a table as spreadsheets export it (RFC 4180): quoted cells, line breaks in them, and `,`,
 * `;` or a tab between them, whichever the first line uses most. Never throws: a quote that is not
 * closed ends with the text.
 */
export interface CsvRow {
  /** Of the line that it begins on, from 1. */
  line: number;
  cells: string[];
}

const SEPARATORS = [",", ";", "\t"] as const;

/** `text` has `\n` line ends. */
export function parseCsvRows(text: string): CsvRow[] {
  const separator = separatorOf(text);
  const rows: CsvRow[] = [];
  let row: CsvRow = { line: 1, cells: [] };
  let cell = "";
  let line = 1;
  let isQuoted = false;
  const endRow = (): void => {
    row.cells.push(cell);
    rows.push(row);
    cell = "";
  };
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? "";
    if (char === "\n") line++;
    if (isQuoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') cell += text[at++] ?? "";
      else isQuoted = false;
    } else if (char === '"' && cell.trim() === "") {
      isQuoted = true;
      cell = "";
    } else if (char === separator) {
      row.cells.push(cell);
      cell = "";
    } else if (char === "\n") {
      endRow();
      row = { line, cells: [] };
    } else {
      cell += char;
    }
  }
  if (cell !== "" || row.cells.length > 0) endRow();
  return rows;
}

/** The commonest one outside of quotes in the first line that has any. */
function separatorOf(text: string): string {
  for (const line of text.split("\n", 50)) {
    const plain = line.replaceAll(/"[^"]*"/g, "");
    const counts = SEPARATORS.map((each) => plain.split(each).length - 1);
    const most = Math.max(...counts);
    if (most > 0) return SEPARATORS[counts.indexOf(most)] ?? ",";
  }
  return ",";
}
