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
/** A longer cue is a whole book in one caption; what is cut is counted. */
const MAX_CUE_CHARS = 100_000;
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
  const names = recurringNames(parsed.map(({ text: raw }) => raw));
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
    if (raw.length > MAX_CUE_CHARS) count("cut: longer than a caption can be");
    for (const { speaker, words } of readVoices(raw.slice(0, MAX_CUE_CHARS), names)) {
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
    prepared.push(
      timingLine.test(line) && format === "vtt"
        ? line.replaceAll(/(\d{2}),(\d{3})/g, "$1.$2")
        : line,
    );
  }
  const joined = prepared.join("\n");
  return format === "vtt" && !joined.startsWith("WEBVTT") ? `WEBVTT\n\n${joined}` : joined;
}

const voiceTag = /<v(?:\.[^\s>]*)?\s+([^>]+)>/g;
/** `ELENA VASQUEZ: …`, `Mr. Okafor: …`; not `http:` and not `10:30`. */
const namePrefix =
  /^(?:>>\s*)?(?:\[|\()?((?:\p{Lu}[\p{L}.'’-]*)(?:\s+\p{Lu}[\p{L}.'’-]*){0,3})(?:\]|\))?:\s+(?=\S)/u;

/**
 * Names that stand before a colon more than once: a speaker speaks again. "Remember: he paid" is no
 * speaker, and its first word is evidence.
 */
function recurringNames(texts: readonly string[]): Set<string> {
  const counts = new Map<string, number>();
  for (const raw of texts) {
    const name = namePrefix.exec(plainText(raw.slice(0, 1_000)))?.[1];
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return new Set([...counts].flatMap(([name, count]) => (count > 1 ? [name] : [])));
}

function isSpeaker(name: string, names: ReadonlySet<string>): boolean {
  return names.has(name) || (name === name.toUpperCase() && /\p{Lu}{2}/u.test(name));
}

function readVoices(
  raw: string,
  names: ReadonlySet<string>,
): { speaker: string | null; words: string }[] {
  const marks = [...raw.matchAll(voiceTag)];
  if (marks.length === 0) {
    const plain = plainText(raw);
    const named = namePrefix.exec(plain);
    if (named !== null && isSpeaker(named[1] ?? "", names)) {
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
  // Mixed case is how it is written; a short word in capitals is an acronym.
  const isShout = name === name.toUpperCase() && /\p{Lu}{2}/u.test(name);
  if (!isShout || (name.length <= 4 && !name.includes(" "))) return name;
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

/** Of a rolling track, more than this share of neighbours repeat each other. */
const ROLLING_SHARE = 0.3;

/**
 * Automatic captions show the line before above each new one: words that were there stay once. Only
 * in a track that does so throughout: elsewhere a repeated "No." was said twice.
 */
function unroll(cues: readonly Cue[]): Cue[] {
  const pairs = cues.slice(1).map((cue, at) => overlapOf(cues[at], cue));
  const rolling = pairs.filter((overlap) => overlap > 0).length;
  if (rolling < 2 || rolling / pairs.length < ROLLING_SHARE) return [...cues];
  const kept: Cue[] = [];
  for (const [at, cue] of cues.entries()) {
    const overlap = at === 0 ? 0 : overlapOf(cues[at - 1], cue);
    const text = cue.text.split(" ").slice(overlap).join(" ");
    const before = kept.at(-1);
    if (text !== "") kept.push({ ...cue, text });
    else if (before !== undefined) before.end = Math.max(before.end, cue.end);
  }
  return kept;
}

/** How many words at the beginning of a cue stood at the end of the one right before it. */
function overlapOf(before: Cue | undefined, cue: Cue): number {
  if (before === undefined || cue.start - before.end > 0.2 || before.speaker !== cue.speaker)
    return 0;
  const old = before.text.split(" ");
  const words = cue.text.split(" ");
  for (let length = Math.min(old.length, words.length); length > 0; length--) {
    if (old.slice(-length).join(" ") === words.slice(0, length).join(" ")) return length;
  }
  return 0;
}

function toMilliseconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
