/**
 * Moves an original out of the inbox, and never loses it: what is moved is what was hashed, nothing
 * is written over, and a crash at any point goes on.
 *
 * ```
 *  inbox/talk.mp4 ──rename──► done/.clipscribe-{id} ──if the name is free──► done/talk.mp4
 *                                   │ not what was hashed                    done/talk (2).mp4
 *                                   └──────────► inbox/talk.mp4, a new drop
 * ```
 *
 * The name in the middle is the agent's own, so the first step can't write over anything, and what
 * lies there is compared before it gets its last name. Whatever a person does to the inbox in
 * between concerns another file.
 */
import { basename, dirname } from "node:path";

import { ClipscribeError, isKind } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { extensionOf } from "../core/media-types.ts";
import { OWN_PREFIX } from "../ports/drop-files.ts";
import type { DropFiles } from "../ports/drop-files.ts";
import { fileFingerprint, lookAtFolder } from "./fingerprint.ts";
import { hashSource } from "./hash-source.ts";

/** Of one name in done/. */
const MAX_VERSIONS = 10_000;
/** The limit of nearly every file system. */
const MAX_NAME_BYTES = 255;
/** Room for `.reason.txt`, and for captions' endings. */
const RESERVED_BYTES = 24;

export interface MoveRequest {
  files: DropFiles;
  id: number;
  /** Absolute. */
  from: string;
  folder: string;
  /** Null where nothing was read of it: what is there now is moved. */
  fingerprint: string | null;
  /** Of a file that was read: decides where its times or inode don't (a touch, another disk). */
  sha256: Sha256 | null;
  /** Files that go with it, absolute; their names begin with its name or stem. */
  companions: readonly string[];
  /** Where an earlier try was about to put it. */
  target: string | null;
  /** Notes the last name before it is given. */
  noteTarget(target: string): void;
  signal: AbortSignal;
}

export type Moved =
  | { result: "moved"; target: string }
  /** It is not there any more, or another is; that one stays, or is back. */
  | { result: "gone"; why: string };

export async function moveOriginal(request: MoveRequest): Promise<Moved> {
  const { files, id, from, folder, fingerprint } = request;
  files.makeFolder(folder);
  const staged = `${folder}/${OWN_PREFIX}${id}`;
  if (files.look(staged) === undefined) {
    // A crash between the last name and the note of it.
    if (request.target !== null && (await isThere(files, request.target, request))) {
      await moveCompanions(request, request.target);
      return { result: "moved", target: request.target };
    }
    const isHere = files.look(from) !== undefined;
    if (!isHere || (fingerprint !== null && !(await isThere(files, from, request)))) {
      return {
        result: "gone",
        why: isHere ? "another file has its name now" : "it was taken away",
      };
    }
    try {
      await files.rename(from, staged);
    } catch (error) {
      if (!isKind(error, "missing")) throw error;
      return { result: "gone", why: "it was taken away" };
    }
  }
  if (fingerprint !== null && !(await isThere(files, staged, request))) {
    await putBack(files, staged, from);
    return { result: "gone", why: "it changed in the meantime" };
  }
  const target = await nameFreely(request, staged);
  await moveCompanions(request, target);
  await files.sync(folder);
  await files.sync(dirname(from));
  return { result: "moved", target };
}

async function isThere(files: DropFiles, path: string, request: MoveRequest): Promise<boolean> {
  const { fingerprint, sha256 } = request;
  const look = files.look(path);
  if (look === undefined || fingerprint === null) return look !== undefined;
  if (look.kind === "folder") return (await lookAtFolder(files, path)).fingerprint === fingerprint;
  if (look.kind !== "file") return false;
  const size = (text: string): string | undefined => text.split(":")[0];
  const seen = fileFingerprint(look);
  if (seen === fingerprint) return true;
  if (size(seen) !== size(fingerprint)) return false;
  if (sha256 === null) return true;
  return (await hashSource(path, request.signal, { links: "refuse" })).sha256 === sha256;
}

async function nameFreely(
  { folder, from, files, target, noteTarget }: MoveRequest,
  staged: string,
): Promise<string> {
  const ino = files.look(staged)?.ino;
  for (let version = 1; version <= MAX_VERSIONS; version++) {
    const name = `${folder}/${versionName(basename(from), version)}`;
    const there = files.look(name);
    // The same file under both names: cut off between the two steps of giving it its last one.
    if (there !== undefined && there.ino !== ino) continue;
    if (name !== target) noteTarget(name);
    try {
      await files.nameNew(staged, name);
      return name;
    } catch (error) {
      if (!isKind(error, "conflict")) throw error;
    }
  }
  throw new ClipscribeError("contract", "too many files of one name", {
    details: { folder },
    hint: "clear it out",
  });
}

/** What changed goes back under its name, or beside whoever has that now. */
async function putBack(files: DropFiles, staged: string, from: string): Promise<void> {
  for (let version = 1; version <= MAX_VERSIONS; version++) {
    try {
      await files.nameNew(staged, `${dirname(from)}/${versionName(basename(from), version)}`);
      return;
    } catch (error) {
      if (!isKind(error, "conflict")) throw error;
    }
  }
}

async function moveCompanions(request: MoveRequest, target: string): Promise<void> {
  const { files, id, folder } = request;
  for (const [index, path] of request.companions.entries()) {
    const staged = `${folder}/${OWN_PREFIX}${id}-${index}`;
    if (files.look(staged) === undefined) {
      if (files.look(path)?.kind !== "file") continue;
      await files.rename(path, staged);
    }
    for (let version = 1; version <= MAX_VERSIONS; version++) {
      const name = companionName(request.from, path, target);
      try {
        await files.nameNew(staged, `${folder}/${versionName(name, version)}`);
        break;
      } catch (error) {
        if (!isKind(error, "conflict")) throw error;
      }
    }
  }
}

/** Where a companion lies after the move; `talk.en.vtt` goes beside `talk (2).mp4` under its name. */
export function companionName(from: string, companion: string, target: string): string {
  const [main, own, last] = [basename(from), basename(companion), basename(target)];
  if (own.startsWith(main)) return last + own.slice(main.length);
  return stemOf(last) + own.slice(stemOf(main).length);
}

function stemOf(name: string): string {
  const extension = extensionOf(name);
  return extension === "" ? name : name.slice(0, -extension.length - 1);
}

/** `talk.mp4`, `talk (2).mp4`: cut so that any file system takes it. Exported for its test. */
export function versionName(name: string, version: number): string {
  const suffix = version === 1 ? "" : ` (${version})`;
  const stem = stemOf(name);
  const extension = name.slice(stem.length);
  const room = MAX_NAME_BYTES - RESERVED_BYTES - Buffer.byteLength(suffix + extension);
  if (version === 1 && Buffer.byteLength(name) <= MAX_NAME_BYTES - RESERVED_BYTES) return name;
  let cut = stem;
  while (Buffer.byteLength(cut) > room) cut = [...cut].slice(0, -1).join("");
  return cut + suffix + extension;
}
