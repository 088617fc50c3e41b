/**
 * The folders that a person and the agent share: inbox, done, rejected. Nothing here follows a
 * link, writes over a name that is taken, or deletes what a person made: `rename` goes to names that
 * are the agent's own (`isOwnName`), `linkNew` refuses a name that is taken, `removeName` takes
 * names that have another.
 *
 * Errors: `denied` where it may not be read or written, `transient` for a full disk or trouble of the
 * disk, `missing` where it is gone; each method lists what it adds.
 */
export type EntryKind = "file" | "folder" | "link" | "other";

export interface Entry {
  name: string;
  kind: EntryKind;
}

export interface FileLook {
  kind: EntryKind;
  sizeBytes: number;
  /** What the disk really holds; less than the size for a sparse file and a cloud placeholder. */
  allocatedBytes: number;
  mtimeNs: bigint;
  ino: bigint;
  /** Its bytes are in a cloud: reading it would bring them here, and may take hours. */
  isPlaceholder: boolean;
}

export interface OpenFile extends AsyncDisposable {
  /** Of the open file itself, whatever its name points to by now. */
  look(): Promise<FileLook>;
  /** Fewer bytes than asked for at the end of the file only. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface DropFiles {
  /** Names in a folder, in no order. A name that is no text has a U+FFFD in it, and no look. */
  list(folder: string): Promise<Entry[]>;
  /** Undefined where there is nothing of that name. Of a link: the link itself. */
  look(path: string): FileLook | undefined;
  /** Opens a regular file, and no link. @throws `contract` for anything else. */
  open(path: string): Promise<OpenFile>;
  makeFolder(path: string): void;
  /** Within one file system or across two; `to` must be a name of the agent's own. */
  rename(from: string, to: string): Promise<void>;
  /**
   * Gives the file or folder `from`, a name of the agent's own, its last name, if that is free or is
   * the same file's: two steps, and done again after a crash between them.
   * @throws `conflict` where it is taken.
   */
  nameNew(from: string, to: string): Promise<void>;
  /** Writes a small text file whole, if the name is free. @throws `conflict` where it is taken. */
  writeNew(path: string, text: string): Promise<void>;
  /** Makes names of a folder survive a power cut. */
  sync(folder: string): Promise<void>;
}

/** What `rename` may go to: nobody else makes such names. */
export const OWN_PREFIX = ".clipscribe-";
