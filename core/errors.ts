/**
 * The one error class. Its `kind` decides what happens next (retry, hold for a person, fail); the
 * message and the hint are for the person. Kinds are API, messages are not: docs/errors.md.
 */

export const ERROR_KINDS = [
  "transient",
  "denied",
  "config",
  "budget",
  "missing",
  "contract",
  "conflict",
  "cancelled",
  "bug",
] as const;

export type ErrorKind = (typeof ERROR_KINDS)[number];

export type ErrorDetails = Record<string, string | number | boolean | undefined>;

export interface ErrorOptions {
  details?: ErrorDetails;
  /** One imperative sentence: what the person does next. */
  hint?: string;
  cause?: unknown;
}

/** What is kept of an error in records and sent between threads: docs/formats.md, "error". */
export interface ErrorRecord {
  kind: ErrorKind;
  message: string;
  hint: string | null;
  /** Messages of the causes, nearest first. */
  cause: string[];
}

/** A detail longer than this hides the message it explains. */
const MAX_DETAIL_CHARS = 300;
/** A chain longer than this is a loop or noise. */
const MAX_CAUSES = 8;

export class ClipscribeError extends Error {
  override readonly name = "ClipscribeError";
  readonly kind: ErrorKind;
  readonly hint: string | undefined;

  constructor(kind: ErrorKind, message: string, options: ErrorOptions = {}) {
    super(message + formatDetails(options.details), { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint;
  }
}

/**
 * What the message of every `transient` error for want of space begins with: it is nobody's fault, so
 * no try is counted, and a person who watches is told at once.
 */
export const DISK_FULL = "the disk is full";

export function isDiskFull({ kind, message }: Pick<ErrorRecord, "kind" | "message">): boolean {
  return kind === "transient" && message.startsWith(DISK_FULL);
}

export function isKind(error: unknown, ...kinds: ErrorKind[]): error is ClipscribeError {
  return error instanceof ClipscribeError && kinds.includes(error.kind);
}

/** True for what waits for a person: DESIGN, guarantee 7. */
export function isHeld(error: unknown): boolean {
  return isKind(error, "denied", "config", "budget", "missing");
}

/** Returns a predicate for `assert.rejects` and for catch clauses that act on one kind. */
export function hasKind(...kinds: ErrorKind[]): (error: unknown) => error is ClipscribeError {
  return (error): error is ClipscribeError => isKind(error, ...kinds);
}

/** Turns anything thrown into a ClipscribeError; what nobody classified is a `bug`. */
export function asClipscribeError(thrown: unknown): ClipscribeError {
  if (thrown instanceof ClipscribeError) return thrown;
  if (thrown instanceof Error && thrown.name === "AbortError") {
    const { reason } = thrown as { reason?: unknown };
    if (reason instanceof ClipscribeError) return reason;
    return new ClipscribeError("cancelled", "the work was interrupted", { cause: thrown });
  }
  const { code } = (thrown ?? {}) as { code?: unknown };
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new ClipscribeError("transient", DISK_FULL, {
      hint: "free some space, then run again: nothing is lost",
      cause: thrown,
    });
  }
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return new ClipscribeError("bug", message, {
    cause: thrown,
    hint: "report this with the log; it is a fault in the program, not in your file",
  });
}

export function toErrorRecord(thrown: unknown): ErrorRecord {
  const error = asClipscribeError(thrown);
  const cause: string[] = [];
  let next: unknown = error.cause;
  while (next !== undefined && next !== null && cause.length < MAX_CAUSES) {
    const message = next instanceof Error ? next.message : String(next);
    if (!error.message.includes(message)) cause.push(message);
    next = next instanceof Error ? next.cause : undefined;
  }
  return { kind: error.kind, message: error.message, hint: error.hint ?? null, cause };
}

export function fromErrorRecord(record: ErrorRecord): ClipscribeError {
  let cause: Error | undefined;
  for (const message of record.cause.toReversed()) cause = new Error(message, { cause });
  const options: ErrorOptions = { cause };
  if (record.hint !== null) options.hint = record.hint;
  return new ClipscribeError(record.kind, record.message, options);
}

function formatDetails(details: ErrorDetails | undefined): string {
  if (details === undefined) return "";
  let text = "";
  for (const [key, value] of Object.entries(details)) {
    if (value === undefined) continue;
    const shown = String(value).slice(0, MAX_DETAIL_CHARS);
    text += ` ${key}=${typeof value === "string" ? JSON.stringify(shown) : shown}`;
  }
  return text;
}
