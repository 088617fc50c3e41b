/**
 * Captions as text → cues. What people have is rarely clean: broken times, missing blank lines,
 * rolling lines that repeat, markup, byte order marks. What can't be used is counted, never
 * guessed; the words that stay are exactly those of the file.
 */
import { parseText } from "media-captions";

import type { Cue } from "../../core/captions.ts";
import { safeText } from "../../core/safe-text.ts";

export type CaptionFormat = "vtt" | "srt";

export interface ParsedCaptions {
  cues: Cue[];
  /** Class of a problem → how many cues had it. */
  problems: Record<string, number>;
}

/** A film has about 2,000 cues; ten hours of captions 20,000. */
const MAX_CUES = 100_000;
const MAX_CUE_CHARS = 5_000;
const timingLine = /-->/;

/** @param durationSeconds 0 where it is not known. */
export async function parseCaptions(
  text: string,
  format: CaptionFormat,
  durationSeconds: number,
): Promise<ParsedCaptions> {
  const problems: Record<string, number> = {};
  const count = (problem: string, by = 1): void => {
    if (by > 0) problems[problem] = (problems[problem] ?? 0) + by;
  };
  const prepared = prepare(text, format);
  const declared = prepared.split("\n").filter((line) => timingLine.test(line)).length;
  const { cues: parsed } = await parseText(prepared, { type: format, strict: false });
  count("unreadable or backward times", declared - parsed.length);
  const cues: Cue[] = [];
  for (const { startTime, endTime, text: raw } of parsed.slice(0, MAX_CUES)) {
    const start = Math.max(0, startTime);
    let end = endTime;
    if (!Number.isFinite(start) || !Number.isFinite(end) || end <= start) {
      count("unreadable or backward times");
      continue;
    }
    if (durationSeconds > 0 && start >= durationSeconds) {
      count("after the end of the medium");
      continue;
    }
    if (durationSeconds > 0 && end > durationSeconds) end = durationSeconds;
    for (const { speaker, words } of readVoices(raw.slice(0, MAX_CUE_CHARS))) {
      if (words === "") count("empty");
      else
        cues.push({ start: toMilliseconds(start), end: toMilliseconds(end), text: words, speaker });
    }
  }
  count("too many", Math.max(0, parsed.length - MAX_CUES));
  const ordered = cues.toSorted((a, b) => a.start - b.start || a.end - b.end);
  if (ordered.some((cue, at) => cue !== cues[at])) count("out of order");
  const unrolled = unroll(ordered);
  count("repeated lines", ordered.length - unrolled.length);
  return { cues: unrolled, problems };
}

/** Blank lines before each cue, as the formats ask for and many files lack. */
function prepare(text: string, format: CaptionFormat): string {
  const lines = text
    .replace(/^\ufeff/, "")
    .replaceAll("\u0000", "")
    .replaceAll(/\r\n?/g, "\n")
    .split("\n");
  const prepared: string[] = [];
  for (const line of lines) {
    if (timingLine.test(line)) {
      const label = prepared.at(-1) ?? "";
      const isNumber = /^\s*\d+\s*$/.test(label);
      const before = isNumber ? prepared.at(-2) : label;
      if (before !== undefined && before.trim() !== "") {
        prepared.splice(isNumber ? -1 : prepared.length, 0, "");
      }
    }
    prepared.push(line);
  }
  const joined = prepared.join("\n");
  return format === "vtt" && !joined.startsWith("WEBVTT") ? `WEBVTT\n\n${joined}` : joined;
}

const voiceTag = /<v(?:\.[^\s>]*)?\s+([^>]+)>/g;
/** `ELENA VASQUEZ: …`, `Mr. Okafor: …`; not `http:` and not `10:30`. */
const namePrefix =
  /^(?:>>\s*)?(?:\[|\()?((?:\p{Lu}[\p{L}.'’-]*)(?:\s+\p{Lu}[\p{L}.'’-]*){0,3})(?:\]|\))?:\s+(?=\S)/u;

function readVoices(raw: string): { speaker: string | null; words: string }[] {
  const marks = [...raw.matchAll(voiceTag)];
  if (marks.length === 0) {
    const plain = plainText(raw);
    const named = namePrefix.exec(plain);
    if (named !== null) {
      return [{ speaker: nameOf(named[1] ?? ""), words: plain.slice(named[0].length).trim() }];
    }
    return [{ speaker: null, words: plain.replace(/^>>\s*/, "") }];
  }
  const head = plainText(raw.slice(0, marks[0]?.index));
  const voices = head === "" ? [] : [{ speaker: null as string | null, words: head }];
  for (const [at, mark] of marks.entries()) {
    const words = raw.slice(mark.index + mark[0].length, marks[at + 1]?.index);
    voices.push({ speaker: nameOf(decodeEntities(mark[1] ?? "")), words: plainText(words) });
  }
  return voices;
}

/** `ELENA VASQUEZ` is read as `Elena Vasquez`; mixed case stays as it is. */
function nameOf(text: string): string | null {
  const name = safeText(text).replaceAll(/\s+/g, " ").trim().slice(0, 100);
  if (name === "") return null;
  if (name !== name.toUpperCase() || !/\p{Lu}{2}/u.test(name)) return name;
  return name
    .toLowerCase()
    .replaceAll(
      /(^|[\s'’-])(\p{Ll})/gu,
      (_all, gap: string, letter: string) => gap + letter.toUpperCase(),
    );
}

function plainText(raw: string): string {
  const untagged = raw
    .replaceAll(/\{\\[^}]*\}/g, "")
    .replaceAll("\\N", " ")
    .replaceAll(/<\/?(?:[a-zA-Z][^<>]*|\d[\d:.]*)>/g, "");
  return safeText(decodeEntities(untagged)).replaceAll(/\s+/g, " ").trim();
}

const ENTITIES: Record<string, string> = {
  amp: "&",
  lt: "<",
  gt: ">",
  nbsp: " ",
  quot: '"',
  apos: "'",
  lrm: "",
  rlm: "",
};

function decodeEntities(text: string): string {
  return text.replaceAll(
    /&(?:([a-z]+)|#(\d{1,7})|#x([0-9a-f]{1,6}));/gi,
    (all, name?: string, decimal?: string, hex?: string) => {
      if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? all;
      const code = Number.parseInt(decimal ?? hex ?? "", decimal === undefined ? 16 : 10);
      return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)
        ? String.fromCodePoint(code)
        : "";
    },
  );
}

/** Automatic captions show the line before above each new one: words that were there stay once. */
function unroll(cues: readonly Cue[]): Cue[] {
  const kept: Cue[] = [];
  for (const cue of cues) {
    const before = kept.at(-1);
    const isNear =
      before !== undefined && cue.start - before.end < 1 && cue.speaker === before.speaker;
    if (isNear && cue.text === before.text) {
      before.end = Math.max(before.end, cue.end);
    } else if (isNear && cue.text.startsWith(`${before.text} `) && cue.start < before.end + 0.2) {
      const rest = cue.text.slice(before.text.length).trim();
      kept.push({ ...cue, text: rest });
    } else {
      kept.push({ ...cue });
    }
  }
  return kept;
}

function toMilliseconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
