/**
 * Runs stages away from the runner's own thread, and ends them for real when their time is up.
 * The runner decides what runs and how many at once; the pool only runs it.
 */
import type { Sha256 } from "../core/ids.ts";
import type {
  InputFile,
  MediaToolName,
  PaidAnswer,
  PaidRequest,
  ToolResult,
  TranscribeAnswer,
  TranscribeRequest,
} from "../core/stage.ts";

/** An input as it is sent to the stage: JSON text, or files that it may read. */
export type SentInput =
  | { kind: "json"; text: string }
  | { kind: "file"; file: InputFile }
  | { kind: "files"; files: InputFile[] }
  | { kind: "absent" };

/** An output as the stage returns it, checked and hashed. JSON, and a short text, come as text. */
export interface MadeArtifact {
  sha256: Sha256;
  sizeBytes: number;
  mediaType: string;
  fileName: string | null;
  content: { kind: "text"; text: string } | { kind: "file"; path: string };
}

export interface HostToolCall {
  tool: MediaToolName;
  args: readonly string[];
  /** Null: the stage's own timeout is the only one. */
  timeoutMs: number | null;
  maxStdoutBytes: number;
  wantsLines: boolean;
}

/** A chat request whose zod schema stayed behind: functions can't cross a thread. */
export interface HostChatCall {
  instructions: string | null;
  attempt: number;
  prompt: string;
  jsonSchema: unknown;
  maxAnswerTokens: number | null;
}

/** What a model said, read as JSON, or why it is of no use. */
export type HostChatReply = {
  /** False where it had been paid for, and kept, before. */
  isNew: boolean;
} & ({ answer: unknown } | { unusable: string });

/** A transcription whose sound is hashed: equal sound is paid for once. */
export interface HostTranscribeCall extends TranscribeRequest {
  audio: InputFile;
}

/** What a running stage may ask of the runner. */
export interface StageHost {
  tool(call: HostToolCall, onLine?: (line: string) => void): Promise<ToolResult>;
  transcribe(request: HostTranscribeCall): Promise<TranscribeAnswer>;
  chat(call: HostChatCall): Promise<HostChatReply>;
  paid(request: PaidRequest, estimateUsd: number): Promise<PaidAnswer>;
  incomplete(why: string): void;
  progress(fraction: number, note: string): void;
  log(level: "debug" | "info" | "warn", message: string, details: Record<string, unknown>): void;
}

export interface StageTask {
  /** Absolute path of the stage's bundle, an ES module. */
  bundlePath: string;
  inputs: Record<string, SentInput>;
  /** Parsed params, text params replaced by their text. */
  params: Record<string, unknown>;
  /** Absolute; made by the stage when it first writes there. */
  scratchDir: string;
  provider: { provider: string; model: string } | null;
}

export interface StageRunLimits {
  /** Wall-clock bound. A stage that does not end then is ended with its thread. */
  timeoutMs: number;
  signal: AbortSignal;
}

export interface StagePool {
  /**
   * @throws what the stage threw; `contract` when it ran out of time or memory; `cancelled` when
   *   the signal aborted. When the promise settles, no code of that stage runs any more.
   */
  run(
    task: StageTask,
    host: StageHost,
    limits: StageRunLimits,
  ): Promise<Record<string, MadeArtifact>>;
  close(): Promise<void>;
}
