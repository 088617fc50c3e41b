/**
 * What `clipscribe up` says: a line for each thing that happened, and on a terminal what goes on now
 * and what may be done with the lid, below. As JSON: every event, one object a line.
 */
import { homedir } from "node:os";
import { basename, dirname, relative } from "node:path";

import { toErrorRecord } from "../../core/errors.ts";
import type { ClipscribeError } from "../../core/errors.ts";
import { formatUsd } from "../../core/money.ts";
import { safeLine, safeText } from "../../core/safe-text.ts";
import type { RunnerEvent } from "../../runner/runner-events.ts";
import type { AgentEvent } from "../../sync/agent-world.ts";
import type { CollectEvent } from "../../sync/collect-awaited.ts";
import { formatLid, formatTimeOfDay } from "../../sync/lid.ts";
import type { LidAdvice } from "../../sync/lid.ts";
import { renderRunning } from "./run-view.ts";

export interface UpView {
  agent(event: AgentEvent): void;
  runner(event: RunnerEvent): void;
  result(event: CollectEvent): void;
  lid(advice: LidAdvice): void;
  note(text: string): void;
  /** A pipeline that was refused, with its places. */
  refused(error: ClipscribeError): void;
  stop(): void;
}

export interface UpViewOptions {
  json: boolean;
  write: (text: string) => void;
  columns: number;
  now: () => Date;
  /** Redraws the last lines; absent where stdout is no terminal. */
  draw?: { show(text: string): void; done(): void };
}

/** Lines are kept this short in a narrow terminal too; names are cut first. */
const NAME_CHARS = 60;
const REDRAW_MS = 150;

export function openUpView(options: UpViewOptions): UpView {
  return options.json ? jsonView(options) : lineView(options);
}

function jsonView({ write, now }: UpViewOptions): UpView {
  const line = (value: object): void =>
    write(`${JSON.stringify({ at: now().toISOString(), ...value }, plainError)}\n`);
  return {
    agent: line,
    runner: line,
    result: (event) =>
      line(
        event.type === "result"
          ? {
              ...event,
              state: undefined,
              item: event.state.item_id,
              status: event.state.status,
              cost_usd: event.state.cost,
              error: event.state.error,
            }
          : event,
      ),
    lid: (advice) => line({ type: "lid", ...advice }),
    note: (text) => line({ type: "note", text }),
    refused: (error) =>
      line({
        type: "pipeline-refused",
        error,
        problems: (error as { problems?: unknown }).problems,
      }),
    stop: () => undefined,
  };
}

function plainError(_key: string, value: unknown): unknown {
  return value instanceof Error ? toErrorRecord(value) : value;
}

function lineView(options: UpViewOptions): UpView {
  const running = new Map<string, { stage: string; fraction: number | null; note: string }>();
  let status = "";
  let lastDrawMs = 0;

  function redraw(force: boolean): void {
    const nowMs = performance.now();
    if (options.draw === undefined || (!force && nowMs - lastDrawMs < REDRAW_MS)) return;
    lastDrawMs = nowMs;
    const rows = renderRunning([...running], "", { ended: 0, of: 0 }, options.columns);
    const below = status === "" ? "" : `  ${safeLine(status, Math.max(20, options.columns - 3))}`;
    options.draw.show([rows, below].filter((each) => each !== "").join("\n"));
  }

  function print(text: string, ...more: (string | null)[]): void {
    options.draw?.done();
    const time = formatTimeOfDay(options.now(), options.now());
    options.write(wrapLine(`${time}  ${safeLine(text, 1_000)}`, options.columns));
    for (const line of more) {
      if (line !== null) options.write(wrapLine(INDENT + safeLine(line, 500), options.columns));
    }
    redraw(true);
  }

  function printError(
    text: string,
    error: { message: string; hint?: string | null | undefined },
  ): void {
    print(`${text}: ${error.message}`, error.hint ?? null);
  }

  /** Where it is now stands on the first line, before what is said of its parts. */
  function printRejected({ name, target, why, hint }: Rejected): void {
    const where = target === null ? "" : ` → rejected/${short(basename(target))}`;
    const [first = "", ...parts] = why.split("\n");
    const said = `${short(name)} can't be used: ${first.replace(/:$/, "")}${where}`;
    print(said, ...parts.map((part) => part.trim()), hint);
  }

  return {
    agent(event) {
      if (event.type === "item-progress") {
        const stage = `${short(event.item)}: ${event.doing}`;
        if (event.fraction >= 1) running.delete(`up ${event.item}`);
        else running.set(`up ${event.item}`, { stage, fraction: event.fraction, note: "" });
        return redraw(false);
      }
      if (event.type === "item-handed-off" || event.type === "item-failed") {
        running.delete(`up ${event.item}`);
      }
      if (event.type === "trouble" || event.type === "item-failed") {
        const what = event.type === "trouble" ? TROUBLE[event.scope] : short(event.item);
        return printError(what, event.error);
      }
      if (event.type === "rejected") return printRejected(event);
      const text = describeAgentEvent(event);
      if (text !== undefined) print(text);
    },
    runner(event) {
      const key = "stage" in event ? `${event.job_id}/${event.item_id}/${event.stage}` : "";
      if (event.type === "stage-started") {
        running.set(key, {
          stage: `${short(event.item_id)}: ${event.stage}`,
          fraction: null,
          note: "",
        });
      } else if (event.type === "stage-progress") {
        const row = running.get(key);
        if (row !== undefined)
          Object.assign(row, { fraction: event.fraction, note: safeLine(event.note, 40) });
      } else if (event.type === "stage-ended") {
        running.delete(key);
      } else if (event.type === "item-troubled") {
        printError(short(event.item_id), event.error);
      }
      redraw(false);
    },
    result(event) {
      if (event.type === "result-troubled") {
        return printError(`${short(event.item)}: its results can't be brought here`, event.error);
      }
      if (event.type === "job-files") {
        const [first = ""] = event.files;
        print(`${short(event.job)}: all is here → ${shortPath(dirname(first))}`);
        for (const mine of event.keptAs) print(`you had changed it: kept as ${shortPath(mine)}`);
        return;
      }
      const { state, folder, keptAs } = event;
      const cost = state.cost > 0 ? `, ${formatUsd(state.cost)}` : "";
      const where = folder === null ? "" : ` → ${shortPath(folder)}`;
      if (state.error === null) print(`${short(state.item_id)}: ${state.status}${cost}${where}`);
      else printError(`${short(state.item_id)}: ${state.status}${cost}${where}`, state.error);
      if (keptAs !== null)
        print(`you had changed its results: they are kept as ${shortPath(keptAs)}`);
    },
    lid(advice) {
      const text = formatLid(advice, (at) => formatTimeOfDay(at, options.now()));
      if (text === status) return;
      const isNews = advice.lid !== "keep-open" || !status.startsWith("keep the lid open");
      status = text;
      if (isNews) print(text);
      else redraw(true);
    },
    note: (text) => print(text),
    refused(error) {
      options.draw?.done();
      const { report } = error as { report?: unknown };
      if (typeof report === "string") options.write(`${safeText(report)}\n`);
      printError("the pipeline before stays in force", error);
    },
    stop() {
      running.clear();
      status = "";
      options.draw?.done();
    },
  };
}

const TROUBLE = {
  folder: "the folders",
  store: "handing off waits",
  network: "downloading waits",
} as const;

type Rejected = Extract<AgentEvent, { type: "rejected" }>;

function describeAgentEvent(event: Exclude<AgentEvent, Rejected>): string | undefined {
  switch (event.type) {
    case "watching":
      return event.mode.by === "events"
        ? undefined
        : `the inbox is looked through every few seconds: ${event.mode.why}`;
    case "left-alone":
      return `${short(event.name)} is left alone: ${event.why}`;
    case "waiting":
      return `${short(event.name)} is not whole yet (${event.why}): waiting for the rest`;
    case "accepted": {
      const items = event.items === 1 ? "" : `, ${event.items} items`;
      return `${short(event.name)}: taken as ${event.job}${items}`;
    }
    case "done": {
      const failed = event.failed === 0 ? "" : `; ${event.failed} of its items can't be used`;
      const where = event.target === null ? "" : ` → done/${short(basename(event.target))}`;
      return `${short(event.name)}: handed off${failed}${where}`;
    }
    case "gone":
      return `${short(event.name)}: ${event.why}`;
    case "trouble-over":
      return `${TROUBLE_OVER[event.scope]} again, after ${formatDuration(event.lastedMs)}`;
    case "woke":
      return `awake again after ${formatDuration(event.sleptMs)}: looking at everything anew`;
    default:
      return undefined;
  }
}

const TROUBLE_OVER = {
  folder: "the folders can be used",
  store: "the store can be reached",
  network: "downloads go on",
} as const;

/** Under the text, beside the time. */
const INDENT = " ".repeat(7);

/** Exported for its test: breaks between words, so that a narrow terminal breaks nothing else. */
export function wrapLine(text: string, columns: number): string {
  const lines: string[] = [];
  let rest = text;
  while (rest.length >= columns) {
    const cut = rest.lastIndexOf(" ", columns - 1);
    if (cut <= INDENT.length) break;
    lines.push(rest.slice(0, cut));
    rest = INDENT + rest.slice(cut + 1);
  }
  return `${[...lines, rest].join("\n")}\n`;
}

function short(name: string): string {
  return safeLine(name, NAME_CHARS);
}

/** `~/ClipScribe/done/talk.mp4`, or as it is. */
function shortPath(path: string): string {
  const inside = relative(homedir(), path);
  return inside.startsWith("..") || inside === "" ? path : `~/${inside}`;
}

function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 90) return `${Math.max(1, seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** Exported for its test. */
export function describeStart(mode: {
  isEmbedded: boolean;
  inbox: string;
  results: string;
}): string {
  const where = mode.isEmbedded ? "everything runs on this machine" : "servers do the work";
  return `drop files into ${shortPath(mode.inbox)} (${where}); results appear in ${shortPath(mode.results)}; Ctrl-C ends it`;
}
