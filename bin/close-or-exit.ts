/** Ends a runner that may not be able to end. */
import { EXIT } from "../core/exit-codes.ts";

/** So long it may take to close what it has open. */
export const CLOSE_MS = 10_000;

/**
 * What does not move, or waits for a store that does not answer, may not end either: it is waited
 * for a little, then the process ends as by a bug. Whatever it held, a lease gives back.
 */
export async function closeOrExit(
  close: () => Promise<void>,
  exit: (code: number) => void,
  { withinMs = CLOSE_MS }: { withinMs?: number } = {},
): Promise<void> {
  const late = setTimeout(() => exit(EXIT.bug), withinMs);
  try {
    await close();
  } finally {
    clearTimeout(late);
  }
}

/**
 * Ends the process after so long, whatever it waits for by then: a start, a store, what it has open.
 * A process that is done sooner is not held up.
 */
export function exitWithin(ms: number, exit: (code: number) => void): void {
  setTimeout(() => exit(EXIT.complete), ms).unref();
}
