/** The parts of a report's view that are computed rather than copied: turns, shares, the timeline. */
import { QUIET_TYPES } from "../../core/intelligence.ts";
import type { Entity, Intelligence, Verification } from "../../core/intelligence.ts";
import { safeLine } from "../../core/safe-text.ts";
import type { Segment, SegmentFlag, Transcript } from "../../core/transcript.ts";
import { formatClock } from "../formats/timecode.ts";
import { speakerTurns } from "../formats/turns.ts";

/** Names on the timeline; more rows are a wall. */
const MAX_TIMELINE_NAMES = 12;
/** Times of one name that its table row lists. */
const MAX_LISTED_TIMES = 12;

const FLAG_WORDS: Record<SegmentFlag, string> = {
  loop: "may be made up: the same words again and again",
  silence: "may be made up: nothing is to be heard there",
  "low-confidence": "uncertain words",
};

export interface SegmentView {
  id: string;
  text: string;
  seconds: number;
  end: number;
  clock: string;
  link: string | null;
  /**
   * The start of each word of `text`, seconds, joined by spaces; empty where nobody timed them. Where
   * words are not what stands between spaces, `second@place in the text`.
   */
  word_times: string;
  /** In words, for a person; empty: nothing is wrong with it. */
  flags: string;
}

export interface TurnView {
  speaker: string | null;
  segments: SegmentView[];
}

export interface SpeakerView {
  name: string;
  clock: string;
  percent: number;
  turns: number;
}

export interface TimelineRow {
  name: string;
  /** Anchor of the name's card, or of the moments. */
  anchor: string;
  marks: { percent: number; width: number; seconds: number; clock: string }[];
  times: TimeView[];
  more: number;
}

export interface TimeView {
  clock: string;
  seconds: number;
  link: string | null;
}

export type LinkOf = (start: number, end: number) => string | null;

export function viewTurns(transcript: Transcript, linkOf: LinkOf): TurnView[] {
  return speakerTurns(transcript.segments).map(({ speaker, segments }) => ({
    speaker: speaker === null ? null : safeLine(speaker, 200),
    segments: segments.map((segment) => ({
      id: segment.id,
      text: segment.text,
      seconds: segment.start,
      end: segment.end,
      clock: formatClock(segment.start),
      link: linkOf(segment.start, segment.end),
      word_times: timesOfWords(segment),
      flags: describeFlags(segment),
    })),
  }));
}

function describeFlags({ flags = [] }: Segment): string {
  return flags.map((flag) => FLAG_WORDS[flag]).join("; ");
}

/** By segment: why its words may be none that were said. A quote of it is worth no more than they. */
export function doubtsOf({ segments }: Transcript): ReadonlyMap<string, string> {
  return new Map(
    segments.flatMap((segment) => {
      const why = describeFlags(segment);
      return why === "" ? [] : [[segment.id, why] as const];
    }),
  );
}

export function viewTime(start: number, end: number, linkOf: LinkOf): TimeView {
  return { clock: formatClock(start), seconds: start, link: linkOf(start, end) };
}

/** Only where there is one time for each word that is shown: a wrong second is worse than none. */
function timesOfWords({ text, words = [] }: Segment): string {
  if (words.length === 0) return "";
  const times = words.map(({ start }) => Math.round(start * 100) / 100);
  const shown = text.split(/\s+/).filter((word) => word !== "");
  if (words.length === shown.length) return times.join(" ");
  const placed: string[] = [];
  let at = 0;
  for (const [index, word] of words.entries()) {
    const begin = text.indexOf(word.text, at);
    if (begin === -1 || /[\p{L}\p{N}]/u.test(text.slice(at, begin))) return "";
    at = begin + word.text.length;
    placed.push(`${times[index] ?? 0}@${begin}`);
  }
  return /[\p{L}\p{N}]/u.test(text.slice(at)) ? "" : placed.join(" ");
}

/** Who spoke how long, the longest first; segments that nobody is named for are left out. */
export function viewSpeakers(transcript: Transcript): SpeakerView[] {
  const shares = new Map<string, { seconds: number; turns: number }>();
  for (const { speaker, segments } of speakerTurns(transcript.segments)) {
    if (speaker === null) continue;
    const share = shares.get(speaker) ?? { seconds: 0, turns: 0 };
    share.turns++;
    share.seconds += segments.reduce((sum, { start, end }) => sum + Math.max(0, end - start), 0);
    shares.set(speaker, share);
  }
  const total = [...shares.values()].reduce((sum, { seconds }) => sum + seconds, 0) || 1;
  return [...shares]
    .toSorted(([, a], [, b]) => b.seconds - a.seconds)
    .map(([name, { seconds, turns }]) => ({
      name: safeLine(name, 200),
      clock: formatClock(seconds),
      percent: Math.round((seconds / total) * 1000) / 10,
      turns,
    }));
}

interface Timed {
  start: number;
  end: number;
  verification: Verification;
}

/**
 * Key moments first, then the names that are quoted most; what nobody said has no place in time.
 *
 * @param seconds what a whole line stands for.
 */
export function viewTimeline(
  { key_moments: moments, entities }: Intelligence,
  anchorOf: (entity: Entity) => string,
  seconds: number,
  linkOf: LinkOf,
): TimelineRow[] {
  const rows = [
    { name: "Key moments", anchor: "moments", quotes: moments as readonly Timed[] },
    ...entities
      .filter(({ type }) => !QUIET_TYPES.includes(type))
      .toSorted((a, b) => b.evidence.length - a.evidence.length)
      .slice(0, MAX_TIMELINE_NAMES)
      .map((entity) => ({
        name: safeLine(entity.name, 80),
        anchor: anchorOf(entity),
        quotes: entity.evidence as readonly Timed[],
      })),
  ];
  return rows.flatMap(({ name, anchor, quotes }) => {
    const said = quotes
      .filter(({ verification }) => verification !== "unverified")
      .toSorted((a, b) => a.start - b.start);
    if (said.length === 0) return [];
    return {
      name,
      anchor,
      marks: said.map(({ start, end }) => ({
        percent: round((start / seconds) * 100),
        width: Math.max(0.4, round(((end - start) / seconds) * 100)),
        seconds: start,
        clock: formatClock(start),
      })),
      times: said.slice(0, MAX_LISTED_TIMES).map(({ start, end }) => viewTime(start, end, linkOf)),
      more: Math.max(0, said.length - MAX_LISTED_TIMES),
    };
  });
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
