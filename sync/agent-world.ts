/** All that the agent needs from outside. Only a composition root fills it in; tests use their own. */
import type { ClipscribeError } from "../core/errors.ts";
import type { DropItem, DropRecord } from "../core/drop-records.ts";
import type { JobId, Sha256, UserId } from "../core/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { Downloader } from "../ports/downloader.ts";
import type { DropFiles } from "../ports/drop-files.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { OpenFolderWatch, WatchMode } from "../ports/folder-watch.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { Rhythm } from "./drop-state.ts";
import type { HashLarge } from "./hash-source.ts";
import type { Handoff, JobSubmission } from "./submit-job.ts";
import type { Scope } from "./troubles.ts";

/** What holds for the next drop; those under way keep what they have. */
export interface AgentPipeline {
  name: string;
  digest: Sha256;
  accept: readonly string[];
  /** Of what URLs give: its sound is enough, and the captions that are preferred, best first. */
  download?: { soundOnly: boolean; languages: readonly string[] };
}

export interface HandOffWork {
  submission: JobSubmission;
  /** Its `source`, `path` and `item` are set. */
  item: DropItem;
  drop: DropRecord;
  /** The ledger learns how far it is: `prepared`, `uploaded`, the id of an upload. */
  note(change: Partial<DropItem>): void;
  onProgress(fraction: number, note: string): void;
  signal: AbortSignal;
}

export interface AgentWorld {
  readonly user: UserId;
  readonly device: string;
  /** Absolute, real paths. */
  readonly folders: { inbox: string; done: string; rejected: string; downloads: string };
  readonly files: DropFiles;
  readonly openWatch: OpenFolderWatch;
  readonly ledger: DropLedger;
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly random: () => number;
  readonly downloader: Downloader;
  readonly rhythm: Rhythm;
  /**
   * The store is a disk of this machine and keeps no copy of an original: whoever works on the item
   * reads it where it lies, so it moves to done/ before its ticket.
   */
  readonly sourcesStay: boolean;
  pipeline(): AgentPipeline;
  /** How large originals are hashed; undefined: the plain way. */
  hashLarge?(options: { keepVideo: boolean }): HashLarge | undefined;
  /** Remembers where the bytes of a hash lie now, for `Sources`. */
  remember(path: string, sha256: Sha256, hashedAt: Date): void;
  /** Whether a file that no container format explains holds sound or pictures (ffprobe). */
  isMedium(path: string, signal: AbortSignal): Promise<boolean>;
  /**
   * Whether a program of this machine has the file open for writing, as far as that can be told.
   * `sinceMs`, by `clock`: since when it has been as it is.
   */
  isBeingWritten(path: string, sinceMs: number): Promise<boolean>;
  /**
   * Brings one item to its ticket: what runs here, what goes up, then the ticket; idempotent.
   * @throws `contract` or `missing` where the item itself is at fault; other kinds are tried again.
   */
  handOff(work: HandOffWork): Promise<Handoff>;
  listener(event: AgentEvent): void;
}

export type AgentEvent =
  | { type: "watching"; mode: WatchMode }
  /** Nothing is done about it, and nothing will be; said once a name. */
  | { type: "left-alone"; name: string; why: string }
  /** It stands still but is cut off. */
  | { type: "waiting"; name: string; why: string }
  | { type: "accepted"; id: number; name: string; job: JobId; items: number; again: boolean }
  | { type: "item-progress"; id: number; job: JobId; item: string; doing: string; fraction: number }
  | { type: "item-handed-off"; id: number; job: JobId; item: string; isDone: boolean }
  | { type: "item-failed"; id: number; job: JobId; item: string; error: ClipscribeError }
  | { type: "done"; id: number; name: string; job: JobId; target: string | null; failed: number }
  | {
      type: "rejected";
      id: number;
      name: string;
      target: string | null;
      why: string;
      hint: string | null;
    }
  /** A person took it away, or put another in its place. */
  | { type: "gone"; id: number; name: string; job: JobId | null; why: string }
  | { type: "trouble"; scope: Scope; error: ClipscribeError }
  | { type: "trouble-over"; scope: Scope; lastedMs: number }
  | { type: "woke"; sleptMs: number };
