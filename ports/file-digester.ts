/**
 * Digests of a file that is read part by part: of each part alone, and of the whole. Parts are
 * added in their order; their bytes must stay as they are until the answer is there.
 */
import type { Sha256 } from "../core/ids.ts";

export interface FileDigester {
  /** Returns the part's own digest, hex. */
  add(part: Uint8Array): Promise<string>;
  /** The SHA-256 of all parts. Nothing may be added afterwards. */
  finish(): Promise<Sha256>;
  /** Gives up what `finish` would have ended. */
  drop(): void;
}

/** What parts are known by. */
export type PartDigest = "md5" | "sha256";

export type OpenDigester = (alone: PartDigest) => FileDigester;
