/** Pushed pipelines in the bucket: written once by content, verified when read, pointed at by a swap. */
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { systemKeys } from "../core/keys.ts";
import {
  INDEX_FILE,
  PipelinePointer,
  PipelineSignature,
  PipelineIndex,
  SIGNATURE_FILE,
  movePointer,
} from "../core/pushed-pipeline.ts";
import type { PipelineChange } from "../core/pushed-pipeline.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import { putBytesIfAbsent, readRecord } from "./stored-records.ts";

export interface PointerVersion {
  pointer: PipelinePointer;
  etag: Etag;
}

/** A pipeline and its files by name; each hashes to what its name says. */
export interface PipelineParcel {
  index: PipelineIndex;
  bundles: ReadonlyMap<string, Uint8Array>;
}

/**
 * Undefined where none was ever pushed, or where it is still the one with the etag `known`.
 *
 * @throws `contract` for one that can't be read.
 */
export async function readPointer(
  store: ObjectStore,
  known?: Etag,
): Promise<PointerVersion | undefined> {
  const key = systemKeys.pipelineCurrent;
  const read = readRecord(store, key, PipelinePointer, { ifNoneMatch: known });
  const found = await read.catch((error: unknown) => {
    if (!isKind(error, "contract")) throw error;
    throw new ClipscribeError("contract", "what says which pipeline is in force can't be read", {
      details: { key },
      hint: "delete that object, then `clipscribe pipeline push`: only the list of earlier ones is lost",
      cause: error,
    });
  });
  return found && { pointer: found.value, etag: found.etag };
}

/**
 * Puts everything that is not there yet, its index last; each is named by its content. An index of the
 * same digest may have other comments in its YAML: the one that is there stays, and is signed.
 */
export async function putPipeline(
  store: ObjectStore,
  { index: mine, bundles }: PipelineParcel,
  sign: (index: PipelineIndex) => PipelineSignature | null,
): Promise<void> {
  const indexKey = systemKeys.pipeline(mine.digest, INDEX_FILE);
  const there = await readRecord(store, indexKey, PipelineIndex).catch((error: unknown) => {
    if (isKind(error, "contract")) return undefined;
    throw error;
  });
  const index = there?.value ?? mine;
  const puts = [...bundles].map(async ([file, body]) =>
    putBytesIfAbsent(store, systemKeys.pipeline(index.digest, file), body),
  );
  await Promise.all(puts);
  const signature = sign(index);
  // Replaces one of another key; the digest that both are of stays.
  if (signature !== null) {
    const key = systemKeys.pipeline(index.digest, SIGNATURE_FILE);
    await store.put(key, Buffer.from(JSON.stringify(signature)));
  }
  if (there === undefined) {
    await store.put(indexKey, Buffer.from(`${JSON.stringify(index, null, 1)}\n`));
  }
}

/** @throws `conflict` where another push or rollback came first. */
export async function swapPointer(
  store: ObjectStore,
  before: PointerVersion | undefined,
  change: PipelineChange,
): Promise<PipelinePointer> {
  const pointer = movePointer(before?.pointer, change);
  const body = Buffer.from(`${JSON.stringify(pointer, null, 1)}\n`);
  try {
    await store.put(systemKeys.pipelineCurrent, body, { ifMatch: before?.etag ?? null });
    return pointer;
  } catch (error) {
    // The answer may have been lost: then it is ours that is there.
    const now = isKind(error, "conflict", "transient") ? await readPointer(store) : undefined;
    if (now !== undefined && JSON.stringify(now.pointer) === JSON.stringify(pointer))
      return pointer;
    if (!isKind(error, "conflict")) throw error;
    throw new ClipscribeError("conflict", "another push or rollback came first", {
      hint: "look at `clipscribe pipeline list`, then push again",
      cause: error,
    });
  }
}

/** @throws `missing` where it is gone. */
export async function readPipelineIndex(
  store: ObjectStore,
  digest: Sha256,
): Promise<PipelineIndex> {
  const found = await readRecord(store, systemKeys.pipeline(digest, INDEX_FILE), PipelineIndex);
  if (found === undefined) throw lost(digest, INDEX_FILE);
  return found.value;
}

/** @throws `missing` where it, or a part of it, is gone or is not what its name says. */
export async function readPipeline(store: ObjectStore, digest: Sha256): Promise<PipelineParcel> {
  const index = await readPipelineIndex(store, digest);
  const files = [...Object.values(index.stages).map((code) => `${code}.mjs`), ...index.shared];
  const bundles = new Map<string, Uint8Array>();
  for (const file of new Set(files)) {
    const object = await getIfPresent(store, systemKeys.pipeline(digest, file));
    if (object === undefined || !file.endsWith(`${sha256Of(object.body)}.mjs`)) {
      throw lost(digest, file);
    }
    bundles.set(file, object.body);
  }
  return { index, bundles };
}

/** Undefined where it was pushed without one. */
export async function readSignature(
  store: ObjectStore,
  digest: Sha256,
): Promise<PipelineSignature | undefined> {
  const key = systemKeys.pipeline(digest, SIGNATURE_FILE);
  return (await readRecord(store, key, PipelineSignature))?.value;
}

function lost(digest: Sha256, file: string): ClipscribeError {
  return new ClipscribeError("missing", "a pushed pipeline is gone from the bucket, or damaged", {
    details: { digest: digest.slice(0, 12), file },
    hint: "push it again, or `clipscribe pipeline rollback` to another",
  });
}
