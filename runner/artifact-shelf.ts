/**
 * Artifacts by content: small texts inline in their cache entry, all else in `blobs/`. What is read
 * is compared with its SHA-256; what is gone or damaged is an `ArtifactLost`, and whoever made it
 * makes it again.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, readFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline as pipe } from "node:stream/promises";

import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import type { ObjectKey, UserKeys } from "../core/keys.ts";
import type { CachedArtifact } from "../core/records.ts";
import { isToRenew } from "../core/retention.ts";
import type { Retention } from "../core/retention.ts";
import type { ObjectInfo, ObjectStore } from "../ports/object-store.ts";
import type { MadeArtifact } from "../ports/stage-pool.ts";
import type { Defences } from "./defences.ts";
import type { RunnerWorld } from "./world.ts";

/** A text up to this size costs less inside its cache entry than as an object of its own. */
export const INLINE_BYTES = 16 * 1024;
/** A file up to this size is read as a whole, a larger one in pieces of this size. */
const WHOLE_BYTES = 1024 * 1024;

/** A blob that is gone, or no longer is what its name says. */
export class ArtifactLost extends ClipscribeError {
  readonly sha256: Sha256;

  constructor(sha256: Sha256, what: string) {
    super("missing", `an artifact is ${what}`, { details: { sha256 } });
    this.sha256 = sha256;
  }
}

export interface ArtifactShelf {
  /** Keeps what a stage made. A file that changed since it was hashed: @throws `contract`. */
  keep(made: MadeArtifact, signal: AbortSignal): Promise<CachedArtifact>;
  /** Tells whether it is there, without reading it but to renew it. */
  has(artifact: CachedArtifact, signal: AbortSignal): Promise<boolean>;
  /** @throws ArtifactLost. */
  readText(artifact: CachedArtifact, signal: AbortSignal): Promise<string>;
  /** Writes it to a local file, whole or not at all. @throws ArtifactLost. */
  copyTo(artifact: CachedArtifact, path: string, signal: AbortSignal): Promise<void>;
  /** Makes sure that it has a blob, since published files are blobs. Returns its key. */
  asBlob(artifact: CachedArtifact, signal: AbortSignal): Promise<ObjectKey>;
  /** Keeps bytes that are no stage's artifact as a blob; returns their digest. */
  keepBlob(bytes: Uint8Array, signal: AbortSignal): Promise<Sha256>;
  /** Deletes a blob that failed its check, so that nothing trusts it again. */
  discard(sha256: Sha256, signal: AbortSignal): Promise<void>;
}

export interface Ageing {
  now(): Date;
  retention(): Retention | undefined;
}

export function openArtifactShelf(
  store: ObjectStore,
  keys: UserKeys,
  defences: Defences,
  /** Of a bucket that deletes blobs by their age; without it, nothing is renewed. */
  ageing?: Ageing,
): ArtifactShelf {
  const isOld = ({ key, modifiedAt }: ObjectInfo): boolean =>
    ageing !== undefined && isToRenew(key, modifiedAt, ageing.now(), ageing.retention());

  /** Content-addressed: whoever was first wrote the same bytes, unless they were damaged since. */
  async function keepOnce(
    made: { sha256: Sha256; size: number },
    put: (key: ObjectKey, ifMatch: null | undefined) => Promise<unknown>,
    signal: AbortSignal,
  ): Promise<void> {
    const key = keys.blob(made.sha256);
    try {
      await put(key, null);
    } catch (error) {
      if (!isKind(error, "conflict")) throw error;
      const there = await store.head(key, { signal });
      if (there?.sizeBytes !== made.size || isOld(there)) await put(key, undefined);
    }
  }

  /** Sends the same bytes again, which is younger then. @throws ArtifactLost. */
  async function renew(sha256: Sha256, signal: AbortSignal): Promise<void> {
    const key = keys.blob(sha256);
    const { body } = await openBlob(store, key, sha256, signal);
    const lost = (): Error => new ArtifactLost(sha256, "damaged");
    await store.putStream(key, checked(body, sha256, lost), { signal });
  }

  async function keepBytes(sha256: Sha256, body: Uint8Array, signal: AbortSignal): Promise<void> {
    const put = (key: ObjectKey, ifMatch: null | undefined): Promise<unknown> =>
      store.put(key, body, { ifMatch, signal });
    await keepOnce({ sha256, size: body.length }, put, signal);
  }

  async function keepFile(made: MadeArtifact, path: string, signal: AbortSignal): Promise<void> {
    if (made.sizeBytes <= WHOLE_BYTES) {
      const body = readFileSync(path);
      if (sha256Of(body) !== made.sha256) throw changed();
      return keepBytes(made.sha256, body, signal);
    }
    const there = await store.head(keys.blob(made.sha256), { signal });
    if (there?.sizeBytes === made.sizeBytes && !isOld(there)) return;
    const put = (key: ObjectKey, ifMatch: null | undefined): Promise<unknown> => {
      const body = createReadStream(path, { highWaterMark: WHOLE_BYTES });
      return store.putStream(key, checked(body, made.sha256, changed), { ifMatch, signal });
    };
    await keepOnce({ sha256: made.sha256, size: made.sizeBytes }, put, signal);
  }

  return {
    async keep(made, signal) {
      const { content } = made;
      const inline =
        content.kind === "text" && made.sizeBytes <= INLINE_BYTES ? content.text : null;
      if (content.kind === "file") await keepFile(made, content.path, signal);
      else if (inline === null) await keepBytes(made.sha256, Buffer.from(content.text), signal);
      return {
        sha256: made.sha256,
        size: made.sizeBytes,
        media_type: made.mediaType,
        file_name: made.fileName,
        inline,
      };
    },

    async has(artifact, signal) {
      if (artifact.inline !== null) return true;
      const info = await store.head(keys.blob(artifact.sha256), { signal });
      if (info?.sizeBytes !== artifact.size) return false;
      if (!isOld(info)) return true;
      try {
        await renew(artifact.sha256, signal);
        return true;
      } catch (error) {
        if (error instanceof ArtifactLost) return false;
        throw error;
      }
    },

    async readText(artifact, signal) {
      const bytes =
        artifact.inline === null
          ? await readBlob(store, keys.blob(artifact.sha256), artifact.sha256, signal)
          : Buffer.from(artifact.inline);
      if (defences.hashCheckOnRead && sha256Of(bytes) !== artifact.sha256) {
        throw new ArtifactLost(artifact.sha256, "damaged");
      }
      return Buffer.from(bytes).toString("utf8");
    },

    async copyTo(artifact, path, signal) {
      await mkdir(dirname(path), { recursive: true });
      const temporary = `${path}.tmp`;
      const lost = (): Error => new ArtifactLost(artifact.sha256, "damaged");
      const body =
        artifact.inline === null
          ? (await openBlob(store, keys.blob(artifact.sha256), artifact.sha256, signal)).body
          : [Buffer.from(artifact.inline)];
      try {
        const source = defences.hashCheckOnRead ? checked(body, artifact.sha256, lost) : body;
        await pipe(source, createWriteStream(temporary), { signal });
        await rename(temporary, path);
      } finally {
        await rm(temporary, { force: true });
      }
    },

    async asBlob(artifact, signal) {
      if (artifact.inline !== null) {
        await keepBytes(artifact.sha256, Buffer.from(artifact.inline), signal);
      }
      return keys.blob(artifact.sha256);
    },

    async keepBlob(bytes, signal) {
      const sha256 = sha256Of(bytes);
      await keepBytes(sha256, bytes, signal);
      return sha256;
    },

    discard: (sha256, signal) => store.delete(keys.blob(sha256), { signal }),
  };
}

/** Of a bucket, which other machines share. A folder here deletes nothing by itself. */
export function ageingOf({
  processes,
  clock,
  pipelines,
}: Pick<RunnerWorld, "processes" | "clock" | "pipelines">): Ageing | undefined {
  if (processes !== null) return undefined;
  // Of the pipeline in force: its rules are the bucket's, whatever an older item is pinned to.
  return { now: () => clock.now(), retention: () => pipelines.current().retention };
}

async function readBlob(
  store: ObjectStore,
  key: ObjectKey,
  sha256: Sha256,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    return (await store.get(key, { signal })).body;
  } catch (error) {
    throw isKind(error, "missing") ? new ArtifactLost(sha256, "gone") : error;
  }
}

async function openBlob(
  store: ObjectStore,
  key: ObjectKey,
  sha256: Sha256,
  signal: AbortSignal,
): Promise<{ body: AsyncIterable<Uint8Array> }> {
  try {
    return await store.getStream(key, { signal });
  } catch (error) {
    throw isKind(error, "missing") ? new ArtifactLost(sha256, "gone") : error;
  }
}

/** Passes bytes on and fails at their end if they hash to something else. */
async function* checked(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  sha256: Sha256,
  fail: () => Error,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  for await (const chunk of body) {
    hash.update(chunk);
    yield chunk;
  }
  if (hash.digest("hex") !== sha256) throw fail();
}

function changed(): Error {
  return new ClipscribeError("contract", "a stage's output changed after it was returned", {
    hint: "await every write before the stage returns",
  });
}
