/**
 * What is done about trouble that passes: tried again with growing waits, said once, and said again
 * when it is over. A network that is gone, a full disk or a bucket that refuses concerns every item,
 * so the first that meets it closes its whole `scope`; one step then tries whether it is over.
 */
import type { ClipscribeError } from "../core/errors.ts";

/** Where a step can meet trouble that is not its own. */
export type Scope = "folder" | "store" | "network";

const FIRST_MS = 1_000;
const MAX_MS = 60_000;
/** A file that may not be read is nobody's outage: it waits by itself. */
const MAX_OWN_MS = 5 * 60_000;

export interface TroubleListener {
  onTrouble(scope: Scope, error: ClipscribeError): void;
  onOver(scope: Scope, lastedMs: number): void;
}

interface ScopeTrouble {
  sinceMs: number;
  waitMs: number;
  retryAtMs: number;
  message: string;
}

interface OwnTrouble {
  tries: number;
  notBeforeMs: number;
  sinceMs: number;
}

export interface Troubles {
  /** Notes that a step failed for now. @returns how often it has in a row. */
  failed(key: string, scope: Scope, error: ClipscribeError, nowMs: number): number;
  /** The same, without a word: it concerns nobody else, and was said before. */
  failedAlone(key: string, nowMs: number): void;
  succeeded(key: string, scope: Scope, nowMs: number): void;
  /** How many steps of a scope may begin: all, one to try, or none yet. */
  room(scope: Scope, full: number, nowMs: number): number;
  notBeforeMs(key: string): number;
  /** True where others of its scope went well since it failed first: it is not the outage. */
  isOwn(key: string, scope: Scope): boolean;
  isOpen(scope: Scope): boolean;
  /** When something closed may be tried again; Infinity: nothing waits. */
  nextMs(nowMs: number): number;
  /** After a sleep: everything may be tried at once. */
  forgive(nowMs: number): void;
}

export function createTroubles(listener: TroubleListener, random: () => number): Troubles {
  const scopes = new Map<Scope, ScopeTrouble>();
  const keys = new Map<string, OwnTrouble>();
  const wentWell = new Map<Scope, number>();
  const jitter = (ms: number): number => ms * (0.75 + random() / 2);

  function closeScope(scope: Scope, error: ClipscribeError, nowMs: number): void {
    const before = scopes.get(scope);
    const waitMs = before === undefined ? FIRST_MS : Math.min(MAX_MS, before.waitMs * 2);
    const { message } = error;
    const sinceMs = before?.sinceMs ?? nowMs;
    scopes.set(scope, { sinceMs, waitMs, retryAtMs: nowMs + jitter(waitMs), message });
    // Said once an outage, and again where its reason is another one.
    if (before?.message !== message) listener.onTrouble(scope, error);
  }

  function holdBack(key: string, longestMs: number, nowMs: number): number {
    const before = keys.get(key);
    const tries = (before?.tries ?? 0) + 1;
    const waitMs = Math.min(longestMs, FIRST_MS * 2 ** (tries - 1));
    const sinceMs = before?.sinceMs ?? nowMs;
    keys.set(key, { tries, sinceMs, notBeforeMs: nowMs + jitter(waitMs) });
    return tries;
  }

  return {
    failedAlone: (key, nowMs) => void holdBack(key, MAX_OWN_MS, nowMs),
    failed(key, scope, error, nowMs) {
      const isEverybodys =
        error.kind === "transient" || (scope === "store" && error.kind !== "conflict");
      const tries = holdBack(key, isEverybodys ? MAX_MS : MAX_OWN_MS, nowMs);
      if (isEverybodys) closeScope(scope, error, nowMs);
      else if (tries === 1) listener.onTrouble(scope, error);
      return tries;
    },
    succeeded(key, scope, nowMs) {
      keys.delete(key);
      wentWell.set(scope, nowMs);
      const before = scopes.get(scope);
      if (before === undefined) return;
      scopes.delete(scope);
      for (const own of keys.values()) own.notBeforeMs = Math.min(own.notBeforeMs, nowMs);
      listener.onOver(scope, nowMs - before.sinceMs);
    },
    room(scope, full, nowMs) {
      const trouble = scopes.get(scope);
      if (trouble === undefined) return full;
      return nowMs >= trouble.retryAtMs ? 1 : 0;
    },
    notBeforeMs: (key) => keys.get(key)?.notBeforeMs ?? 0,
    isOwn(key, scope) {
      const since = keys.get(key)?.sinceMs;
      return since !== undefined && (wentWell.get(scope) ?? -Infinity) > since;
    },
    isOpen: (scope) => !scopes.has(scope),
    nextMs(nowMs) {
      const closed = [...scopes.values()].map(({ retryAtMs }) => retryAtMs);
      const own = [...keys.values()].map(({ notBeforeMs }) => notBeforeMs);
      return Math.min(Infinity, ...[...closed, ...own].filter((ms) => ms > nowMs));
    },
    forgive(nowMs) {
      for (const trouble of scopes.values())
        Object.assign(trouble, { retryAtMs: nowMs, waitMs: FIRST_MS });
      for (const own of keys.values()) own.notBeforeMs = nowMs;
    },
  };
}
