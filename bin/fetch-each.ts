/**
 * Fetches the addresses of a list, some at once, and gives up on the rest where it is plain that they
 * would fail too: ten thousand lines without a connection are one sentence, not a night of waiting.
 */
import { ClipscribeError, asClipscribeError, isDiskFull, isKind } from "../core/errors.ts";

/** Downloads at once: more looks like an attack to the sites. */
const AT_ONCE = 2;
/** One site may be down; this many failures in a row are the connection. */
const MAX_FAILURES_IN_A_ROW = 10;

export interface Fetched<Value> {
  /** By place in the list; absent where it was not tried. */
  found: (Value | ClipscribeError)[];
  /** Why the rest was not tried; undefined where all were. */
  gaveUp: ClipscribeError | undefined;
}

/** @throws the signal's reason. */
export async function fetchEach<Value>(
  urls: readonly string[],
  fetch: (url: string, index: number) => Promise<Value>,
  signal: AbortSignal,
): Promise<Fetched<Value>> {
  const found: (Value | ClipscribeError)[] = [];
  let gaveUp: ClipscribeError | undefined;
  let failures = 0;
  const queue = urls.entries();
  const worker = async (): Promise<void> => {
    for (const [index, url] of queue) {
      try {
        found[index] = await fetch(url, index);
        failures = 0;
      } catch (thrown) {
        if (signal.aborted) throw thrown;
        const error = asClipscribeError(thrown);
        found[index] = error;
        failures = error.kind === "transient" ? failures + 1 : 0;
        if (concernsAll(error) || failures >= MAX_FAILURES_IN_A_ROW) gaveUp ??= error;
      }
      if (gaveUp !== undefined) return;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { found, gaveUp };
}

/** The program is missing or too old, the disk is full: the next address fares no better. */
function concernsAll(error: ClipscribeError): boolean {
  return isKind(error, "config", "bug") || isDiskFull(error);
}

/** One line for all that were not tried. */
export function notTried(count: number, why: ClipscribeError): ClipscribeError {
  const { kind, hint = "run again" } = why;
  const addresses = count === 1 ? "1 address was" : `${count} addresses were`;
  return new ClipscribeError(kind, `${addresses} not tried, after: ${why.message}`, {
    hint: `${hint}; what is there is not fetched again`,
    cause: why,
  });
}
