/** Structured log. A line is one event: a short constant message and details. No secrets. */
export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogDetails = Record<string, unknown>;

export interface Log {
  debug(message: string, details?: LogDetails): void;
  info(message: string, details?: LogDetails): void;
  warn(message: string, details?: LogDetails): void;
  error(message: string, details?: LogDetails): void;
  /** Returns a log that adds these details to every line. */
  with(details: LogDetails): Log;
}
