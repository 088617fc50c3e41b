/** Where long sound is cut: near equal parts, at silences where there are any, with an overlap. */

export interface Span {
  start: number;
  end: number;
}

/** Both sides of a cut are heard twice for half of this, so that a word on the cut is whole once. */
export const OVERLAP_S = 16;
/** A cut may move this share of a part to reach a silence. */
const SEARCH_SHARE = 0.1;

/** No part, overlap included, is longer than `maxSeconds`. */
export function planParts(duration: number, silences: readonly Span[], maxSeconds: number): Span[] {
  if (duration <= maxSeconds) return [{ start: 0, end: duration }];
  const longest = Math.max(1, (maxSeconds - OVERLAP_S) / (1 + 2 * SEARCH_SHARE));
  const count = Math.ceil(duration / longest);
  const length = duration / count;
  const cuts = Array.from({ length: count - 1 }, (_, index) =>
    nearestSilence(length * (index + 1), length * SEARCH_SHARE, silences),
  );
  const half = OVERLAP_S / 2;
  return [0, ...cuts].map((cut, index) => ({
    start: index === 0 ? 0 : cut - half,
    end: Math.min(duration, (cuts[index] ?? duration) + half),
  }));
}

/** Longer pieces are no time for a quote; sentences are shorter. */
const MAX_PIECE_S = 30;
const MIN_PIECE_S = 4;
const ROUNDING_S = 0.01;

/** A part that needs no overlap: it begins and ends in a silence, where there is one. */
export interface Piece extends Span {
  /** Where in it somebody may speak. */
  speech: Span;
}

/**
 * For a server that tells no times: the piece's time is that of all its words. Each is as long as
 * the silences let it be; where nobody pauses for half a minute, the cut goes through the words.
 */
export function planPieces(duration: number, silences: readonly Span[]): Piece[] {
  const pieces: Piece[] = [];
  for (let start = 0; start < duration;) {
    const inReach = silences.filter(({ start: from, end: to }) => {
      const middle = (from + to) / 2;
      return middle >= start + MIN_PIECE_S && middle <= start + MAX_PIECE_S;
    });
    const last = inReach.at(-1);
    const isRest = duration - start <= MAX_PIECE_S;
    const cut = isRest ? duration : last ? (last.start + last.end) / 2 : start + MAX_PIECE_S;
    const speech = withoutSilence({ start, end: cut }, silences);
    if (speech !== undefined) pieces.push({ start, end: cut, speech });
    start = cut;
  }
  return pieces;
}

/** Undefined where it is silent from end to end. */
function withoutSilence(span: Span, silences: readonly Span[]): Span | undefined {
  const { start: from, end: to } = span;
  const first = silences.find(({ start, end }) => start <= from && end > from);
  const last = silences.find(({ start, end }) => start < to && end >= to);
  const start = first?.end ?? from;
  const end = last?.start ?? to;
  return end > start ? { start, end } : undefined;
}

/** Whether a server's bare text for so much sound is a time that a quote can have. */
export function isPiece({ start, end }: Span): boolean {
  return end - start <= MAX_PIECE_S + ROUNDING_S;
}

function nearestSilence(wanted: number, reach: number, silences: readonly Span[]): number {
  let best = wanted;
  let bestAway = reach;
  for (const { start, end } of silences) {
    const middle = (start + end) / 2;
    const away = Math.abs(middle - wanted);
    if (away < bestAway) [best, bestAway] = [middle, away];
  }
  return best;
}

/** ffmpeg's `silencedetect` lines; a silence that reaches the end has no `silence_end`. */
export function parseSilences(stderr: string, duration: number): Span[] {
  const silences: Span[] = [];
  for (const [, what, at] of stderr.matchAll(/silence_(start|end): (-?[\d.]+)/g)) {
    const seconds = Math.max(0, Number(at));
    const last = silences.at(-1);
    if (what === "start") silences.push({ start: seconds, end: duration });
    else if (last !== undefined) last.end = seconds;
  }
  return silences;
}
