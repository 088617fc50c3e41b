/** From the arguments of `batch submit` to what is handed over: files, folders, lists, addresses. */
import { readFileSync, readdirSync, realpathSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";

import { digestOf, sha256Of } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { extensionOf } from "../core/media-types.ts";
import { safeLine } from "../core/safe-text.ts";
import { LIST_EXTENSIONS, MAX_LIST_BYTES, parseUrlList } from "../core/url-list.ts";
import type { UrlList } from "../core/url-list.ts";
import { checkUrl } from "../core/url.ts";
import { listFiles } from "../sync/list-files.ts";
import { titleOfFile } from "../sync/plan-items.ts";

export interface BatchArguments {
  /** What people call it: the list's name, or the first file's. */
  name: string;
  kind: "file" | "folder" | "list";
  /** Absolute, real paths of files, folders and lists. */
  sources: string[];
  /** Addresses that were named themselves. */
  urls: string[];
  /** Media files in all of it, for an estimate. */
  media: string[];
  /** Addresses in all of it, for an estimate. */
  links: string[];
  /** Of the lists: lines that can't be used, and what is left out, with their places. */
  remarks: string[];
  /** Lines that can't be used. */
  refused: number;
  /** The same for the same files as they are, and for the same words of a list. */
  fingerprint: Sha256;
}

/** @throws `missing`, `contract`: one bad argument is worth a look before anything begins. */
export function readBatchArguments(
  args: readonly string[],
  cwd: string,
  accept: readonly string[],
): BatchArguments {
  const read: Omit<BatchArguments, "fingerprint" | "name" | "kind"> = {
    sources: [],
    urls: [],
    media: [],
    links: [],
    remarks: [],
    refused: 0,
  };
  const parts: unknown[] = [];
  const names: string[] = [];
  let kind: BatchArguments["kind"] = "file";
  for (const arg of args) {
    if (/^https?:\/\//i.test(arg)) {
      const { href } = checkUrl(arg);
      read.urls.push(href);
      read.links.push(href);
      parts.push(["url", href]);
      names.push(new URL(href).hostname);
      kind = "list";
      continue;
    }
    const path = resolve(cwd, arg);
    const info = statSync(path, { throwIfNoEntry: false });
    if (info === undefined) throw notThere(arg);
    const real = realpathSync(path);
    read.sources.push(real);
    names.push(basename(real));
    if (info.isFile() && LIST_EXTENSIONS.includes(extensionOf(real))) {
      kind = "list";
      parts.push(readList(real, read));
    } else {
      if (info.isDirectory()) kind = "folder";
      const { media, ignored } = listFiles(real, accept);
      if (media.length === 0) throw noMedia(arg, accept);
      if (ignored.length > 0) read.remarks.push(describeIgnored(ignored));
      read.media.push(...media.map((each) => each.path));
      parts.push(media.map((each) => stampOf(each.path)));
    }
  }
  if (args.length > 1 && kind === "file") kind = "folder";
  const [first = "job", ...rest] = names;
  const name = rest.length === 0 ? first : `${titleOfFile(first)} and ${rest.length} more`;
  return { ...read, name, kind, fingerprint: digestOf(parts) };
}

function readList(
  path: string,
  read: Pick<BatchArguments, "links" | "remarks" | "refused">,
): unknown {
  const file = basename(path);
  if (statSync(path).size > MAX_LIST_BYTES) {
    throw new ClipscribeError("contract", "the list is too large", {
      details: { file, limit: MAX_LIST_BYTES },
      hint: "cut it into several",
    });
  }
  const content = readFileSync(path);
  const list = parseUrlList(content, extensionOf(path));
  if (list.urls.length === 0) throw noLinks(file, list);
  read.links.push(...list.urls.map(({ url }) => url));
  read.remarks.push(...describeList(file, list));
  read.refused += list.refused.length;
  return ["list", file, sha256Of(content)];
}

/** A line a remark; many of a kind are cut, since a person reads them. */
const MAX_REMARKS = 20;

function describeList(file: string, { refused, ignored, duplicates }: UrlList): string[] {
  const bad = refused.map(
    ({ line, text, why }) => `${file}:${line}: ${why} (${safeLine(text, 80)})`,
  );
  const left = ignored.map(
    ({ line, text }) =>
      `${file}:${line}: what stands behind the address is left out (${safeLine(text, 60)})`,
  );
  const cut = (lines: string[]): string[] =>
    lines.length <= MAX_REMARKS
      ? lines
      : [
          ...lines.slice(0, MAX_REMARKS),
          `${file}: and ${lines.length - MAX_REMARKS} more such lines`,
        ];
  const twice = duplicates === 0 ? [] : [`${file}: ${duplicates} addresses stand there twice`];
  return [...cut(bad), ...cut(left), ...twice];
}

function noLinks(file: string, { refused }: UrlList): ClipscribeError {
  const [first] = refused;
  const why =
    first === undefined ? "" : `; line ${first.line}: ${first.why} (${safeLine(first.text, 80)})`;
  return new ClipscribeError("contract", `the list holds no address that can be fetched${why}`, {
    details: { file },
    hint: "write one http or https address a line",
  });
}

function stampOf(path: string): unknown {
  const { size, mtimeNs } = statSync(path, { bigint: true });
  return [path, `${size}`, `${mtimeNs}`];
}

function describeIgnored(ignored: readonly string[]): string {
  const shown = ignored.slice(0, 3).map((name) => safeLine(name, 60));
  const count = ignored.length === 1 ? "1 other file is" : `${ignored.length} other files are`;
  return `${count} left alone: ${shown.join(", ")}${ignored.length > 3 ? ", …" : ""}`;
}

function notThere(arg: string): ClipscribeError {
  const isClose = /^(?:www\.|[a-z0-9-]+\.[a-z]{2,}\/)/i.test(arg);
  return new ClipscribeError("missing", "there is no such file or folder", {
    details: { path: safeLine(arg) },
    hint: isClose
      ? `an address begins with https://: did you mean https://${safeLine(arg, 80)}?`
      : suggestName(arg),
  });
}

/** A slip of the name is commoner than a file that is gone. */
function suggestName(arg: string): string {
  const plain = "check the name; quote it if it has spaces";
  try {
    const folder = resolve(arg, "..");
    const wanted = basename(arg).toLowerCase();
    const found = readdirSync(folder).find((name) => name.toLowerCase().startsWith(wanted));
    return found === undefined ? plain : `did you mean ${safeLine(join(folder, found))}?`;
  } catch {
    return plain;
  }
}

function noMedia(arg: string, accept: readonly string[]): ClipscribeError {
  return new ClipscribeError("contract", "the folder holds no media", {
    details: { folder: safeLine(basename(arg)) },
    hint: `accepted: ${accept.join(", ")}`,
  });
}
