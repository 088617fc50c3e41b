/**
 * The storage the pipeline needs, and nothing R2 happens to offer besides.
 *
 * Every implementation passes `describeObjectStore` (object-store.contract.ts); where that suite
 * and this comment differ, the suite is right. Methods reject with `ClipscribeError` only. Any may
 * reject with `denied`, `transient` or `cancelled`; each lists what it adds. Implementations never
 * retry: wrap them in `retrying()`.
 */
import type { ObjectKey } from "../core/keys.ts";

declare const etag: unique symbol;
/** Opaque; differs whenever the bytes do. Not an MD5 of anything. */
export type Etag = string & { readonly [etag]: true };

export interface ObjectInfo {
  key: ObjectKey;
  etag: Etag;
  sizeBytes: number;
  modifiedAt: Date;
}

export interface StoredObject extends ObjectInfo {
  body: Uint8Array;
}

export interface StoredStream extends ObjectInfo {
  body: AsyncIterable<Uint8Array>;
}

export interface RequestOptions {
  signal?: AbortSignal | undefined;
}

/** Hex digests of a body. */
export interface BodyDigests {
  md5?: string | undefined;
  sha256?: string | undefined;
}

export interface SendOptions extends RequestOptions {
  /** Of the whole body, where they are known: a store that wants one need not compute it again. */
  digests?: BodyDigests | undefined;
  /**
   * Called before each piece of the body leaves, with its size; waits as long as the pace demands.
   * A store that sends nothing anywhere does not call it.
   */
  beforeBytes?: ((bytes: number) => Promise<void> | void) | undefined;
}

export interface GetOptions extends RequestOptions {
  /** Answers `undefined` when the object still has this etag. */
  ifNoneMatch?: Etag | undefined;
  /** Inclusive byte positions, as in HTTP. `end` beyond the object is cut to it. */
  range?: { start: number; end?: number } | undefined;
}

export interface StreamOptions extends Omit<GetOptions, "ifNoneMatch"> {
  /** Only this version of the object. */
  ifMatch?: Etag | undefined;
}

export interface ListOptions extends RequestOptions {
  startAfter?: string;
  /** Hears of keys that no `ObjectKey` can be (another tool wrote them); they are left out. */
  onUnusable?: (key: string) => void;
}

/**
 * `synced` (default): the object and its name survive a power cut once the call returned.
 * `whole`: after a power cut the key has this version or the one before, never a mix of them.
 * `recomputable`: anything may be there; for what is verified on read and can be made again for
 * nothing. A key is either swapped under conditions or written so without any, never both.
 */
export type Durability = "synced" | "whole" | "recomputable";

export interface PutOptions extends SendOptions {
  /** Only if it is still the current etag; with `null`, only if the key does not exist. */
  ifMatch?: Etag | null | undefined;
  contentType?: string | undefined;
  durability?: Durability | undefined;
  /**
   * Called by a store that can tell, and by `put` alone, once others can read the object: it may be
   * durable only a little later, when the call returns, and is not at all where the call then rejects.
   * For hints; must not throw.
   */
  onVisible?: ((etag: Etag) => void) | undefined;
}

export interface DeleteOptions extends RequestOptions {
  ifMatch?: Etag | undefined;
  durability?: Durability | undefined;
}

export interface UploadPart {
  partNumber: number;
  etag: Etag;
  sizeBytes: number;
}

/** R2: all parts but the last are of one size and at least 5 MiB; at most 10,000 parts. */
export const MIN_PART_BYTES = 5 * 1024 * 1024;
export const MAX_PARTS = 10_000;
/** R2: a listing's page holds at most this many keys. */
export const MAX_PAGE_KEYS = 1_000;

export interface ObjectStore {
  /** Smallest time between two writes of one key, in milliseconds; R2: 1,000. 0 is no limit. */
  readonly minWriteIntervalMs: number;
  /**
   * `md5`: the etag of a put is its body's MD5; of an upload, the MD5 of its parts' MD5s, `-`, their
   * number. So who sent them can tell what was stored. `opaque`: it says nothing.
   */
  readonly etags: "md5" | "opaque";
  /** The digest of a part that is of use here: whoever reads it anyway may compute it on the way. */
  readonly partDigest: keyof BodyDigests;

  /**
   * Reads a whole object, or a range of it, into memory. `undefined` only with `ifNoneMatch`.
   *
   * @throws `missing` if there is no such key; `contract` for a range that starts past the end.
   */
  get(key: ObjectKey): Promise<StoredObject>;
  get(key: ObjectKey, options: GetOptions & { ifNoneMatch?: undefined }): Promise<StoredObject>;
  get(key: ObjectKey, options: GetOptions): Promise<StoredObject | undefined>;

  /**
   * Opens an object for reading in bounded memory.
   *
   * @throws `missing`; `conflict` if `ifMatch` was given and the object is another by now.
   */
  getStream(key: ObjectKey, options?: StreamOptions): Promise<StoredStream>;

  /**
   * Writes an object; readers see the old bytes or the new ones, never a mix.
   *
   * @returns the etag of what was written.
   * @throws `conflict` if `ifMatch` was given and did not hold (also for an etag and no object).
   */
  put(key: ObjectKey, body: Uint8Array, options?: PutOptions): Promise<Etag>;

  /** Like `put`, from a stream, in bounded memory. A stream that throws leaves nothing visible. */
  putStream(key: ObjectKey, body: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<Etag>;

  /** Starts an upload that can be resumed from another process by its id. */
  createUpload(key: ObjectKey, options?: Omit<PutOptions, "ifMatch">): Promise<string>;
  /** Sends one part (from 1); sending it again replaces it. @throws `missing` for no such upload. */
  putPart(
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    body: Uint8Array,
    options?: SendOptions,
  ): Promise<UploadPart>;
  /** Lists the parts that arrived, by number. @throws `missing` for no such upload. */
  listParts(key: ObjectKey, uploadId: string, options?: RequestOptions): Promise<UploadPart[]>;
  /** Makes the object of these parts visible at once. @throws `conflict`, `contract`, `missing`. */
  completeUpload(
    key: ObjectKey,
    uploadId: string,
    parts: readonly UploadPart[],
    options?: Pick<PutOptions, "ifMatch" | "signal">,
  ): Promise<Etag>;
  /** Forgets an upload and its parts; nothing happens if it is gone. */
  abortUpload(key: ObjectKey, uploadId: string, options?: RequestOptions): Promise<void>;

  /** @returns `undefined` if there is no such key. */
  head(key: ObjectKey, options?: RequestOptions): Promise<ObjectInfo | undefined>;

  /**
   * Yields every object whose key begins with `prefix` (any string) in ascending UTF-8 byte
   * order, fetching pages as asked. Not a snapshot: what is written meanwhile may or may not appear.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>;

  /** Copies within the store, all or nothing. @throws `missing`; `conflict` as `put`. */
  copy(from: ObjectKey, to: ObjectKey, options?: PutOptions): Promise<void>;

  /**
   * Deletes; a key that isn't there is no error. With `ifMatch`: @throws `conflict`. After a power cut
   * a `recomputable` deletion may not have happened.
   */
  delete(key: ObjectKey, options?: DeleteOptions): Promise<void>;

  /** Returns a URL that reads (`get`) or writes (`put`) the key for that many seconds, ≤ 900. */
  presign(key: ObjectKey, method: "get" | "put", expiresSeconds: number): Promise<URL>;
}
