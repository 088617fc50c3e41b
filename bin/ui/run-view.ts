/**
 * Shows a run to a person or a program. States are words, signs only accompany them; everything
 * from outside is made safe for a terminal.
 */
import { isDiskFull } from "../../core/errors.ts";
import { formatUsd } from "../../core/money.ts";
import { safeLine } from "../../core/safe-text.ts";
import type { RunnerEvent } from "../../runner/runner-events.ts";

export type ViewMode = "terminal" | "plain" | "json" | "quiet";

export interface RunView {
  event(event: RunnerEvent): void;
  /** A sentence that stays. */
  note(text: string): void;
  /** What goes on before the first stage: looking, hashing, downloading. */
  busy(text: string): void;
  /** Ends the moving part of the display. */
  stop(): void;
}

export interface RunViewOptions {
  mode: ViewMode;
  write: (text: string) => void;
  columns: number;
  /** False for NO_COLOR and for what is no terminal. */
  color: boolean;
  /** Items of the job; one is shown by its stages, more by their ends. */
  itemCount: () => number;
  nowMs?: () => number;
  /** Redraws the last lines: log-update, on a terminal. */
  draw?: { show(text: string): void; done(): void };
}

interface Running {
  stage: string;
  fraction: number | null;
  note: string;
}

/** The display changes at most so often. */
const REDRAW_MS = 100;
const MAX_ROWS = 8;
const MARKS: Record<string, string> = {
  ran: "✓",
  reused: "=",
  failed: "✗",
  held: "!",
  skipped: "-",
};
const COLORS: Record<string, number> = {
  ran: 32,
  reused: 36,
  failed: 31,
  held: 33,
  complete: 32,
  partial: 33,
};

export function openRunView(options: RunViewOptions): RunView {
  if (options.mode === "json") return jsonView(options.write);
  if (options.mode === "quiet") {
    return {
      event: () => undefined,
      note: () => undefined,
      busy: () => undefined,
      stop: () => undefined,
    };
  }
  return lineView(options);
}

function jsonView(write: (text: string) => void): RunView {
  const line = (value: unknown): void => write(`${JSON.stringify(value)}\n`);
  return {
    event: line,
    note: (text) => line({ type: "note", text }),
    busy: () => undefined,
    stop: () => undefined,
  };
}

/** Where nothing moves, a line in this time says that something does: who reads a log, or hears it. */
const SAY_MS = 30_000;

function lineView(options: RunViewOptions): RunView {
  const { nowMs = () => performance.now() } = options;
  const running = new Map<string, Running>();
  let ended = 0;
  let busyText = "";
  let lastDrawMs = 0;
  let lastSaidMs = nowMs();
  const paint = (word: string): string => {
    const color = COLORS[word];
    return options.color && color !== undefined ? `\u001b[${color}m${word}\u001b[0m` : word;
  };

  function print(text: string): void {
    options.draw?.done();
    options.write(`${text}\n`);
    lastSaidMs = nowMs();
    redraw(true);
  }

  function sayNowAndThen(text: string): void {
    if (options.draw === undefined && nowMs() - lastSaidMs >= SAY_MS) print(`  … ${text}`);
  }

  function redraw(force: boolean): void {
    if (options.draw === undefined) return;
    if (!force && nowMs() - lastDrawMs < REDRAW_MS) return;
    lastDrawMs = nowMs();
    options.draw.show(
      renderRunning([...running], busyText, { ended, of: options.itemCount() }, options.columns),
    );
  }

  return {
    note: (text) => print(safeLine(text, 2_000)),
    busy(text) {
      busyText = safeLine(text, options.columns);
      sayNowAndThen(safeLine(text, 200));
      redraw(false);
    },
    stop() {
      running.clear();
      busyText = "";
      options.draw?.done();
    },
    event(event) {
      const single = options.itemCount() <= 1;
      const key = "stage" in event ? `${event.item_id}/${event.stage}` : "";
      switch (event.type) {
        case "item-claimed":
          busyText = "";
          return redraw(true);
        case "stage-started":
          running.set(key, {
            stage: single ? event.stage : `${event.item_id}: ${event.stage}`,
            fraction: null,
            note: "",
          });
          return redraw(false);
        case "stage-progress": {
          const row = running.get(key);
          if (row === undefined) return;
          row.fraction = event.fraction;
          row.note = safeLine(event.note, 60);
          sayNowAndThen(`${row.stage} is ${Math.floor(event.fraction * 100)} % done: ${row.note}`);
          return redraw(false);
        }
        case "stage-retry": {
          // The run ends with it, and says so.
          if (isDiskFull(event.error)) return;
          const seconds = Math.round(event.in_ms / 100) / 10;
          return print(
            `  ${event.stage} is tried again in ${seconds} s (try ${event.attempt}): ${safeLine(event.why, 200)}`,
          );
        }
        case "stage-ended":
          running.delete(key);
          if (single) print(formatStage(event, paint));
          return redraw(false);
        case "item-troubled":
          if (isDiskFull(event.error)) return;
          return print(`  ${event.item_id}: ${safeLine(event.error.message, 300)}`);
        case "item-ended":
          ended++;
          for (const each of running.keys())
            if (each.startsWith(`${event.item_id}/`)) running.delete(each);
          if (!single) print(formatItem(event, paint));
          return redraw(true);
      }
    },
  };
}

function formatStage(
  event: RunnerEvent & { type: "stage-ended" },
  paint: (word: string) => string,
): string {
  const mark = MARKS[event.state] ?? " ";
  const time = event.state === "ran" ? `${event.seconds.toFixed(1)} s` : "";
  const cost = event.cost_usd > 0 ? formatUsd(event.cost_usd) : "";
  const by = event.by === null ? "" : `, by ${safeLine(event.by, 80)}`;
  const why = event.why === event.state ? "" : `${safeLine(event.why, 200)}${by}`;
  const pad = " ".repeat(Math.max(0, 8 - event.state.length));
  return `  ${mark} ${event.stage.padEnd(14)} ${paint(event.state)}${pad} ${time.padStart(8)} ${cost} ${why}`.trimEnd();
}

function formatItem(
  event: RunnerEvent & { type: "item-ended" },
  paint: (word: string) => string,
): string {
  const error = event.error === null ? "" : `  ${safeLine(event.error.message, 200)}`;
  const cost = event.cost_usd > 0 ? `  ${formatUsd(event.cost_usd)}` : "";
  return `  ${event.item_id}  ${paint(event.status)}${cost}${error}`;
}

/** Pure, and exported for its own test: the moving rows, none wider than the terminal. */
export function renderRunning(
  rows: readonly (readonly [string, Running])[],
  busyText: string,
  count: { ended: number; of: number },
  columns: number,
): string {
  const lines = rows.slice(0, MAX_ROWS).map(([, { stage, fraction, note }]) => {
    const share =
      fraction === null ? "running" : `${String(Math.round(fraction * 100)).padStart(3)}%`;
    return `  … ${stage.padEnd(14)} ${share} ${note}`;
  });
  if (rows.length > MAX_ROWS) lines.push(`  … and ${rows.length - MAX_ROWS} more`);
  if (count.of > 1) lines.push(`  ${count.ended} of ${count.of} done`);
  if (busyText !== "") lines.push(`  … ${busyText}`);
  return lines.map((line) => line.slice(0, Math.max(20, columns - 1)).trimEnd()).join("\n");
}
