/**
 * Where an item's original medium can be read. On one machine that is the person's own file,
 * never copied and never touched; with a bucket it is a download of `sources/…`, or of a bare drop
 * where it lies.
 */
import type { BareDrop } from "../core/bare-drop.ts";
import type { Sha256 } from "../core/ids.ts";
import type { Source } from "../core/records.ts";

export interface LocatedSource {
  path: string;
  /**
   * Throws `contract` if the file is no longer the one that was hashed (size, mtime, inode and
   * change time). Called before and after each stage that reads it.
   */
  verify(): Promise<void>;
}

export interface Sources {
  /** @throws `missing` where no file of that hash can be read now. */
  locate(source: Source, signal: AbortSignal): Promise<LocatedSource>;
  /** The same where it takes no more than a look; undefined where `locate` has to be asked. */
  glance?(source: Source): LocatedSource | undefined;
}

export interface DropReader {
  /**
   * Reads one version of a bare drop from its first byte to its last, and says what it is; `locate`
   * then finds the bytes here. @throws `conflict` once it is another, `missing` once it is gone.
   */
  read(drop: BareDrop, signal: AbortSignal): Promise<Sha256>;
}
