/** What the process says when it ends: docs/errors.md, "exit codes". */
import type { ErrorKind } from "./errors.ts";
import type { ItemStatus } from "./records.ts";

export const EXIT = {
  complete: 0,
  bug: 1,
  usage: 2,
  refused: 3,
  partial: 4,
  failed: 5,
  held: 6,
  verification: 7,
  unreachable: 8,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_KIND: Record<ErrorKind, ExitCode> = {
  bug: EXIT.bug,
  config: EXIT.usage,
  contract: EXIT.refused,
  missing: EXIT.refused,
  budget: EXIT.held,
  denied: EXIT.unreachable,
  transient: EXIT.unreachable,
  conflict: EXIT.unreachable,
  cancelled: EXIT.interrupted,
};

/** For an error that ended the whole command. */
export function exitCodeOfKind(kind: ErrorKind): ExitCode {
  return BY_KIND[kind];
}

const BY_STATUS: Partial<Record<ItemStatus, ExitCode>> = {
  complete: EXIT.complete,
  partial: EXIT.partial,
  failed: EXIT.failed,
  held: EXIT.held,
  cancelled: EXIT.interrupted,
};

/** Worst first: what a script has to know of several items. */
const ORDER: readonly ExitCode[] = [EXIT.interrupted, EXIT.failed, EXIT.held, EXIT.partial];

export function exitCodeOfStatuses(statuses: readonly ItemStatus[]): ExitCode {
  const codes = statuses.map((status) => BY_STATUS[status] ?? EXIT.failed);
  return ORDER.find((code) => codes.includes(code)) ?? EXIT.complete;
}
