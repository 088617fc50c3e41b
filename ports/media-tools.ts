/**
 * ffmpeg and ffprobe as sandboxed children. Media is hostile: a child has no network and no home
 * folder, sees only the files that the call names, and is capped in time, memory and output.
 */
import type { MediaToolName } from "../core/stage.ts";

export interface MediaToolCall {
  tool: MediaToolName;
  args: readonly string[];
  /** Absolute paths of files that the child may read. */
  readable: readonly string[];
  /** An existing folder that it may write; also its working folder. */
  writableDir: string;
  timeoutMs: number;
  /** stdout beyond this ends the child. */
  maxStdoutBytes: number;
  /** Called with each line of stderr as it comes (lines end in \n or \r). */
  onLine?: ((line: string) => void) | undefined;
  signal: AbortSignal;
}

export interface MediaToolResult {
  stdout: string;
  /** Its last 64 KiB. */
  stderr: string;
}

export interface MediaTools {
  /**
   * @throws `contract` for a non-zero exit or a cap that ended it (message says which),
   *   `config` if the tool isn't installed, `cancelled` when the signal aborts: the child and all
   *   of its children are gone when the promise settles.
   */
  run(call: MediaToolCall): Promise<MediaToolResult>;
  /** Returns e.g. `{ffmpeg: "5.1.9", ffprobe: "5.1.9"}`; a missing tool is left out. */
  versions(signal?: AbortSignal): Promise<Record<string, string>>;
}
