/** From arguments to the items of a job: files and folders listed and hashed, URL lists downloaded. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { basename, extname, join, resolve } from "node:path";

import { identityOf } from "../adapters/ledger/ledger.ts";
import type { Ledger } from "../adapters/ledger/ledger.ts";
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, asClipscribeError, toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { Lane, Sha256 } from "../core/ids.ts";
import { slugOf } from "../core/ids.ts";
import { extensionOf, mediaTypeOf } from "../core/media-types.ts";
import { ItemInfo } from "../core/records.ts";
import type { Source } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import { LIST_EXTENSIONS, MAX_LIST_BYTES, parseUrlList } from "../core/url-list.ts";
import type { Downloader } from "../ports/downloader.ts";
import { fetchEach, notTried } from "./fetch-each.ts";
import { hashSource } from "../sync/hash-source.ts";
import type { HashLarge } from "../sync/hash-source.ts";
import { listFiles, sidecarsOf } from "../sync/list-files.ts";
import type { FoundMedium } from "../sync/list-files.ts";
import { titleOfFile } from "../sync/plan-items.ts";

export interface Drop {
  /** Unique in the job: the path in its folder, or the URL. */
  name: string;
  title: string;
  path: string;
  sidecars: string[];
  source: Source;
  info: ItemInfo;
}

export interface Collected {
  drops: Drop[];
  /** What can't become an item, and why. */
  refused: { name: string; error: ErrorRecord }[];
  /** Name and digest of each argument, for the job's id. */
  parts: { name: string; digest: string }[];
  /** Real paths, if files and folders were all there was: only then can a snapshot tell. */
  named: string[] | null;
  notes: string[];
}

export interface CollectContext {
  accept: readonly string[];
  ledger: Ledger;
  downloader: Downloader;
  downloadsDir: string;
  hashLarge?: HashLarge | undefined;
  signal: AbortSignal;
  busy: (text: string) => void;
}

/** A person waits for a one-off. */
export const LANE: Lane = "urgent";

export async function collectDrops(
  args: readonly string[],
  cwd: string,
  context: CollectContext,
): Promise<Collected> {
  const collected: Collected = { drops: [], refused: [], parts: [], named: [], notes: [] };
  for (const arg of args) {
    const path = resolve(cwd, arg);
    if (isUrlList(path)) await collectList(path, context, collected);
    else await collectFiles(path, args.length > 1, context, collected);
  }
  return collected;
}

function isUrlList(path: string): boolean {
  const info = statSync(path, { throwIfNoEntry: false });
  return info?.isFile() === true && LIST_EXTENSIONS.includes(extensionOf(path));
}

async function collectFiles(
  path: string,
  isOneOfMany: boolean,
  context: CollectContext,
  collected: Collected,
): Promise<void> {
  const { media, ignored } = listFiles(path, context.accept);
  if (ignored.length > 0) {
    const shown = ignored.slice(0, 3).map((name) => safeLine(name, 60));
    collected.notes.push(
      `left alone ${ignored.length} other ${ignored.length === 1 ? "file" : "files"}: ${shown.join(", ")}${ignored.length > 3 ? ", …" : ""}`,
    );
  }
  const real = realpathSync(path);
  const isFolder = statSync(real).isDirectory();
  const prefix = isOneOfMany ? `${basename(real)}/` : "";
  const before = collected.drops.length;
  const hashed = await hashAll(media, context);
  for (const [index, medium] of media.entries()) {
    const sha256 = hashed[index];
    if (typeof sha256 === "string") {
      const name = isFolder ? prefix + medium.name : basename(real);
      collected.drops.push(describeFile(medium, name, sha256));
    } else if (sha256 !== undefined) {
      if (!isFolder && !isOneOfMany) throw sha256;
      collected.refused.push({ name: medium.name, error: toErrorRecord(sha256) });
    }
  }
  if (isFolder && media.length === 0) {
    throw new ClipscribeError("contract", "the folder holds no media", {
      details: { folder: safeLine(basename(real)) },
      hint: `accepted: ${context.accept.join(", ")}`,
    });
  }
  const digest = isFolder
    ? sha256Of(real)
    : (collected.drops[before]?.source.sha256 ?? sha256Of(real));
  collected.parts.push({ name: basename(real), digest });
  collected.named?.push(real);
}

/** One transaction for all that the ledger knows; hashes only what is new or changed. */
async function hashAll(
  media: readonly FoundMedium[],
  context: CollectContext,
): Promise<(Sha256 | ClipscribeError)[]> {
  const { ledger } = context;
  const results: (Sha256 | ClipscribeError | undefined)[] = media.map(({ path }) => {
    const info = statSync(path, { bigint: true, throwIfNoEntry: false });
    return info === undefined ? undefined : ledger.find(path, identityOf(info));
  });
  let hashed = 0;
  const fresh: (() => void)[] = [];
  const toHash = results.filter((each) => each === undefined).length;
  for (const [index, { path, name }] of media.entries()) {
    if (results[index] !== undefined) continue;
    if (context.signal.aborted) throw asClipscribeError(context.signal.reason);
    hashed++;
    context.busy(`reading ${hashed} of ${toHash}: ${name}`);
    try {
      const startedAt = new Date();
      const { sha256, info } = await hashSource(path, context.signal, context);
      results[index] = sha256;
      fresh.push(() => ledger.remember(path, identityOf(info), sha256, startedAt));
    } catch (error) {
      if (context.signal.aborted) throw error;
      results[index] = asClipscribeError(error);
    }
  }
  if (fresh.length > 0) ledger.together(() => fresh.forEach((remember) => remember()));
  return results.map((each) => each ?? new ClipscribeError("missing", "the file is gone"));
}

function describeFile(medium: FoundMedium, name: string, sha256: Sha256): Drop {
  const file = basename(medium.path);
  const title = titleOfFile(file);
  const { size } = statSync(medium.path);
  return {
    name,
    title,
    path: medium.path,
    sidecars: medium.sidecars,
    source: {
      kind: "file",
      url: null,
      filename: name,
      sha256,
      size,
      media_type: mediaTypeOf(extensionOf(file)),
    },
    info: ItemInfo.parse({ file_name: file.toWellFormed() }),
  };
}

async function collectList(
  path: string,
  context: CollectContext,
  collected: Collected,
): Promise<void> {
  if (statSync(path).size > MAX_LIST_BYTES) {
    throw new ClipscribeError("contract", "the list is too large", { hint: "cut it into several" });
  }
  const content = readFileSync(path);
  const list = parseUrlList(content, extensionOf(path));
  collected.named = null;
  collected.parts.push({ name: basename(path), digest: sha256Of(content) });
  if (list.duplicates > 0) collected.notes.push(`${list.duplicates} URLs stand twice in the list`);
  for (const { line, text: shown } of list.ignored) {
    collected.notes.push(
      `line ${line}: options behind a URL are left out (${safeLine(shown, 60)})`,
    );
  }
  for (const { line, text: shown, why } of list.refused) {
    const name = `${basename(path)}:${line}`;
    const error = new ClipscribeError("contract", `${why} (${safeLine(shown, 100)})`);
    collected.refused.push({ name, error: toErrorRecord(error) });
  }
  if (list.urls.length === 0 && list.refused.length === 0) {
    throw new ClipscribeError("contract", "the list holds no URL", {
      details: { file: safeLine(basename(path)) },
      hint: "write one http or https address a line",
    });
  }
  const { urls } = list;
  const { found, gaveUp } = await fetchEach(
    urls.map(({ url }) => url),
    async (url, index) => {
      context.busy(`downloading ${index + 1} of ${urls.length}: ${url}`);
      return download(url, context);
    },
    context.signal,
  );
  for (const [index, each] of found.entries()) {
    const name = urls[index]?.url ?? "";
    if (each instanceof ClipscribeError)
      collected.refused.push({ name, error: toErrorRecord(each) });
    else if (each !== undefined) collected.drops.push(each);
  }
  const untried = urls.length - found.filter((each) => each !== undefined).length;
  if (gaveUp !== undefined && untried > 0) {
    collected.refused.push({
      name: basename(path),
      error: toErrorRecord(notTried(untried, gaveUp)),
    });
  }
}

/** A URL that was fetched before is not fetched again while its file is as it was. */
async function download(url: string, context: CollectContext): Promise<Drop> {
  const { ledger, downloader, signal } = context;
  const known = ledger.findDownload(url);
  let medium =
    known === undefined ? undefined : { ...known, info: ItemInfo.parse(JSON.parse(known.info)) };
  if (medium !== undefined && statSync(medium.path, { throwIfNoEntry: false }) === undefined) {
    medium = undefined;
  }
  if (medium === undefined) {
    const folder = `${slugOf(url, "video").slice(0, 40)}-${sha256Of(url).slice(0, 8)}`;
    medium = await downloader.fetch(url, join(context.downloadsDir, folder), {
      signal,
      onProgress: (fraction, note) =>
        context.busy(`downloading ${Math.round(fraction * 100)}%: ${note || url}`),
    });
    ledger.rememberDownload(url, {
      path: medium.path,
      info: JSON.stringify(medium.info),
      sidecars: medium.sidecars,
    });
  }
  const found = { path: medium.path, name: basename(medium.path), sidecars: medium.sidecars };
  const [sha256] = await hashAll([found], context);
  if (typeof sha256 !== "string")
    throw sha256 ?? new ClipscribeError("missing", "the file is gone");
  const drop = describeFile(found, url, sha256);
  const title = medium.info.title ?? titleOfFile(basename(medium.path));
  const stem = basename(medium.path, extname(medium.path));
  return {
    ...drop,
    title,
    sidecars:
      sidecarsOf(
        basename(medium.path),
        medium.sidecars.map((each) => basename(each)),
      ).length > 0
        ? medium.sidecars
        : medium.sidecars.filter((each) => basename(each).startsWith(stem)),
    source: { ...drop.source, kind: "url", url, filename: basename(medium.path) },
    info: medium.info,
  };
}
