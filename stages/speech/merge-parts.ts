/**
 * Joins the transcripts of overlapping parts. What both heard decides where one ends and the other
 * goes on: their longest common run of words, whose middle is the seam. Times drift between parts,
 * words don't; time alone decides only where the parts have no words in common.
 */
import type { TranscribeAnswer } from "../../core/stage.ts";
import { isUnspaced, spaceBetween } from "../../core/word-spaces.ts";
import type { Span } from "./plan-parts.ts";

export type SpokenSegment = TranscribeAnswer["segments"][number];

export interface Part extends Span {
  /** Times from the start of the whole. */
  segments: readonly SpokenSegment[];
}

interface Token {
  /** With the space that stands before it. */
  text: string;
  plain: string;
  start: number;
  end: number;
  segment: SpokenSegment;
  word: NonNullable<SpokenSegment["words"]>[number] | undefined;
  speaker: string | null;
}

/** How far the times of two parts may drift apart. */
const DRIFT_S = 3;
/** One word in common may be chance. */
const MIN_RUN = 2;

export function mergeParts(parts: readonly Part[]): SpokenSegment[] {
  const [first, ...rest] = parts;
  if (first === undefined) return [];
  let merged = tokensOf(first.segments);
  let end = first.end;
  for (const [index, part] of rest.entries()) {
    merged = join(merged, tokensOf(part.segments), { start: part.start, end }, index + 2);
    end = part.end;
  }
  return toSegments(merged);
}

function join(before: Token[], after: Token[], overlap: Span, partNumber: number): Token[] {
  const tail = before.filter(({ end }) => end > overlap.start - DRIFT_S);
  const head = after.filter(({ start }) => start < overlap.end + DRIFT_S);
  const kept = before.length - tail.length;
  const run = longestRun(tail, head);
  const named = matchSpeakers(run === undefined ? [] : pairsOf(tail, head, run), after, partNumber);
  if (run === undefined) {
    const seam = (overlap.start + overlap.end) / 2;
    const middle = ({ start, end }: Token): number => (start + end) / 2;
    return [
      ...before.filter((token) => middle(token) < seam),
      ...named.filter((token) => middle(token) >= seam),
    ];
  }
  const half = Math.floor(run.length / 2);
  return [...before.slice(0, kept + run.tailAt + half), ...named.slice(run.headAt + half)];
}

interface Run {
  tailAt: number;
  headAt: number;
  length: number;
}

/** Of equally long runs, the one whose times fit best. */
function longestRun(tail: readonly Token[], head: readonly Token[]): Run | undefined {
  let best: (Run & { away: number }) | undefined;
  let row: number[] = [];
  for (const [tailAt, token] of tail.entries()) {
    const next: number[] = [];
    for (const [headAt, other] of head.entries()) {
      const isSame = token.plain === other.plain && token.plain !== "";
      const away = Math.abs(token.start - other.start);
      const length = isSame && away <= 2 * DRIFT_S ? (row[headAt - 1] ?? 0) + 1 : 0;
      next.push(length);
      const isBetter =
        best === undefined || length > best.length || (length === best.length && away < best.away);
      if (length >= MIN_RUN && isBetter) {
        best = { tailAt: tailAt - length + 1, headAt: headAt - length + 1, length, away };
      }
    }
    row = next;
  }
  return best;
}

function pairsOf(tail: readonly Token[], head: readonly Token[], run: Run): [Token, Token][] {
  return Array.from({ length: run.length }, (_, at) => {
    const pair = [tail[run.tailAt + at], head[run.headAt + at]];
    return pair as [Token, Token];
  });
}

/**
 * Speakers are numbered anew in each part. Whoever said the same words is the same person; a voice
 * that the seam says nothing of keeps its label with the part's number and is marked so.
 */
function matchSpeakers(
  pairs: readonly [Token, Token][],
  after: readonly Token[],
  partNumber: number,
): Token[] {
  const votes = new Map<string, Map<string, number>>();
  for (const [{ speaker: known }, { speaker }] of pairs) {
    if (known === null || speaker === null) continue;
    const counts = votes.get(speaker) ?? new Map<string, number>();
    votes.set(speaker, counts.set(known, (counts.get(known) ?? 0) + 1));
  }
  const ranked = [...votes]
    .flatMap(([speaker, counts]) =>
      [...counts].map(([known, count]) => ({ speaker, known, count })),
    )
    .toSorted((a, b) => b.count - a.count);
  const matched = new Map<string, string>();
  for (const { speaker, known } of ranked) {
    const isTaken = [...matched.values()].includes(known);
    if (!matched.has(speaker) && !isTaken) matched.set(speaker, known);
  }
  return after.map((token) => {
    const { speaker } = token;
    if (speaker === null) return token;
    const name = matched.get(speaker) ?? `${speaker} (part ${partNumber}, not matched)`;
    return { ...token, speaker: name };
  });
}

/** Without word times, a segment's time is shared out by length. */
function tokensOf(segments: readonly SpokenSegment[]): Token[] {
  return segments.flatMap((segment): Token[] => {
    const { speaker } = segment;
    if (segment.words !== undefined && segment.words.length > 0) {
      return segment.words.map((word, at, all) => ({
        text: `${spaceBetween(all[at - 1]?.text ?? "", word.text)}${word.text}`,
        plain: plainOf(word.text),
        start: word.start,
        end: word.end,
        segment,
        word,
        speaker,
      }));
    }
    const { text, start, end } = segment;
    const pieces = [...text.matchAll(/\s*\S+/g)].flatMap(({ 0: piece, index }) =>
      isUnspaced(piece)
        ? Array.from(piece, (char, at) => ({ piece: char, index: index + at }))
        : [{ piece, index }],
    );
    const perChar = text.length === 0 ? 0 : (end - start) / text.length;
    return pieces.map(({ piece, index }) => ({
      text: piece,
      plain: plainOf(piece),
      start: start + index * perChar,
      end: start + (index + piece.length) * perChar,
      segment,
      word: undefined,
      speaker,
    }));
  });
}

function plainOf(text: string): string {
  return text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");
}

function toSegments(tokens: readonly Token[]): SpokenSegment[] {
  const groups: Token[][] = [];
  for (const token of tokens) {
    const group = groups.at(-1);
    if (group?.[0]?.segment === token.segment && group[0].speaker === token.speaker) {
      group.push(token);
    } else groups.push([token]);
  }
  return groups.map((group) => {
    const [first] = group as [Token, ...Token[]];
    const { segment, speaker } = first;
    const words = group.flatMap(({ word }) => (word === undefined ? [] : [word]));
    return {
      start: first.start,
      end: Math.max(...group.map(({ end }) => end)),
      text: group
        .map(({ text }) => text)
        .join("")
        .trim(),
      speaker,
      ...(segment.confidence !== undefined && { confidence: segment.confidence }),
      ...(words.length > 0 && { words }),
    };
  });
}
