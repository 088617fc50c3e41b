/** A bucket in memory: for tests, simulations, and as the model that other stores agree with. */
import { randomUUID } from "node:crypto";

import { sha256Of } from "../../core/digest.ts";
import { ClipscribeError } from "../../core/errors.ts";
import type { ObjectKey } from "../../core/keys.ts";
import { MAX_PAGE_KEYS } from "../../ports/object-store.ts";
import type {
  Etag,
  GetOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  StoredObject,
  UploadPart,
} from "../../ports/object-store.ts";

interface Held {
  body: Uint8Array;
  etag: Etag;
  modifiedAt: Date;
}

export function openMemoryStore(now: () => Date = () => new Date()): ObjectStore {
  const objects = new Map<string, Held>();
  const uploads = new Map<string, Map<number, { part: UploadPart; body: Uint8Array }>>();

  const held = (key: ObjectKey): Held => {
    const object = objects.get(key);
    if (object !== undefined) return object;
    throw new ClipscribeError("missing", "there is no such object", { details: { key } });
  };
  const describe = (key: ObjectKey, { etag, body, modifiedAt }: Held): ObjectInfo => ({
    key,
    etag,
    sizeBytes: body.length,
    modifiedAt,
  });
  function write(key: ObjectKey, body: Uint8Array, put: PutOptions = {}): Etag {
    throwIfAborted(put.signal);
    assertVersion(key, objects.get(key), put.ifMatch);
    const etag = sha256Of(body).slice(0, 32) as unknown as Etag;
    objects.set(key, { body: Uint8Array.from(body), etag, modifiedAt: now() });
    return etag;
  }
  const uploadOf = (id: string): Map<number, { part: UploadPart; body: Uint8Array }> => {
    const upload = uploads.get(id);
    if (upload !== undefined) return upload;
    throw new ClipscribeError("missing", "there is no such upload", { details: { upload: id } });
  };

  return {
    minWriteIntervalMs: 0,
    etags: "opaque",
    partDigest: "sha256",
    async get(key: ObjectKey, get: GetOptions = {}): Promise<StoredObject> {
      throwIfAborted(get.signal);
      const object = held(key);
      if (get.ifNoneMatch === object.etag) return undefined as unknown as StoredObject;
      const body = cut(key, object.body, get.range);
      return { ...describe(key, object), body: Uint8Array.from(body) };
    },
    async getStream(key, get = {}) {
      const object = held(key);
      assertVersion(key, object, get.ifMatch);
      const body = cut(key, object.body, get.range);
      return { ...describe(key, object), body: pieces(body) };
    },
    put: async (key, body, put) => write(key, body, put),
    async putStream(key, body, put) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of body) chunks.push(Uint8Array.from(chunk));
      return write(key, Buffer.concat(chunks), put);
    },
    async createUpload() {
      const id = randomUUID();
      uploads.set(id, new Map());
      return id;
    },
    async putPart(_key, id, partNumber, body) {
      const etag = sha256Of(body).slice(0, 32) as unknown as Etag;
      const part = { partNumber, etag, sizeBytes: body.length };
      uploadOf(id).set(partNumber, { part, body: Uint8Array.from(body) });
      return part;
    },
    async listParts(_key, id) {
      const parts = [...uploadOf(id).values()].map(({ part }) => part);
      return parts.toSorted((a, b) => a.partNumber - b.partNumber);
    },
    async completeUpload(key, id, parts, options) {
      const upload = uploadOf(id);
      const bodies = parts.map((part, at) => {
        const stored = upload.get(part.partNumber);
        const inOrder = at === 0 || part.partNumber > (parts[at - 1]?.partNumber ?? 0);
        if (stored?.part.etag === part.etag && inOrder) return stored.body;
        throw new ClipscribeError("contract", "the parts are not those that were sent");
      });
      if (bodies.length === 0) throw new ClipscribeError("contract", "an upload needs parts");
      const etag = write(key, Buffer.concat(bodies), options);
      uploads.delete(id);
      return etag;
    },
    async abortUpload(_key, id) {
      uploads.delete(id);
    },
    async head(key, head = {}) {
      throwIfAborted(head.signal);
      const object = objects.get(key);
      return object && describe(key, object);
    },
    async *list(prefix, list = {}) {
      let after = list.startAfter === undefined ? undefined : Buffer.from(list.startAfter);
      for (;;) {
        const page = pageOf([...objects.keys()], prefix, after);
        for (const key of page) {
          throwIfAborted(list.signal);
          const object = objects.get(key);
          if (object !== undefined) yield describe(key as ObjectKey, object);
        }
        const last = page.at(-1);
        if (last === undefined || page.length < MAX_PAGE_KEYS) return;
        after = Buffer.from(last);
      }
    },
    async copy(from, to, put) {
      write(to, held(from).body, put);
    },
    async delete(key, remove = {}) {
      throwIfAborted(remove.signal);
      const current = objects.get(key)?.etag;
      if (remove.ifMatch !== undefined && current !== undefined && remove.ifMatch !== current) {
        throw new ClipscribeError("conflict", "the object was changed by another writer");
      }
      objects.delete(key);
    },
    presign: async (key, method) => new URL(`memory:///${encodeURI(key)}?method=${method}`),
  };
}

/** `null`: there may be none. */
function assertVersion(
  key: ObjectKey,
  object: Held | undefined,
  wanted: Etag | null | undefined,
): void {
  if (wanted === undefined || wanted === (object?.etag ?? null)) return;
  throw new ClipscribeError("conflict", "the object was changed by another writer", {
    details: { key },
  });
}

function pageOf(keys: string[], prefix: string, after: Buffer | undefined): string[] {
  const found = keys
    .filter((key) => key.startsWith(prefix))
    .map((key) => ({ key, bytes: Buffer.from(key) }))
    .filter(({ bytes }) => after === undefined || Buffer.compare(bytes, after) > 0)
    .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes));
  return found.slice(0, MAX_PAGE_KEYS).map(({ key }) => key);
}

function cut(
  key: ObjectKey,
  body: Uint8Array,
  range: { start: number; end?: number } | undefined,
): Uint8Array {
  if (range === undefined) return body;
  if (range.start >= body.length) {
    throw new ClipscribeError("contract", "the range starts past the object's end", {
      details: { key },
    });
  }
  return body.subarray(range.start, (range.end ?? body.length - 1) + 1);
}

/** A megabyte at a time, so that readers meet chunks here as they do elsewhere. */
async function* pieces(body: Uint8Array): AsyncGenerator<Uint8Array> {
  const step = 1024 * 1024;
  for (let at = 0; at < body.length; at += step) yield body.subarray(at, at + step);
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new ClipscribeError("cancelled", "the work was interrupted", { cause: signal.reason });
}
