/** Shows a hand-off: what each item is doing, and what became of it. Text from outside is made safe. */
import { safeLine } from "../../core/safe-text.ts";
import type { Surface } from "./open-view.ts";
import { wrapText } from "./wrap-text.ts";

export interface BatchView {
  /** A sentence that stays. */
  note(text: string): void;
  /** What goes on before there are items. */
  busy(text: string): void;
  /** `fraction` null: it goes on, and nobody says how far. */
  doing(item: string, doing: string, fraction: number | null): void;
  ended(item: string, end: ItemEnd): void;
  stop(): void;
}

export type ItemEnd =
  | { state: "handed-off" }
  /** Published before. */
  | { state: "done" }
  | { state: "failed"; message: string; hint: string | null };

const MAX_ROWS = 8;
const REDRAW_MS = 100;
const WORDS = { "handed-off": "handed off", done: "done before", failed: "failed" } as const;
const MARKS = { "handed-off": "✓", done: "=", failed: "✗" } as const;
const COLORS = { "handed-off": 32, done: 36, failed: 31 } as const;

export function openBatchView(options: Surface): BatchView {
  const { mode, write, columns, color, draw } = options;
  const rows = new Map<string, string>();
  let busyText = "";
  let ended = 0;
  let drawnMs = 0;

  const json = (value: unknown): void => {
    if (mode === "json") write(`${JSON.stringify(value)}\n`);
  };
  const print = (text: string): void => {
    if (mode === "json" || mode === "quiet") return;
    draw?.done();
    write(`${text}\n`);
    redraw(true);
  };
  function redraw(force: boolean): void {
    if (draw === undefined) return;
    const nowMs = performance.now();
    if (!force && nowMs - drawnMs < REDRAW_MS) return;
    drawnMs = nowMs;
    const lines = [...rows.values()].slice(0, MAX_ROWS);
    if (rows.size > MAX_ROWS) lines.push(`  … and ${rows.size - MAX_ROWS} more`);
    if (busyText !== "") lines.push(`  … ${busyText}`);
    draw.show(lines.map((line) => line.slice(0, Math.max(20, columns - 1))).join("\n"));
  }

  return {
    note(text) {
      json({ type: "note", text });
      print(wrapText(text, mode === "plain" ? 2_000 : Math.max(40, columns - 1)).join("\n"));
    },
    busy(text) {
      busyText = safeLine(text, columns);
      redraw(false);
    },
    doing(item, doing, fraction) {
      busyText = "";
      if (rows.get(item)?.includes(doing) === true && fraction === null) return;
      const share = fraction === null ? "" : `${Math.round(fraction * 100)}%`;
      rows.set(
        item,
        `  … ${safeLine(item, 40).padEnd(40)} ${doing.padEnd(11)} ${share.padStart(4)}`,
      );
      redraw(false);
    },
    ended(item, end) {
      rows.delete(item);
      ended++;
      json({ type: "item-ended", item_id: item, ...end });
      const word = color
        ? `\u001b[${COLORS[end.state]}m${WORDS[end.state]}\u001b[0m`
        : WORDS[end.state];
      print(`  ${MARKS[end.state]} ${safeLine(item, 48).padEnd(40)} ${word}`.trimEnd());
      if (end.state !== "failed") return;
      for (const said of [end.message, end.hint]) {
        const lines = said === null ? [] : wrapText(said, Math.max(40, columns - 8));
        for (const line of lines) print(`      ${line}`);
      }
    },
    stop() {
      rows.clear();
      busyText = "";
      draw?.done();
    },
  };
}
