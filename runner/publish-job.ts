/**
 * Publishes the files of a job as a whole, as an item's are: everything is a blob first, one
 * compare-and-swap of `items/_job.json` names the manifest, and `results/` then shows it, its
 * manifest.json last.
 */
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { JobId, Sha256 } from "../core/ids.ts";
import { JOB_ITEM } from "../core/keys.ts";
import type { UserKeys } from "../core/keys.ts";
import { JobManifest, JobPart } from "../core/message-records.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import type { JobFile } from "./make-digest.ts";
import { CHECKSUMS_FILE, MANIFEST_FILE } from "./publish.ts";

/** A publish that is overtaken by another starts over; more in a row would be a storm. */
const MAX_PROJECTIONS = 5;

export interface JobPartVersion {
  part: JobPart;
  etag: Etag;
}

/** @throws `contract` for a record that can't be read; nothing overwrites it. */
export async function readJobPart(
  store: ObjectStore,
  keys: UserKeys,
  job: JobId,
): Promise<JobPartVersion | undefined> {
  const key = keys.item(job, JOB_ITEM);
  const found = await getIfPresent(store, key);
  if (found === undefined) return undefined;
  try {
    const part = JobPart.parse(JSON.parse(Buffer.from(found.body).toString("utf8")));
    return { part, etag: found.etag };
  } catch (cause) {
    throw new ClipscribeError("contract", "the record of a job's own part can't be read", {
      details: { key },
      hint: "restore it from a copy, or delete it: it is made again",
      cause,
    });
  }
}

/** @throws `conflict` if another write came first. */
export async function swapJobPart(
  store: ObjectStore,
  keys: UserKeys,
  part: JobPart,
  expected: Etag | null,
): Promise<JobPartVersion> {
  const key = keys.item(part.job_id, JOB_ITEM);
  const body = Buffer.from(`${JSON.stringify(part, null, 1)}\n`);
  return { part, etag: await store.put(key, body, { ifMatch: expected }) };
}

/** Puts the files and their manifest under their hashes; returns the manifest's. */
export async function keepJobFiles(
  shelf: ArtifactShelf,
  files: readonly JobFile[],
  about: Omit<JobManifest, "schema" | "files">,
  signal: AbortSignal,
): Promise<NonNullable<JobPart["manifest"]>> {
  const kept = await Promise.all(
    files.map(async ({ path, mediaType, text }) => keepText(shelf, path, mediaType, text, signal)),
  );
  const sums = kept.map(({ sha256, path }) => `${sha256}  ${path}\n`).join("");
  kept.push(await keepText(shelf, CHECKSUMS_FILE, "text/plain", sums, signal));
  const manifest: JobManifest = { schema: 1, ...about, files: kept };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  const { sha256, size } = await keepText(shelf, MANIFEST_FILE, "application/json", text, signal);
  return { sha256, size };
}

async function keepText(
  shelf: ArtifactShelf,
  path: string,
  mediaType: string,
  text: string,
  signal: AbortSignal,
): Promise<JobManifest["files"][number]> {
  const bytes = Buffer.from(text);
  const sha256 = await shelf.keepBlob(bytes, signal);
  return { path, sha256, size: bytes.length, media_type: mediaType };
}

/** Makes `results/{user}/{job}/` show the manifest that the record names, whoever named it. */
export async function showJobFiles(store: ObjectStore, keys: UserKeys, job: JobId): Promise<void> {
  /** What this has shown of a manifest that was overtaken meanwhile. */
  let overtaken: JobManifest["files"] = [];
  for (let round = 0; round < MAX_PROJECTIONS; round++) {
    const named = (await readJobPart(store, keys, job))?.part.manifest?.sha256;
    if (named === undefined) return;
    const files = await showOnce(store, keys, { job, sha256: named, overtaken });
    const now = (await readJobPart(store, keys, job))?.part.manifest?.sha256;
    if (now === named) return;
    overtaken = [...overtaken, ...files];
  }
  throw new ClipscribeError("transient", "a job's files change faster than they can be shown");
}

async function showOnce(
  store: ObjectStore,
  keys: UserKeys,
  { job, sha256, overtaken }: { job: JobId; sha256: Sha256; overtaken: JobManifest["files"] },
): Promise<JobManifest["files"]> {
  const target = keys.jobResult(job, MANIFEST_FILE);
  const shown = await getIfPresent(store, target);
  // Files of an older one may lie beneath a manifest.json that is the newer one: by this process.
  const isTrusted = overtaken.length === 0;
  if (isTrusted && shown !== undefined && sha256Of(shown.body) === sha256) return [];
  const { body } = await store.get(keys.blob(sha256));
  const { files } = parseManifest(body);
  for (const file of files) {
    await store.copy(keys.blob(file.sha256), keys.jobResult(job, file.path), {
      durability: "recomputable",
    });
  }
  const current = new Set(files.map(({ path }) => path));
  // Only what the earlier manifests name: all else beside it belongs to items.
  const earlier = shown === undefined ? [] : safeFiles(shown.body);
  for (const { path } of [...earlier, ...overtaken]) {
    if (!current.has(path)) await store.delete(keys.jobResult(job, path));
  }
  await store.copy(keys.blob(sha256), target, { durability: "recomputable" });
  return files;
}

function parseManifest(body: Uint8Array): JobManifest {
  return JobManifest.parse(JSON.parse(Buffer.from(body).toString("utf8")));
}

/** What stands there may be anything: it is a projection, and is made again. */
function safeFiles(body: Uint8Array): JobManifest["files"] {
  try {
    return parseManifest(body).files;
  } catch {
    return [];
  }
}
