/**
 * Says whether a quote was said, and when. Code does this, never a model: a quote is `verified` if
 * its words stand in the named segments, one after the other; `repaired` if they stand elsewhere, or
 * there with slips that can't change what is said (the quote is then what was said, not what the
 * model wrote); and `unverified` if nobody said them. The end of one person's sentence and the
 * beginning of another's is what nobody said. Times come from words and segments alone.
 */
import type { Evidence } from "./intelligence.ts";
import { costOfSlip, isSameMisspelt, isWeighty, quoteWords } from "./quote-words.ts";
import type { Segment } from "./transcript.ts";

/** A sentence may run over so many segments. */
const MAX_SPAN = 4;
/** Segments before and after the named ones that a slip of the number may mean. */
const NEAR = 2;
/** A shorter quote that was said more than once proves nothing far from the named segments. */
const MIN_FAR_WORDS = 4;
/** A shorter quote has too little that could hold it to its place. */
const MIN_SLIP_WORDS = 6;
/** One slip in so many words, and no more than three. */
const WORDS_A_SLIP = 6;
const MAX_SLIPS = 3;

export interface GroundedQuote {
  /** Verbatim from the transcript, unless unverified. */
  quote: string;
  start: number;
  end: number;
  segment_ids: string[];
  speaker: string | null;
  verification: Evidence["verification"];
}

export interface QuoteIndex {
  ground(quote: string, segmentIds: readonly string[]): GroundedQuote;
}

/** A word of the transcript; offsets are into its segment's text. */
interface SaidWord {
  plain: string;
  segment: number;
  start: number;
  end: number;
}

/** Words of the transcript, `to` exclusive. */
interface Run {
  from: number;
  to: number;
}

export function indexQuotes(segments: readonly Segment[]): QuoteIndex {
  const positions = new Map(segments.map(({ id }, at) => [id, at]));
  const said: SaidWord[] = segments.flatMap(({ text }, segment) =>
    quoteWords(text).map((word) => ({ ...word, segment })),
  );
  /** Where the words of a segment begin; one more for the end. */
  const firstWords: number[] = [];
  const places = new Map<string, number[]>();
  for (const [at, { plain, segment }] of said.entries()) {
    while (firstWords.length <= segment) firstWords.push(at);
    const known = places.get(plain);
    if (known === undefined) places.set(plain, [at]);
    else known.push(at);
  }
  while (firstWords.length <= segments.length) firstWords.push(said.length);

  function wordsOf(from: number, to: number): Run {
    const first = Math.max(0, from);
    const last = Math.min(segments.length - 1, to);
    return { from: firstWords[first] ?? 0, to: firstWords[last + 1] ?? said.length };
  }

  function standsAt(wanted: readonly string[], at: number): boolean {
    if (at < 0 || at + wanted.length > said.length) return false;
    const isThere = wanted.every((plain, index) => said[at + index]?.plain === plain);
    return isThere && isOfOne({ from: at, to: at + wanted.length });
  }

  /** Whether few enough segments, and no two people, have said these words. */
  function isOfOne({ from, to }: Run): boolean {
    const [first, last] = [said[from]?.segment ?? 0, said[to - 1]?.segment ?? 0];
    if (last - first >= MAX_SPAN) return false;
    return speakersOf(segments.slice(first, last + 1)).length <= 1;
  }

  /** All places where the words stand one after the other, found by the rarest of them. */
  function findAll(wanted: readonly string[]): number[] {
    let rarest: { index: number; at: readonly number[] } | undefined;
    for (const [index, plain] of wanted.entries()) {
      const at = places.get(plain) ?? [];
      if (rarest === undefined || at.length < rarest.at.length) rarest = { index, at };
    }
    const { index = 0, at = [] } = rarest ?? {};
    return at.map((place) => place - index).filter((place) => standsAt(wanted, place));
  }

  function answer(run: Run, verification: Evidence["verification"]): GroundedQuote {
    const first = said[run.from];
    const last = said[run.to - 1];
    const span = segments.slice(first?.segment ?? 0, (last?.segment ?? 0) + 1);
    const joined = span.map(({ text }) => text).join(" ");
    const before = span.slice(0, -1).reduce((sum, { text }) => sum + text.length + 1, 0);
    const [start, end] = [first?.start ?? 0, before + (last?.end ?? 0)];
    return {
      ...describe(span, wordsWithin(span, start, end - 1)),
      quote: joined.slice(start, end),
      verification,
    };
  }

  return {
    ground(quote, segmentIds) {
      const wanted = quoteWords(quote).map(({ plain }) => plain);
      const named = segmentIds.flatMap((id) => positions.get(id) ?? []).toSorted((a, b) => a - b);
      const [from, to] = [named[0], named.at(-1)];
      const isNamed = from !== undefined && to !== undefined && to - from < MAX_SPAN;
      const found = wanted.length === 0 ? [] : findAll(wanted);
      const within = (run: Run, at: number): boolean =>
        at >= run.from && at + wanted.length <= run.to;
      if (isNamed) {
        const named = wordsOf(from, to);
        const there = found.find((at) => within(named, at));
        if (there !== undefined) {
          return answer({ from: there, to: there + wanted.length }, "verified");
        }
      }
      const around = isNamed ? wordsOf(from - NEAR, to + NEAR) : { from: 0, to: 0 };
      const middle = (around.from + around.to) / 2;
      const [nearest] = found
        .filter((at) => found.length === 1 || wanted.length >= MIN_FAR_WORDS || within(around, at))
        .toSorted((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
      if (nearest !== undefined) {
        return answer({ from: nearest, to: nearest + wanted.length }, "repaired");
      }
      const slipped = isNamed
        ? findWithSlips(wanted, said.slice(around.from, around.to))
        : undefined;
      if (slipped !== undefined) {
        const run = { from: around.from + slipped.from, to: around.from + slipped.to };
        if (isOfOne(run)) return answer(run, "repaired");
      }
      const span = named.map((at) => segments[at]).filter((each) => each !== undefined);
      // Nobody said it, so it is put into nobody's mouth.
      return { ...describe(span), speaker: null, quote, verification: "unverified" };
    },
  };
}

/**
 * The run of `said` that the quote can be with the fewest slips: fillers, stutters, light words and
 * misspellings. A number, a negation or a word that means something else is no slip.
 * Sellers' approximate search over words.
 */
function findWithSlips(wanted: readonly string[], said: readonly SaidWord[]): Run | undefined {
  if (wanted.length < MIN_SLIP_WORDS) return undefined;
  const most = Math.min(MAX_SLIPS, Math.floor(wanted.length / WORDS_A_SLIP));
  const impossible = Number.POSITIVE_INFINITY;
  const plus = (cost: number, more: number | undefined): number => cost + (more ?? impossible);
  let row: { cost: number; from: number }[] = [];
  for (const [index, plain] of wanted.entries()) {
    const before = row.at(-1)?.cost ?? 0;
    row.push({ cost: plus(before, costOfSlip(plain, wanted[index - 1])), from: 0 });
  }
  let best: (Run & { cost: number }) | undefined;
  for (const [at, { plain }] of said.entries()) {
    let diagonal = { cost: 0, from: at };
    let left = { cost: 0, from: at + 1 };
    const skipped = costOfSlip(plain, said[at - 1]?.plain);
    row = row.map((above, index) => {
      const word = wanted[index] ?? "";
      const differs = word === plain ? 0 : isSameMisspelt(word, plain) ? 1 : undefined;
      const options = [
        { cost: plus(diagonal.cost, differs), from: diagonal.from },
        { cost: plus(above.cost, skipped), from: above.from },
        { cost: plus(left.cost, costOfSlip(word, wanted[index - 1])), from: left.from },
      ];
      diagonal = above;
      left = options.reduce((a, b) => (b.cost < a.cost ? b : a));
      return left;
    });
    const end = row.at(-1);
    if (end !== undefined && end.cost <= most && (best === undefined || end.cost < best.cost)) {
      best = { ...end, to: at + 1 };
    }
  }
  if (best === undefined) return undefined;
  const weighty = (words: readonly string[]): string => words.filter(isWeighty).join(" ");
  const run = said.slice(best.from, best.to);
  const isSame = weighty(wanted) === weighty(run.map(({ plain }) => plain));
  return isSame && run.length > 0 ? best : undefined;
}

function describe(
  span: readonly Segment[],
  words: readonly Timed[] = [],
): Pick<GroundedQuote, "start" | "end" | "segment_ids" | "speaker"> {
  return {
    start: words[0]?.start ?? span[0]?.start ?? 0,
    end: words.at(-1)?.end ?? span.at(-1)?.end ?? 0,
    segment_ids: span.map(({ id }) => id),
    speaker: span.every(({ speaker }) => speaker === span[0]?.speaker)
      ? (span[0]?.speaker ?? null)
      : null,
  };
}

/** Those that are named: a segment without a speaker may be anybody's. */
function speakersOf(span: readonly Segment[]): string[] {
  return [...new Set(span.flatMap(({ speaker }) => speaker ?? []))];
}

type Timed = NonNullable<Segment["words"]>[number];

/**
 * The timed words of the characters `first` to `last` of the span's joined text. Empty unless the
 * first and the last segment have them all: a time is exact or that of the whole segment.
 */
function wordsWithin(span: readonly Segment[], first: number, last: number): Timed[] {
  const found: Timed[] = [];
  let offset = 0;
  for (const { text, words } of span) {
    const isUsed = first < offset + text.length && last >= offset;
    let at = 0;
    for (const word of isUsed ? (words ?? []) : []) {
      const begin = text.indexOf(word.text, at);
      if (begin === -1) return [];
      at = begin + word.text.length;
      if (offset + begin <= last && offset + at > first) found.push(word);
    }
    if (isUsed && (words ?? []).length === 0) return [];
    offset += text.length + 1;
  }
  return found;
}
