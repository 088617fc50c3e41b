/**
 * The objects of one bucket over a store of files. A file is the object's bytes and, behind them,
 * what S3 says of it; so one rename makes both visible. All descriptions are in memory, in the order
 * of S3's listings.
 */
import { createHash, randomUUID } from "node:crypto";

import { parseObjectKey } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { BodyDigests, ReadBody } from "./body.ts";
import { footerOf, readFooter } from "./footer.ts";
import { S3Error } from "./s3-error.ts";

export interface StoredMeta {
  key: string;
  etag: string;
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
  contentType: string;
  /** `x-amz-meta-…`, cache-control and the like, to be said again. */
  headers: Record<string, string>;
  checksums: Record<string, string>;
}

export interface Conditions {
  /** ETags without quotes; `*` is any object. */
  ifMatch?: string | undefined;
  ifNoneMatch?: string | undefined;
}

export interface PartMeta {
  number: number;
  etag: string;
  size: number;
  modified: number;
}

interface Upload {
  key: string;
  contentType: string;
  headers: Record<string, string>;
  parts: Map<number, PartMeta>;
  started: number;
}

export interface Description {
  contentType: string;
  headers: Record<string, string>;
}

export interface Bucket {
  get(key: string): StoredMeta;
  find(key: string): StoredMeta | undefined;
  /** The bytes of this version; undefined where the object is another by now, or gone. */
  read(
    meta: StoredMeta,
    range?: { start: number; end: number },
  ): Promise<AsyncIterable<Uint8Array> | undefined>;
  put(key: string, body: ReadBody, about: Description, when: Conditions): Promise<StoredMeta>;
  copy(
    from: StoredMeta,
    to: string,
    about: Description | null,
    when: Conditions,
  ): Promise<StoredMeta>;
  delete(key: string, when: Conditions): Promise<boolean>;
  /** Metas after `after`, in UTF-8 order, whose keys begin with `prefix`. */
  list(prefix: string, after: string): Iterable<StoredMeta>;
  createUpload(key: string, about: Description): Promise<string>;
  putPart(key: string, upload: string, number: number, body: ReadBody): Promise<PartMeta>;
  listParts(key: string, upload: string): PartMeta[];
  uploads(): { id: string; key: string; started: number }[];
  completeUpload(
    key: string,
    upload: string,
    wanted: readonly { number: number; etag: string }[],
    when: Conditions,
  ): Promise<StoredMeta>;
  abortUpload(key: string, upload: string): Promise<void>;
}

/** R2: parts but the last are at least 5 MiB and of one size. */
const MIN_PART_BYTES = 5 * 1024 * 1024;

export async function openBucket(store: ObjectStore, now: () => number): Promise<Bucket> {
  const metas = new Map<string, StoredMeta>();
  const sorted: { bytes: Buffer; key: string }[] = [];
  const uploads = new Map<string, Upload>();
  const locks = new Map<string, Promise<unknown>>();

  for await (const { key, sizeBytes } of store.list("objects/")) {
    remember(await readFooter(store, key, sizeBytes));
  }

  await readUploads(store, uploads);

  function remember(meta: StoredMeta): void {
    if (!metas.has(meta.key)) {
      const bytes = Buffer.from(meta.key);
      sorted.splice(position(bytes), 0, { bytes, key: meta.key });
    }
    metas.set(meta.key, meta);
  }

  function forget(key: string): void {
    if (!metas.delete(key)) return;
    sorted.splice(position(Buffer.from(key)), 1);
  }

  /** The first place whose key is not before `bytes`. */
  function position(bytes: Buffer): number {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (Buffer.compare(sorted[middle]?.bytes ?? bytes, bytes) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async function locked<Value>(key: string, work: () => Promise<Value>): Promise<Value> {
    const before = locks.get(key) ?? Promise.resolve();
    const turn = before.then(work, work);
    locks.set(key, turn);
    const leave = (): void => {
      if (locks.get(key) === turn) locks.delete(key);
    };
    turn.then(leave, leave);
    return turn;
  }

  function check(key: string, { ifMatch, ifNoneMatch }: Conditions): void {
    const etag = metas.get(key)?.etag;
    const fits = (wanted: string): boolean =>
      etag !== undefined && (wanted === "*" || wanted.split(/,\s*/).includes(etag));
    if (ifMatch !== undefined && !fits(ifMatch)) {
      throw new S3Error("PreconditionFailed", "the object is another by now");
    }
    if (ifNoneMatch !== undefined && fits(ifNoneMatch)) {
      throw new S3Error("PreconditionFailed", "there is such an object");
    }
  }

  /** Writes bytes, then under the key's lock what is said of them, if the condition holds still. */
  async function write(
    key: string,
    chunks: AsyncIterable<Uint8Array>,
    describe: () => StoredMeta,
    when: Conditions,
  ): Promise<StoredMeta> {
    check(key, when);
    let meta: StoredMeta | undefined;
    let failure: unknown;
    let release: (() => void) | undefined;
    const body = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for await (const chunk of chunks) yield chunk;
        meta = describe();
        await new Promise<void>((entered) => {
          void locked(key, async () => {
            const left = Promise.withResolvers<void>();
            release = left.resolve;
            entered();
            await left.promise;
          });
        });
        check(key, when);
        yield footerOf(meta);
      } catch (error) {
        failure = error;
        throw error;
      }
    };
    try {
      await store.putStream(fileOf(key), body(), { durability: "recomputable" });
      if (meta === undefined) throw new S3Error("InternalError", "nothing was written");
      remember(meta);
      return meta;
    } catch (error) {
      throw failure ?? error;
    } finally {
      release?.();
    }
  }

  /** Opened under the key's lock: a file that is replaced meanwhile is not what its meta says. */
  async function slice(
    meta: StoredMeta,
    range?: { start: number; end: number },
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    return locked(meta.key, async () => {
      if (metas.get(meta.key) !== meta) return undefined;
      if (meta.size === 0) return nothing();
      const { start, end } = range ?? { start: 0, end: meta.size - 1 };
      return (await store.getStream(fileOf(meta.key), { range: { start, end } })).body;
    });
  }

  function uploadOf(key: string, id: string): Upload {
    const upload = uploads.get(id);
    if (upload?.key === key) return upload;
    throw new S3Error("NoSuchUpload", "there is no such upload");
  }

  async function dropParts(id: string, upload: Upload): Promise<void> {
    uploads.delete(id);
    for (const number of upload.parts.keys()) await store.delete(partFile(id, number));
    await store.delete(uploadFile(id));
  }

  return {
    find: (key) => metas.get(key),
    get(key) {
      const meta = metas.get(key);
      if (meta === undefined) throw new S3Error("NoSuchKey", "there is no such object");
      return meta;
    },
    read: slice,
    async put(key, body, about, when) {
      const describe = (): StoredMeta => describeBody(key, body.digests(), about, now());
      return write(key, body.chunks, describe, when);
    },
    async copy(from, to, about, when) {
      const { contentType, headers } = about ?? from;
      const describe = (): StoredMeta => ({
        ...from,
        key: to,
        contentType,
        headers,
        modified: now(),
      });
      const chunks = await slice(from);
      if (chunks === undefined) throw new S3Error("InternalError", "the source is another by now");
      return write(to, chunks, describe, when);
    },
    async delete(key, when) {
      return locked(key, async () => {
        if (!metas.has(key)) return false;
        check(key, when);
        await store.delete(fileOf(key));
        forget(key);
        return true;
      });
    },
    *list(prefix, after) {
      const from = Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0 ? after : prefix;
      let last: Buffer<ArrayBufferLike> = Buffer.from(from);
      let at = position(last);
      if (after !== "" && sorted[at]?.key === after) at++;
      for (;;) {
        const entry = sorted[at];
        if (entry === undefined || !entry.key.startsWith(prefix)) return;
        const meta = metas.get(entry.key);
        last = entry.bytes;
        if (meta !== undefined) yield meta;
        // The list may have changed meanwhile: go on from the key, not from the place.
        at = sorted[at]?.key === entry.key ? at + 1 : position(last);
      }
    },
    async createUpload(key, about) {
      const id = randomUUID().replaceAll("-", "");
      const upload = { key, ...about, started: now() };
      await store.put(uploadFile(id), Buffer.from(JSON.stringify(upload)));
      uploads.set(id, { ...upload, parts: new Map() });
      return id;
    },
    async putPart(key, id, number, body) {
      const upload = uploadOf(key, id);
      let failure: unknown;
      let digests: BodyDigests | undefined;
      const verified = async function* (): AsyncGenerator<Uint8Array> {
        try {
          yield* body.chunks;
          digests = body.digests();
          yield footerOf(describeBody(`${number}`, digests, upload, now()));
        } catch (error) {
          failure = error;
          throw error;
        }
      };
      try {
        await store.putStream(partFile(id, number), verified(), { durability: "recomputable" });
      } catch (error) {
        throw failure ?? error;
      }
      const { md5 = "", sizeBytes = 0 } = digests ?? {};
      const part = { number, etag: md5, size: sizeBytes, modified: now() };
      uploadOf(key, id);
      upload.parts.set(number, part);
      return part;
    },
    listParts: (key, id) =>
      [...uploadOf(key, id).parts.values()].toSorted((a, b) => a.number - b.number),
    uploads: () => [...uploads].map(([id, { key, started }]) => ({ id, key, started })),
    async completeUpload(key, id, wanted, when) {
      const upload = uploadOf(key, id);
      const parts = chooseParts(upload, wanted);
      const md5s = Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, "hex")));
      const etag = `${createHash("md5").update(md5s).digest("hex")}-${parts.length}`;
      const size = parts.reduce((sum, part) => sum + part.size, 0);
      const { contentType, headers } = upload;
      const describe = (): StoredMeta => ({
        key,
        etag,
        size,
        modified: now(),
        contentType,
        headers,
        checksums: {},
      });
      const chunks = async function* (): AsyncGenerator<Uint8Array> {
        for (const { number } of parts) {
          const size = upload.parts.get(number)?.size ?? 0;
          if (size === 0) continue;
          const range = { start: 0, end: size - 1 };
          yield* (await store.getStream(partFile(id, number), { range })).body;
        }
      };
      const meta = await write(key, chunks(), describe, when);
      await dropParts(id, upload);
      return meta;
    },
    async abortUpload(key, id) {
      await dropParts(id, uploadOf(key, id));
    },
  };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

const partFile = (id: string, number: number): ObjectKey => parseObjectKey(`parts/${id}/${number}`);
const uploadFile = (id: string): ObjectKey => parseObjectKey(`uploads/${id}.json`);

/** Uploads outlive the process: who resumes one may come after a restart. */
async function readUploads(store: ObjectStore, uploads: Map<string, Upload>): Promise<void> {
  for await (const { key } of store.list("uploads/")) {
    const { body } = await store.get(key);
    const about = JSON.parse(Buffer.from(body).toString("utf8")) as Omit<Upload, "parts">;
    uploads.set(key.slice("uploads/".length, -".json".length), { ...about, parts: new Map() });
  }
  for await (const { key, sizeBytes } of store.list("parts/")) {
    const [, id = "", number = ""] = key.split("/");
    const { etag, size, modified } = await readFooter(store, key, sizeBytes);
    const part = { number: Number(number), etag, size, modified };
    uploads.get(id)?.parts.set(part.number, part);
  }
}

function chooseParts(
  { parts }: Upload,
  wanted: readonly { number: number; etag: string }[],
): PartMeta[] {
  if (wanted.length === 0) throw new S3Error("MalformedXML", "an upload has at least one part");
  const chosen = wanted.map(({ number, etag }, index) => {
    if (index > 0 && number <= (wanted[index - 1]?.number ?? 0)) {
      throw new S3Error("InvalidPartOrder", "the parts are not in their order");
    }
    const part = parts.get(number);
    if (part?.etag !== etag) throw new S3Error("InvalidPart", `part ${number} was not sent so`);
    return part;
  });
  const [first] = chosen;
  for (const [index, { size }] of chosen.entries()) {
    if (index === chosen.length - 1) {
      if (size > (first?.size ?? 0)) {
        throw new S3Error("InvalidPart", "the last part is larger than the others");
      }
    } else if (size !== first?.size) {
      throw new S3Error("InvalidPart", "All non-trailing parts must have the same size");
    } else if (size < MIN_PART_BYTES) {
      throw new S3Error("EntityTooSmall", "a part but the last is below 5 MiB");
    }
  }
  return chosen;
}

/** A name of its own for each key: S3 knows more of them than any file system. */
function fileOf(key: string): ObjectKey {
  const name = createHash("sha256").update(key).digest("hex");
  return parseObjectKey(`objects/${name.slice(0, 2)}/${name}`);
}

function describeBody(
  key: string,
  { md5, sizeBytes, checksums }: BodyDigests,
  { contentType, headers }: Description,
  modified: number,
): StoredMeta {
  return { key, etag: md5, size: sizeBytes, modified, contentType, headers, checksums };
}
