/** What a command that works on items shows, logs, and does on Ctrl-C. */
import { ClipscribeError } from "../../core/errors.ts";
import { EXIT } from "../../core/exit-codes.ts";
import type { Log } from "../../ports/log.ts";
import type { Io } from "../io.ts";
import { openLog } from "../log.ts";
import { openRunView } from "./run-view.ts";
import type { RunView, ViewMode } from "./run-view.ts";

export interface ViewOptions {
  json: boolean;
  plain: boolean;
  quiet: boolean;
  verbose: boolean;
}

/** What a view is drawn on. */
export interface Surface {
  mode: ViewMode;
  write: (text: string) => void;
  columns: number;
  /** False for NO_COLOR and for what is no terminal. */
  color: boolean;
  /** Redraws the last lines: log-update, on a terminal. */
  draw?: { show(text: string): void; done(): void };
}

export interface OpenView<View = RunView> {
  view: View;
  log: Log;
  /** Aborts when the person interrupts. */
  signal: AbortSignal;
  /** Stops the view and forgets the interrupt; idempotent. */
  close(): void;
}

export async function openView(
  options: ViewOptions,
  io: Io,
  itemCount: () => number,
): Promise<OpenView> {
  return openViewOn(options, io, (surface) => openRunView({ ...surface, itemCount }));
}

export async function openViewOn<View extends Pick<RunView, "note" | "stop">>(
  options: ViewOptions,
  io: Io,
  openOn: (surface: Surface) => View,
): Promise<OpenView<View>> {
  const mode = modeOf(options, io);
  const view = openOn({
    mode,
    write: io.stdout,
    columns: io.columns ?? 80,
    color: io.columns !== null && !io.env["NO_COLOR"] && io.env["TERM"] !== "dumb",
    ...(mode === "terminal" && { draw: await openDraw() }),
  });
  const format = options.json ? "json" : "text";
  const log = openLog({ write: io.stderr, format, level: options.verbose ? "info" : "warn" });
  const stop = new AbortController();
  const forget = listenForInterrupt(io, stop, view);
  return {
    view,
    log,
    signal: stop.signal,
    close() {
      view.stop();
      forget();
    },
  };
}

function modeOf(options: ViewOptions, io: Io): ViewMode {
  if (options.json) return "json";
  if (options.quiet) return "quiet";
  return io.columns === null || options.plain || io.env["TERM"] === "dumb" ? "plain" : "terminal";
}

export async function openDraw(): Promise<{ show(text: string): void; done(): void }> {
  const { default: logUpdate } = await import("log-update");
  return {
    show: (text) => logUpdate(text),
    done: () => logUpdate.clear(),
  };
}

/** First: stop cleanly. Second: at once; whoever runs next takes the claim over. */
function listenForInterrupt(
  io: Io,
  stop: AbortController,
  view: Pick<RunView, "note">,
): () => void {
  return io.onInterrupt(() => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    view.note("stopping; press Ctrl-C again to stop at once");
    stop.abort(new ClipscribeError("cancelled", "interrupted"));
  });
}
