/**
 * Brings what a job yields as a whole into its folder, beside its items': each file checked by its
 * SHA-256 and put in place by one rename, `manifest.json` last. What a person changed stays beside, as
 * `digest.mine.md`.
 */
import { existsSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { extname, join } from "node:path";

import { sha256Of } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { JobId, Sha256, UserId } from "../core/ids.ts";
import { JOB_ITEM, keysOf } from "../core/keys.ts";
import { JobManifest, JobPart } from "../core/message-records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { readBlob } from "./fetch-blobs.ts";
import { assertNames, refused } from "./fetch-results.ts";
import { joinInside } from "./join-inside.ts";
import { readRecord } from "./stored-records.ts";

const MANIFEST = "manifest.json";
/** Copies of what a person changed: `digest.mine.md`, `digest.mine-2.md` … */
const MAX_MINE = 1_000;

export interface FetchedJobFiles {
  /** Absolute paths, the manifest not among them. */
  files: string[];
  /** What a person had changed, where it is now. */
  keptAs: string[];
  /** False where all of them were there already. */
  isNew: boolean;
}

/**
 * Undefined where the job yields nothing as a whole, or not yet.
 * @throws `missing` or `contract` where the store's copy is gone, damaged or hostile.
 */
export async function fetchJobFiles(
  store: ObjectStore,
  user: UserId,
  job: JobId,
  resultsDir: string,
): Promise<FetchedJobFiles | undefined> {
  const part = (await readRecord(store, keysOf(user).item(job, JOB_ITEM), JobPart))?.value;
  if (part?.manifest == null) return undefined;
  const copies = new Map([[part.manifest.sha256, keysOf(user).jobResult(job, MANIFEST)]]);
  const blobs = { store, user, copies };
  const body = await readBlob(blobs, part.manifest.sha256);
  const files = parseFiles(body, job);
  for (const { path, sha256 } of files) copies.set(sha256, keysOf(user).jobResult(job, path));
  const folder = join(resultsDir, job);
  await mkdir(folder, { recursive: true });
  const before = readManifest(folder);
  const keptAs: string[] = [];
  let isNew = hashOf(join(folder, MANIFEST)) !== part.manifest.sha256;
  const put = async (path: string, sha256: Sha256, bytes: Uint8Array): Promise<void> => {
    const target = joinInside(folder, path);
    const mine = keepChanged(target, before.get(path), sha256);
    if (mine !== undefined) keptAs.push(mine);
    await writeWhole(target, bytes);
  };
  for (const { path, sha256 } of files) {
    if (hashOf(joinInside(folder, path)) === sha256) continue;
    isNew = true;
    await put(path, sha256, await readBlob(blobs, sha256));
  }
  // What the earlier one named and this one does not: gone, unless a person changed it.
  const current = new Set(files.map(({ path }) => path));
  for (const [path, sha256] of before) {
    const target = joinInside(folder, path);
    if (!current.has(path) && hashOf(target) === sha256) rmSync(target, { force: true });
  }
  if (isNew) await writeWhole(join(folder, MANIFEST), body);
  return { files: files.map(({ path }) => joinInside(folder, path)), keptAs, isNew };
}

function parseFiles(body: Uint8Array, job: JobId): JobManifest["files"] {
  let manifest: JobManifest;
  try {
    manifest = JobManifest.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  } catch (cause) {
    throw refused("the job's manifest can't be read", job, cause);
  }
  if (manifest.job_id !== job) throw refused("the manifest is another job's", job);
  const names = manifest.files.map(({ path }) => path);
  assertNames(names, job);
  // Without a dot it could be an item's folder.
  const isInFolder = names.some((name) => name.includes("/") || !name.includes("."));
  if (isInFolder) throw refused("the job's manifest names a folder", job);
  return manifest.files;
}

/** Puts a file that is neither the earlier publish's nor the new one's aside. */
function keepChanged(target: string, before: Sha256 | undefined, next: Sha256): string | undefined {
  const now = hashOf(target);
  if (now === undefined || now === before || now === next) return undefined;
  const extension = extname(target);
  const stem = target.slice(0, target.length - extension.length);
  for (let number = 1; number < MAX_MINE; number++) {
    const mine = `${stem}.mine${number === 1 ? "" : `-${number}`}${extension}`;
    if (existsSync(mine)) continue;
    renameSync(target, mine);
    return mine;
  }
  throw new ClipscribeError("contract", "too many kept copies of one file", {
    hint: "remove the `.mine` files that you don't need",
  });
}

function readManifest(folder: string): Map<string, Sha256> {
  try {
    const { files } = JobManifest.parse(JSON.parse(readFileSync(join(folder, MANIFEST), "utf8")));
    const names = files.map(({ path }) => path);
    assertNames(names, MANIFEST);
    return new Map(files.map(({ path, sha256 }) => [path, sha256]));
  } catch {
    return new Map();
  }
}

/** Undefined where there is no such file. */
function hashOf(path: string): Sha256 | undefined {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  return sha256Of(readFileSync(path));
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}.part`;
  {
    await using file = await open(temporary, "w", 0o644);
    await file.writeFile(bytes);
    await file.sync();
  }
  renameSync(temporary, path);
}
