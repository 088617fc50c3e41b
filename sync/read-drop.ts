/**
 * From settled files to what the ledger notes: which items a drop has, the hash of each, the ids that
 * it goes by from now on. Reads; writes nothing and sends nothing.
 */
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { DropOptions } from "../core/drop-records.ts";
import type { DropItem, DropRecord } from "../core/drop-records.ts";
import { ClipscribeError, asClipscribeError, isKind, toErrorRecord } from "../core/errors.ts";
import { extensionOf, mediaTypeOf } from "../core/media-types.ts";
import { ItemInfo } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import { MAX_LIST_BYTES, parseUrlList } from "../core/url-list.ts";
import type { KeptDrop } from "../ports/drop-ledger.ts";
import type { AgentWorld } from "./agent-world.ts";
import { OPTIONS_SUFFIX, classifyName } from "./drop-names.ts";
import { parseDropOptions } from "./drop-options.ts";
import { hashSource } from "./hash-source.ts";
import type { HashLarge } from "./hash-source.ts";
import { listFiles, sidecarsOf } from "./list-files.ts";
import { assignItemIds, newJobId, titleOfFile } from "./plan-items.ts";
import { probeContainer } from "./probe-container.ts";
import type { ContainerVerdict } from "./probe-container.ts";

/** What a medium is, as a probe sees it: by its own container, else by ffprobe. */
export async function probeMedium(
  world: Pick<AgentWorld, "files" | "isMedium">,
  path: string,
  signal: AbortSignal,
): Promise<Exclude<ContainerVerdict, { is: "foreign" }> | { is: "foreign"; why: string }> {
  {
    await using file = await world.files.open(path);
    const { sizeBytes, allocatedBytes } = await file.look();
    const read = async (offset: number, length: number): Promise<Uint8Array> =>
      file.read(offset, length);
    const verdict = await probeContainer({ sizeBytes, allocatedBytes, read });
    if (verdict.is !== "foreign") return verdict;
  }
  return (await world.isMedium(path, signal))
    ? { is: "whole", format: "other" }
    : { is: "foreign", why: "it holds neither sound nor pictures that ffmpeg knows" };
}

export interface ReadDrop {
  drop: DropRecord;
  items: DropItem[];
}

export interface DropSource {
  name: string;
  /** Absolute paths; of the inbox, one. */
  sources: readonly string[];
  urls: readonly string[];
  origin: DropRecord["origin"];
  fingerprint: string;
  sidecars: readonly string[];
}

/**
 * Reads a settled drop of the inbox, or what another process handed over (`spooled`).
 * @throws `contract` for what can't be used, saying why; `missing` where it is gone.
 */
export async function readDrop(
  world: AgentWorld,
  source: DropSource,
  spooled: KeptDrop | undefined,
  signal: AbortSignal,
): Promise<ReadDrop> {
  const options = spooled?.drop.options ?? (await readOptions(world, source));
  const hashLarge = world.hashLarge?.({ keepVideo: options.keep_video });
  const items: DropItem[] = [];
  let kind: DropRecord["kind"] = "list";
  for (const path of source.sources) {
    const look = world.files.look(path);
    if (look === undefined) throw new ClipscribeError("missing", "the file is gone");
    const prefix = source.sources.length > 1 ? `${basename(path)}/` : "";
    if (look.kind === "folder") {
      kind = "folder";
      items.push(...(await readFolder(world, path, prefix, hashLarge, signal)));
    } else if (classifyName(basename(path), world.pipeline().accept) === "list") {
      items.push(...(await readList(world, path)));
    } else {
      kind = source.sources.length > 1 ? "folder" : "file";
      const sidecars = source.origin === "submit" ? captionsBeside(path) : source.sidecars;
      items.push(await readMedium(path, basename(path), sidecars, hashLarge, signal));
    }
  }
  items.push(...source.urls.map(itemOfUrl));
  const before = spooled === undefined ? findBefore(world, source, kind, items) : undefined;
  const now = world.clock.now();
  const { name, digest } = world.pipeline();
  const ids = assignItemIds(
    items
      .filter(({ url }) => url === null)
      .map((item) => ({ name: item.name, title: titleOfFile(item.name) })),
    before?.ids ?? new Map(),
  );
  const job =
    spooled?.drop.job ??
    before?.job ??
    newJobId(source.name, now, world.random, (each) => world.ledger.hasJob(each));
  const drop: DropRecord = {
    schema: 1,
    phase: "hashed",
    origin: source.origin,
    name: source.name,
    sources: [...source.sources],
    urls: [...source.urls],
    kind,
    job,
    pipeline: { name, digest },
    options,
    fingerprint: source.fingerprint,
    target: null,
    moved: false,
    error: null,
    created_at: now.toISOString(),
  };
  return { drop, items: items.map((item) => ({ ...item, item: ids.get(item.name) ?? item.item })) };
}

/** What was submitted stays where it is, and so do its captions. */
function captionsBeside(path: string): string[] {
  const folder = dirname(path);
  return sidecarsOf(basename(path), readdirSync(folder)).map((name) => join(folder, name));
}

/**
 * The job that a drop goes on with: the same name and bytes as before, or a folder that changed while
 * it was handed off and was put back. `submitJob` finds out what of it is done already.
 */
function findBefore(
  { ledger }: AgentWorld,
  { name }: DropSource,
  kind: DropRecord["kind"],
  items: readonly DropItem[],
): { job: DropRecord["job"]; ids: Map<string, NonNullable<DropItem["item"]>> } | undefined {
  const sha256 = items[0]?.source?.sha256;
  const kept =
    kind === "file" && sha256 !== undefined
      ? ledger.findSame(name, sha256)
      : kind === "folder"
        ? ledger.findPutBack(name)
        : undefined;
  if (kept === undefined) return undefined;
  const ids = kept.items.flatMap(({ name: each, item }) =>
    item === null ? [] : [[each, item] as const],
  );
  return { job: kept.drop.job, ids: new Map(ids) };
}

async function readOptions(world: AgentWorld, { sources }: DropSource): Promise<DropOptions> {
  const path = `${sources[0] ?? ""}${OPTIONS_SUFFIX}`;
  const look = world.files.look(path);
  if (look?.kind !== "file") return DropOptions.parse({});
  await using file = await world.files.open(path);
  const text = Buffer.from(await file.read(0, look.sizeBytes)).toString("utf8");
  return parseDropOptions(text, basename(path));
}

async function readMedium(
  path: string,
  name: string,
  sidecars: readonly string[],
  hashLarge: HashLarge | undefined,
  signal: AbortSignal,
): Promise<DropItem> {
  const { sha256, info } = await hashSource(path, signal, { links: "refuse", hashLarge });
  const file = basename(path);
  return {
    ...emptyItem(name),
    phase: "hashed",
    path,
    fingerprint: `${info.size}:${info.mtimeNs}:${info.ino}`,
    source: {
      kind: "file",
      url: null,
      filename: name,
      sha256,
      size: Number(info.size),
      media_type: mediaTypeOf(extensionOf(file)),
    },
    info: ItemInfo.parse({ file_name: file.toWellFormed() }),
    sidecars: [...sidecars],
  };
}

/** One that can't be read fails by itself; the others of its folder go on. */
async function readFolder(
  world: AgentWorld,
  folder: string,
  prefix: string,
  hashLarge: HashLarge | undefined,
  signal: AbortSignal,
): Promise<DropItem[]> {
  const { media } = listFiles(folder, world.pipeline().accept);
  if (media.length === 0) {
    throw new ClipscribeError("contract", "the folder holds no media", {
      hint: `accepted: ${world.pipeline().accept.join(", ")}`,
    });
  }
  const items: DropItem[] = [];
  for (const { path, name, sidecars } of media) {
    try {
      const verdict = await probeMedium(world, path, signal);
      if (verdict.is !== "whole") throw notWhole(verdict.why);
      items.push(await readMedium(path, prefix + name, sidecars, hashLarge, signal));
    } catch (thrown) {
      const error = asClipscribeError(thrown);
      if (!isKind(error, "contract", "missing", "denied")) throw error;
      items.push({
        ...emptyItem(prefix + name),
        phase: "failed",
        path,
        error: toErrorRecord(error),
      });
    }
  }
  return items;
}

export function notWhole(why: string): ClipscribeError {
  return new ClipscribeError("contract", why, {
    hint: "play it; if it is damaged or cut off, drop a good copy",
  });
}

async function readList(world: AgentWorld, path: string): Promise<DropItem[]> {
  await using file = await world.files.open(path);
  const { sizeBytes } = await file.look();
  if (sizeBytes > MAX_LIST_BYTES) {
    throw new ClipscribeError("contract", "the list is too large", { hint: "cut it into several" });
  }
  const list = parseUrlList(await file.read(0, sizeBytes), extensionOf(basename(path)));
  if (list.urls.length === 0) {
    const [first] = list.refused;
    const why =
      first === undefined ? "" : `; line ${first.line}: ${first.why} (${safeLine(first.text, 80)})`;
    throw new ClipscribeError("contract", `the list holds no URL that can be fetched${why}`, {
      hint: "write one http or https address a line",
    });
  }
  const refused = list.refused.map(({ line, text, why }): DropItem => ({
    ...emptyItem(`line ${line}`),
    phase: "failed",
    error: {
      kind: "contract",
      message: `line ${line}: ${why} (${safeLine(text, 100)})`,
      hint: null,
      cause: [],
    },
  }));
  return [...list.urls.map(({ url }) => itemOfUrl(url)), ...refused];
}

const itemOfUrl = (url: string): DropItem => ({ ...emptyItem(url), url });

export function emptyItem(name: string): DropItem {
  return {
    schema: 1,
    name,
    phase: "pending",
    item: null,
    url: null,
    path: null,
    fingerprint: "",
    source: null,
    info: null,
    sidecars: [],
    upload_id: null,
    artifacts: [],
    ticket: null,
    run: null,
    outcome: null,
    fetched: false,
    error: null,
  };
}
