/** The process of a command that runs inside a test: no terminal, and what it says is kept. */
import type { Io } from "../bin/io.ts";

export interface CapturedIo {
  io: Io;
  readonly stdout: string;
  readonly stderr: string;
}

export function captureIo({ env, cwd }: Pick<Io, "env" | "cwd">): CapturedIo {
  let stdout = "";
  let stderr = "";
  const io: Io = {
    env,
    cwd,
    platform: process.platform,
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    columns: null,
    onInterrupt: () => () => undefined,
  };
  return {
    io,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
  };
}
