/** The transcript as SubRip and WebVTT: short cues that can be read in their time. */
import type { Segment, Transcript } from "../../core/transcript.ts";
import { formatTimecode } from "./timecode.ts";

/** What television allows: two lines of 42 characters, one to seven seconds. */
const MAX_LINE_CHARS = 42;
const MAX_LINES = 2;
const MIN_CUE_S = 1;
const MAX_CUE_S = 7;
/** Words that come later than this are another sentence's: rather a cue that is too short. */
const MAX_LATE_S = 2;
const HURRIED_CUE_S = 0.4;
const EPSILON_S = 0.001;

export interface SubtitleCue {
  start: number;
  end: number;
  lines: string[];
  speaker: string | null;
}

export function toSrt(transcript: Transcript): string {
  let speaker: string | null = null;
  const { segments } = transcript;
  const cues = segments.flatMap((segment, at) => {
    const isChange = segment.speaker !== null && segment.speaker !== speaker;
    speaker = segment.speaker ?? speaker;
    const prefix = isChange ? `${oneLine(segment.speaker ?? "").toUpperCase()}: ` : "";
    return toCues(segment, prefix, segments[at + 1]?.start);
  });
  const blocks = spaceOut(cues).map(({ start, end, lines }, at) => {
    const times = `${formatTimecode(start, ",")} --> ${formatTimecode(end, ",")}`;
    // A line that looks like a timing would begin a cue of its own.
    const text = lines.map((line) => line.replaceAll("-->", "→")).join("\n");
    return `${at + 1}\n${times}\n${text}\n`;
  });
  return blocks.join("\n");
}

/**
 * One cue at a time, each long enough to be read: where people talk quickly or at once, a cue ends
 * with its second and the next one comes a little late. WebVTT needs none of it: its cues may overlap.
 */
function spaceOut(cues: readonly SubtitleCue[]): SubtitleCue[] {
  const spaced: SubtitleCue[] = [];
  for (const cue of cues) {
    const last = spaced.at(-1);
    if (last !== undefined && last.end > cue.start) {
      const isLate = last.start - cue.start > MAX_LATE_S - MIN_CUE_S;
      const least = isLate ? HURRIED_CUE_S : MIN_CUE_S;
      last.end = Math.min(last.end, Math.max(cue.start, last.start + least));
    }
    const start = roundToMs(Math.max(cue.start, last?.end ?? 0));
    const length = Math.min(MAX_CUE_S, Math.max(MIN_CUE_S, cue.end - start));
    spaced.push({ ...cue, start, end: roundToMs(start + length) });
  }
  return spaced;
}

/** What is written: a second that is rounded twice may be a millisecond short. */
function roundToMs(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

export function toVtt(transcript: Transcript, note: string): string {
  const blocks = [`WEBVTT\n\nNOTE\n${escapeVtt(note).replaceAll("-->", "→")}\n`];
  const { segments } = transcript;
  for (const [at, segment] of segments.entries()) {
    const voice = segment.speaker === null ? "" : `<v ${voiceName(segment.speaker)}>`;
    const cues = timedCues(segment) ?? toCues(segment, "", segments[at + 1]?.start).map(toVttCue);
    for (const { start, end, text } of cues) {
      const times = `${formatTimecode(start, ".")} --> ${formatTimecode(end, ".")}`;
      blocks.push(`${times}\n${voice}${text}\n`);
    }
  }
  return blocks.join("\n");
}

interface VttCue {
  start: number;
  end: number;
  /** Escaped, with the time of each word where it is known. */
  text: string;
}

function toVttCue({ start, end, lines }: SubtitleCue): VttCue {
  return { start, end, text: lines.map(escapeVtt).join("\n") };
}

/**
 * Cues of a segment whose words have times, each word with its own, as `<00:00:01.200>`. Undefined
 * where the words are not the segment's text, or one of them is longer than a line.
 */
function timedCues({ text, words = [] }: Segment): VttCue[] | undefined {
  const timed = words.map((word) => ({ ...word, text: oneLine(word.text) }));
  if (timed.length === 0 || timed.map((word) => word.text).join(" ") !== oneLine(text)) {
    return undefined;
  }
  if (timed.some((word) => word.text.length > MAX_LINE_CHARS)) return undefined;
  const cues: VttCue[] = [];
  let lineChars = 0;
  let lines = 0;
  for (const { text: said, start, end } of timed) {
    const cue = cues.at(-1);
    const fitsLine = lineChars + 1 + said.length <= MAX_LINE_CHARS;
    const isTooLong = cue !== undefined && end - cue.start > MAX_CUE_S;
    if (cue === undefined || isTooLong || (!fitsLine && lines === MAX_LINES)) {
      cues.push({ start, end: Math.max(end, start + 0.001), text: escapeVtt(said) });
      lineChars = said.length;
      lines = 1;
      continue;
    }
    // A time inside a cue has to lie between its start and its end, and to grow.
    const stamp = start > cue.start ? `<${formatTimecode(start, ".")}>` : "";
    cue.text += `${fitsLine ? " " : "\n"}${stamp}${escapeVtt(said)}`;
    cue.end = Math.max(cue.end, end);
    lineChars = fitsLine ? lineChars + 1 + said.length : said.length;
    if (!fitsLine) lines++;
  }
  return cues.map((cue, at) => {
    const until = cues[at + 1]?.start ?? Number.POSITIVE_INFINITY;
    const readable = Math.min(Math.max(cue.end, cue.start + MIN_CUE_S), until);
    return { ...cue, end: Math.min(Math.max(cue.end, readable), cue.start + MAX_CUE_S) };
  });
}

/**
 * Cuts a segment into cues whose time follows the length of their text, with a second for each where
 * there is one before `until`.
 */
export function toCues(
  segment: Segment,
  prefix: string,
  until = Number.POSITIVE_INFINITY,
): SubtitleCue[] {
  const lines = wrap(prefix + oneLine(segment.text));
  const groups: string[][] = [];
  const duration = Math.max(0, segment.end - segment.start);
  const wanted = Math.max(
    Math.ceil(lines.length / MAX_LINES),
    Math.ceil(duration / MAX_CUE_S) || 1,
  );
  const perCue = Math.max(1, Math.min(MAX_LINES, Math.ceil(lines.length / wanted)));
  for (let at = 0; at < lines.length; at += perCue) groups.push(lines.slice(at, at + perCue));
  const total = groups.reduce((sum, group) => sum + group.join(" ").length, 0) || 1;
  const least = groups.length * MIN_CUE_S;
  const whole = Math.max(duration, Math.min(least, until - segment.start), EPSILON_S);
  const each = whole >= least ? MIN_CUE_S : 0;
  const shared = whole - each * groups.length;
  let start = segment.start;
  return groups.map((group) => {
    const length = each + (group.join(" ").length / total) * shared;
    const end = start + Math.min(MAX_CUE_S, Math.max(EPSILON_S, length));
    const cue = { start, end, lines: group, speaker: segment.speaker };
    start += length;
    return cue;
  });
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    for (const piece of chop(word)) {
      if (line === "") line = piece;
      else if (line.length + 1 + piece.length <= MAX_LINE_CHARS) line += ` ${piece}`;
      else {
        lines.push(line);
        line = piece;
      }
    }
  }
  if (line !== "") lines.push(line);
  return lines;
}

/** A word longer than a line (a URL) is cut. */
function chop(word: string): string[] {
  if (word.length <= MAX_LINE_CHARS) return [word];
  const characters = [...word];
  const pieces: string[] = [];
  for (let at = 0; at < characters.length; at += MAX_LINE_CHARS) {
    pieces.push(characters.slice(at, at + MAX_LINE_CHARS).join(""));
  }
  return pieces;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}

export function escapeVtt(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** An annotation ends at `>`; entities are decoded in it. */
function voiceName(name: string): string {
  return escapeVtt(oneLine(name));
}
