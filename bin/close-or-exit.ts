/** Ends a runner that may not be able to end. */
import { EXIT } from "../core/exit-codes.ts";

/** So long it may take to close what it has open. */
export const CLOSE_MS = 10_000;

/**
 * What does not move, or waits for a store that does not answer, may not end either: it is waited
 * for a little, then the process ends with `code`. Whatever it held, a lease gives back.
 */
export async function closeOrExit(
  close: () => Promise<void>,
  exit: (code: number) => void,
  { code = EXIT.bug, withinMs = CLOSE_MS }: { code?: number; withinMs?: number } = {},
): Promise<void> {
  const late = setTimeout(() => exit(code), withinMs);
  try {
    await close();
  } finally {
    clearTimeout(late);
  }
}
