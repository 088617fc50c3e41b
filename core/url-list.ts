/**
 * Lists of URLs as people keep them: `.txt`, `.urls`, `.csv` (the first cell that is a URL), Windows
 * `.url` and macOS `.webloc` files. A bad line is refused with its number; the others go on.
 */
import { ClipscribeError } from "./errors.ts";
import { checkUrl } from "./url.ts";

export const MAX_LIST_LINES = 10_000;
export const MAX_LIST_CHARS = 1024 * 1024;
export const LIST_EXTENSIONS: readonly string[] = ["txt", "urls", "csv", "url", "webloc"];

export interface UrlList {
  /** In the order of the file, each URL once. */
  urls: { url: string; line: number }[];
  refused: { line: number; text: string; why: string }[];
  duplicates: number;
}

/** @throws `contract` for a list that is too long, or no text. */
export function parseUrlList(text: string, extension: string): UrlList {
  if (text.length > MAX_LIST_CHARS) throw tooLong("characters", MAX_LIST_CHARS);
  if (text.startsWith("bplist")) {
    throw new ClipscribeError("contract", "a binary .webloc can't be read", {
      hint: "copy its address into a text file, one URL a line",
    });
  }
  const lines = linesOf(text, extension);
  if (lines.length > MAX_LIST_LINES) throw tooLong("lines", MAX_LIST_LINES);
  const list: UrlList = { urls: [], refused: [], duplicates: 0 };
  const seen = new Set<string>();
  for (const [index, raw] of lines.entries()) {
    const candidate = candidateIn(raw, extension);
    if (candidate === undefined) continue;
    try {
      const { href } = checkUrl(candidate);
      if (seen.has(href)) list.duplicates++;
      else list.urls.push({ url: href, line: index + 1 });
      seen.add(href);
    } catch (error) {
      const { message } = error as Error;
      list.refused.push({ line: index + 1, text: candidate.slice(0, 200), why: message });
    }
  }
  return list;
}

function linesOf(text: string, extension: string): string[] {
  const plain = text.replace(/^\ufeff/, "").replaceAll(/\r\n?/g, "\n");
  if (extension === "webloc") {
    const found = [...plain.matchAll(/<string>([^<]*)<\/string>/g)];
    return found.map(([, url]) => (url ?? "").replaceAll("&amp;", "&"));
  }
  if (extension === "url") {
    return plain.split("\n").map((line) => /^\s*URL=(.*)$/i.exec(line)?.[1] ?? "");
  }
  return plain.split("\n");
}

/** What of a line claims to be a URL; nothing for blank lines and comments. */
function candidateIn(raw: string, extension: string): string | undefined {
  const line = raw.trim();
  if (line === "" || line.startsWith("#")) return undefined;
  if (extension !== "csv") {
    // Options after the URL are not ours to pass on to a downloader.
    const [first = "", ...rest] = line.split(/\s+/);
    return rest.some((word) => word.startsWith("-")) ? line : first;
  }
  const cells = line.split(/[,;\t]/).map((cell) => cell.trim().replaceAll(/^"+|"+$/g, ""));
  return cells.find((cell) => /^[a-z]+:\/\//i.test(cell));
}

function tooLong(what: string, limit: number): ClipscribeError {
  return new ClipscribeError("contract", `the list has too many ${what}`, {
    details: { limit },
    hint: "cut it into several lists",
  });
}
