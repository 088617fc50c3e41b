/**
 * What the agent knows of the inbox, in memory: names that wait, and names that belong to others.
 * `observe` only records; nothing is read here but the kind of a name.
 */
import type { DropItem } from "../core/drop-records.ts";
import { isKind } from "../core/errors.ts";
import { extensionOf } from "../core/media-types.ts";
import type { AgentWorld } from "./agent-world.ts";
import { classifyName, ownerOf } from "./drop-names.ts";
import { seeDrop, wakeDrop } from "./drop-state.ts";
import type { WaitingDrop } from "./drop-state.ts";
import { createDueQueue } from "./due-queue.ts";
import { fileFingerprint } from "./fingerprint.ts";
import { CAPTION_EXTENSIONS, sidecarsOf } from "./list-files.ts";

/** Captions may be copied before their medium; after this a person is told that they are alone. */
const ORPHAN_MS = 60_000;
/** Drops that are through with looking are planned so many at a time. */
const READY_WINDOW = 64;
/** What is held back is asked for again so soon. */
const SKIPPED_MS = 1_000;

export interface Inbox {
  /** Something of that path (relative to the inbox) came, went or changed. */
  observe(path: string): void;
  get(name: string): WaitingDrop | undefined;
  set(drop: WaitingDrop): void;
  delete(name: string): void;
  /** Forgets what was found out, and begins again. */
  lookAnew(name: string): void;
  /** Those whose look is due, and those that wait for a place to be probed and read. */
  due(nowMs: number, limit: number, isSkipped: (name: string) => boolean): WaitingDrop[];
  readonly nextMs: number;
  readonly size: number;
  /** Without files of 0 bytes: nothing is on its way there. */
  readonly pending: number;
  /** Names of caption files beside a medium. */
  captionsOf(name: string): string[];
  /** Whether a file is what was hashed: under its name, size, time and inode. */
  isAs(item: DropItem): boolean;
  /** Whether a name of no use belongs to a folder after all. */
  isOfFolder(name: string): boolean;
  /** Says once that nothing will be done about a name. */
  leaveAlone(name: string, why: string): void;
}

export function createInbox(world: AgentWorld, isTaken: (name: string) => boolean): Inbox {
  const { files, folders, clock, listener } = world;
  const waiting = new Map<string, WaitingDrop>();
  const looks = createDueQueue();
  const ready = new Set<string>();
  const companions = new Map<string, number>();
  const captions = new Set<string>();
  const empty = new Set<string>();
  const told = new Set<string>();
  let nextOrphansMs = Infinity;

  function set(drop: WaitingDrop): void {
    waiting.set(drop.name, drop);
    if (drop.fingerprint?.startsWith("0:") === true) empty.add(drop.name);
    else empty.delete(drop.name);
    const isReady = drop.phase === "probing" || drop.phase === "hashing";
    if (isReady) ready.add(drop.name);
    else ready.delete(drop.name);
    if (!isReady) looks.add(drop.name, drop.dueAtMs);
  }

  function remove(name: string): void {
    waiting.delete(name);
    empty.delete(name);
    ready.delete(name);
  }

  function leaveAlone(name: string, why: string): void {
    if (told.has(name)) return;
    told.add(name);
    listener({ type: "left-alone", name, why });
  }

  function noteCompanion(name: string, isThere: boolean): void {
    if (!isThere) {
      companions.delete(name);
      captions.delete(name);
      told.delete(name);
      return;
    }
    const nowMs = clock.monotonicMs();
    if (!companions.has(name)) companions.set(name, nowMs);
    if (CAPTION_EXTENSIONS.includes(extensionOf(name))) captions.add(name);
    nextOrphansMs = Math.min(nextOrphansMs, nowMs + ORPHAN_MS);
  }

  function tellOrphans(nowMs: number): void {
    if (nowMs < nextOrphansMs) return;
    nextOrphansMs = Infinity;
    for (const [name, seenAtMs] of companions) {
      if (told.has(name)) continue;
      if (nowMs - seenAtMs < ORPHAN_MS) {
        nextOrphansMs = Math.min(nextOrphansMs, seenAtMs + ORPHAN_MS);
      } else if (!hasOwner(name)) {
        leaveAlone(name, "what it belongs to is not here (any more)");
      }
    }
  }

  function hasOwner(companion: string): boolean {
    const owner = ownerOf(companion);
    if (owner !== undefined) return waiting.has(owner) || isTaken(owner) || isOfFolder(companion);
    for (const name of waiting.keys()) if (sidecarsOf(name, [companion]).length > 0) return true;
    return false;
  }

  /** `Council.yaml` beside the folder `Council`. */
  function isOfFolder(name: string): boolean {
    const owner = ownerOf(name);
    return owner !== undefined && files.look(`${folders.inbox}/${owner}`)?.kind === "folder";
  }

  function observe(path: string): void {
    const [name = ""] = path.split("/");
    const kind = classifyName(name, world.pipeline().accept);
    if (kind === "ignored") return;
    const look = files.look(`${folders.inbox}/${name}`);
    const isCompanion = kind === "companion" || (kind === "other" && isOfFolder(name));
    if (isCompanion && look?.kind !== "folder") {
      noteCompanion(name, look !== undefined);
      return;
    }
    if (look === undefined) {
      remove(name);
      told.delete(name);
      if (name.includes("\ufffd")) leaveAlone(name, "its name is no valid text: rename it");
      return;
    }
    if (look.kind === "link") return leaveAlone(name, "it is a link: drop the file itself");
    if (look.kind === "other") return leaveAlone(name, "it is no file");
    if (isTaken(name)) return;
    const nowMs = clock.monotonicMs();
    const before = waiting.get(name);
    if (before?.kind === look.kind) set(wakeDrop(before, nowMs));
    else set(seeDrop(name, look.kind, nowMs));
  }

  return {
    observe(path) {
      try {
        observe(path);
      } catch (error) {
        // Its folder can't be read now; the watch says so, and hints it again.
        if (!isKind(error, "denied", "transient", "missing")) throw error;
      }
    },
    get: (name) => waiting.get(name),
    set,
    delete: remove,
    lookAnew(name) {
      remove(name);
      observe(name);
    },
    due(nowMs, limit, isSkipped) {
      tellOrphans(nowMs);
      const found: WaitingDrop[] = [];
      for (const name of ready) {
        if (found.length >= READY_WINDOW) break;
        const drop = waiting.get(name);
        if (drop !== undefined && !isSkipped(name)) found.push(drop);
      }
      for (const { name, dueAtMs } of looks.takeDue(nowMs, limit)) {
        const drop = waiting.get(name);
        // An entry from before its last look says nothing.
        if (drop === undefined || ready.has(name) || drop.dueAtMs !== dueAtMs) continue;
        if (isSkipped(name)) set({ ...drop, dueAtMs: nowMs + SKIPPED_MS });
        else found.push(drop);
      }
      return found;
    },
    get nextMs() {
      return Math.min(looks.nextMs, nextOrphansMs);
    },
    get size() {
      return waiting.size;
    },
    get pending() {
      return waiting.size - empty.size;
    },
    captionsOf: (name) => sidecarsOf(name, captions),
    isAs({ path, fingerprint }) {
      const look = path === null ? undefined : files.look(path);
      return look?.kind === "file" && fileFingerprint(look) === fingerprint;
    },
    isOfFolder,
    leaveAlone,
  };
}
