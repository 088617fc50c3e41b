/**
 * Tells which names in a folder may have changed. A hint is never more than that: it may come twice,
 * late, or for nothing, and whoever gets it looks for himself. What is promised is the other way
 * round: every name that comes into being or goes is hinted sooner or later, by events or by a
 * rescan, whatever was lost in between.
 */
export interface FolderWatch extends AsyncDisposable {
  /** Resolves once everything that was there at the start has been hinted. */
  readonly ready: Promise<void>;
  readonly mode: WatchMode;
  /** Looks at everything again now: after a sleep, or when many came at once. */
  rescan(): Promise<void>;
}

/** `scanning` says why, for people: events are faster, scanning works everywhere. */
export type WatchMode = { by: "events" } | { by: "scanning"; why: string };

export interface WatchListener {
  /** A path relative to the folder; its first part may be all that the receiver needs. */
  onHint(path: string): void;
  /** The way of watching changed: limits of the system were hit. Once a change. */
  onMode(mode: WatchMode): void;
  /** The folder can't be read now (null: it can again). It is tried again by itself. */
  onTrouble(error: Error | null): void;
}

export type OpenFolderWatch = (folder: string, listener: WatchListener) => FolderWatch;
