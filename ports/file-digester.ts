/**
 * Digests of a file that is read part by part: of each part alone, and of the whole. Parts are
 * added in their order; their bytes must stay as they are until the answer is there.
 */
import type { Sha256 } from "../core/ids.ts";
import type { BodyDigests } from "./object-store.ts";

export interface PartDigests extends BodyDigests {
  sha256: Sha256;
}

export interface FileDigester {
  /** `md5` is computed only where it was asked for. */
  add(part: Uint8Array): Promise<PartDigests>;
  /** The SHA-256 of all parts. Nothing may be added afterwards. */
  finish(): Promise<Sha256>;
  /** Gives up what `finish` would have ended. */
  drop(): void;
}

export type OpenDigester = (wanted: { md5: boolean }) => FileDigester;
