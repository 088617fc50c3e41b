/**
 * Lists of URLs as people keep them: `.txt` and `.urls` (one a line), `.csv` (a column named as one,
 * else the first cell that is a URL), Windows `.url` and macOS `.webloc` files. A bad line is refused
 * with its number and the others go on. What stands behind a URL is never passed on to anybody.
 */
import { parseCsvRows } from "./csv-rows.ts";
import { ClipscribeError } from "./errors.ts";
import { checkUrl } from "./url.ts";
import { readWebloc } from "./webloc.ts";

export const MAX_LIST_LINES = 10_000;
/** That many lines of the longest usual length. */
export const MAX_LIST_BYTES = 4 * 1024 * 1024;
export const LIST_EXTENSIONS: readonly string[] = ["txt", "urls", "csv", "url", "webloc"];
/** Enough of a bad line to find it by. */
const SHOWN_CHARS = 200;
/** Names of a column of addresses, as spreadsheets in four languages have them. */
const urlColumn =
  /^(?:(?:video|source|page)?[ _-]?(?:urls?|links?|href|lien|enlace|uri)|address)$/i;

export interface UrlList {
  /** In the order of the file, each URL once. */
  urls: { url: string; line: number }[];
  refused: { line: number; text: string; why: string }[];
  /** Options behind a URL: they are left out, and a person should know. */
  ignored: { line: number; text: string }[];
  duplicates: number;
}

interface Candidate {
  line: number;
  text: string;
  ignored?: string;
}

/** @throws `contract` for a list that is too long, or a link file that can't be read. */
export function parseUrlList(content: string | Uint8Array, extension: string): UrlList {
  if (content.length > MAX_LIST_BYTES) throw tooLong("bytes", MAX_LIST_BYTES);
  const list: UrlList = { urls: [], refused: [], ignored: [], duplicates: 0 };
  const seen = new Set<string>();
  for (const { line, text, ignored } of candidatesIn(content, extension)) {
    try {
      const { href } = checkUrl(text);
      if (seen.has(href)) list.duplicates++;
      else list.urls.push({ url: href, line });
      seen.add(href);
      if (ignored !== undefined) list.ignored.push({ line, text: ignored.slice(0, SHOWN_CHARS) });
    } catch (error) {
      // The address stands beside it.
      const why = (error as Error).message.replace(/ url="[\s\S]*$/, "");
      list.refused.push({ line, text: text.slice(0, SHOWN_CHARS), why });
    }
  }
  return list;
}

function candidatesIn(content: string | Uint8Array, extension: string): Candidate[] {
  if (extension === "webloc") return [{ line: 1, text: readWebloc(content) }];
  const text = decodeText(content);
  if (
    text.split("\n", MAX_LIST_LINES + 2).length >
    MAX_LIST_LINES + (text.endsWith("\n") ? 1 : 0)
  ) {
    throw tooLong("lines", MAX_LIST_LINES);
  }
  if (extension === "csv") return candidatesOfTable(text);
  const lines = text.split("\n");
  if (extension === "url") return candidatesOfShortcut(lines);
  return lines.flatMap((raw, index) => candidateOfLine(raw, index + 1) ?? []);
}

/** UTF-8, or UTF-16 with its mark, as Windows writes it; line ends as `\n`. */
function decodeText(content: string | Uint8Array): string {
  const text = typeof content === "string" ? content : decodeBytes(content);
  return text.replace(/^\ufeff/, "").replaceAll(/\r\n?/g, "\n");
}

function decodeBytes(bytes: Uint8Array): string {
  const isLittle = bytes[0] === 0xff && bytes[1] === 0xfe;
  const isBig = bytes[0] === 0xfe && bytes[1] === 0xff;
  const encoding = isLittle ? "utf-16le" : isBig ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding).decode(bytes);
}

/** Undefined for blank lines and comments. */
function candidateOfLine(raw: string, line: number): Candidate | undefined {
  const text = raw.trim();
  if (text === "" || /^[#;]/.test(text)) return undefined;
  // A line that begins with an option, or is no URL at all, is shown and refused as a whole.
  const match = /^(https?:\/\/\S+)\s+(\S.*)$/i.exec(text);
  if (match === null) return { line, text };
  const [, url = "", rest = ""] = match;
  return rest.startsWith("#") ? { line, text: url } : { line, text: url, ignored: rest };
}

/** `[InternetShortcut]`: other sections hold addresses of pictures and of the page before. */
function candidatesOfShortcut(lines: readonly string[]): Candidate[] {
  let section = "internetshortcut";
  for (const [index, raw] of lines.entries()) {
    section = /^\s*\[([^\]]*)\]/.exec(raw)?.[1]?.toLowerCase() ?? section;
    const url = /^\s*URL\s*=\s*(.*?)\s*$/i.exec(raw)?.[1];
    if (section === "internetshortcut" && url !== undefined && url !== "") {
      return [{ line: index + 1, text: url }];
    }
  }
  return [];
}

function candidatesOfTable(text: string): Candidate[] {
  const rows = parseCsvRows(text);
  const header = rows[0]?.cells ?? [];
  const column = header.some((cell) => isWebAddress(cell))
    ? -1
    : header.findIndex((cell) => urlColumn.test(cell.trim()));
  return rows.slice(column >= 0 ? 1 : 0).flatMap(({ line, cells }, index): Candidate[] => {
    const shown = cells.map((cell) => cell.trim()).filter((cell) => cell !== "");
    if (shown.length === 0 || shown[0]?.startsWith("#") === true) return [];
    if (column >= 0) {
      const cell = cells[column]?.trim() ?? "";
      return cell === "" ? [] : [{ line, text: cell }];
    }
    const found = shown.find((cell) => isAddress(cell));
    if (found !== undefined) return [{ line, text: found }];
    // The first row may be a header of any names; a later one without an address is a mistake.
    return index === 0 ? [] : [{ line, text: shown.join(", ") }];
  });
}

const isWebAddress = (cell: string): boolean => /^\s*https?:\/\//i.test(cell);
/** Anything that means to be one, so that `file:///etc/passwd` is refused and not passed over. */
const isAddress = (cell: string): boolean => /^[a-z][a-z0-9+.-]*:\S/i.test(cell);

function tooLong(what: string, limit: number): ClipscribeError {
  return new ClipscribeError("contract", `the list has too many ${what}`, {
    details: { limit },
    hint: "cut it into several lists",
  });
}
