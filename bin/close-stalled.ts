/** Ends a runner that gets nothing done. */
import { EXIT } from "../core/exit-codes.ts";

/** So long it may take to close what it has open. */
export const CLOSE_MS = 10_000;

/**
 * What does not move may not end either: it is waited for a little, then the process ends, and
 * its supervisor starts it anew. Whatever it held, a lease gives back.
 */
export async function closeStalled(
  close: () => Promise<void>,
  exit: (code: number) => void,
  withinMs = CLOSE_MS,
): Promise<void> {
  const late = setTimeout(() => exit(EXIT.bug), withinMs);
  try {
    await close();
  } finally {
    clearTimeout(late);
  }
}
