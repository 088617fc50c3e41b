/** What a command may touch of its process; a test gives its own. */
import type { ReadStream } from "node:tty";

export interface Io {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  platform: NodeJS.Platform;
  stdout: (text: string) => void;
  stderr: (text: string) => void;
  /** Width of the terminal; null where stdout is none. */
  columns: number | null;
  /** For questions; absent where nobody could answer. */
  stdin?: () => ReadStream;
  /** Calls back at Ctrl-C or SIGTERM; returns how to stop listening. */
  onInterrupt(listener: () => void): () => void;
  /** Ends the process at once: for what can't be waited for. */
  exit?: (code: number) => void;
}

export function systemIo(): Io {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignoreGoneReader);
  return {
    env: process.env,
    cwd: process.cwd(),
    platform: process.platform,
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    stdin: () => process.stdin,
    exit: (code) => process.exit(code),
    columns: process.stdout.isTTY ? process.stdout.columns : null,
    onInterrupt(listener) {
      process.on("SIGINT", listener).on("SIGTERM", listener);
      return () => process.off("SIGINT", listener).off("SIGTERM", listener);
    },
  };
}

/** `clipscribe models | head -1`: who has read enough is no reason to fail, nor to stop the work. */
function ignoreGoneReader(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}
