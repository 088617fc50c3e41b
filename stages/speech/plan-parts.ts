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
