/** Tables for spreadsheets: RFC 4180, a byte order mark for Excel, no cell that computes. */
import { stringify } from "csv-stringify/sync";

const BOM = "\ufeff";
/** A cell, or any line in it, that begins so is a formula to some spreadsheet. */
const formula = /^[\s\u00a0\u200b\ufeff]*[=+\-@\t\r]/u;

export function toCsv(columns: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const cells = rows.map((row) => row.map(guardCell));
  return (
    BOM + stringify([[...columns], ...cells], { record_delimiter: "windows", quoted_string: true })
  );
}

/** Numbers stay numbers; text that could be a formula gets an apostrophe, on every line. */
export function guardCell(value: unknown): string | number {
  if (typeof value === "number") return value;
  const text = value === null || value === undefined ? "" : String(value);
  return text
    .split(/(\r\n|\r|\n)/)
    .map((line) => (formula.test(line) && !/^[\r\n]+$/.test(line) ? `'${line}` : line))
    .join("");
}
