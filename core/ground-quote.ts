/**
 * Says whether a quote was said, and when. Code does this, never a model: a quote is `verified` if
 * its words stand in the named segments, `repaired` if they stand elsewhere or nearly so (the quote
 * is then what was said, not what the model wrote), and `unverified` if nobody said them. Times come
 * from words and segments alone.
 */
import type { Evidence } from "./intelligence.ts";
import type { Segment } from "./transcript.ts";

/** A sentence may run over so many segments. */
const MAX_SPAN = 4;

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

export function indexQuotes(segments: readonly Segment[]): QuoteIndex {
  const positions = new Map(segments.map(({ id }, at) => [id, at]));
  const plain = segments.map(({ text }) => normalise(text).text);

  function findIn(from: number, to: number, wanted: string): GroundedQuote | undefined {
    const span = segments.slice(from, to + 1);
    const joined = span.map(({ text }) => text).join(" ");
    const { text, offsets } = normalise(joined);
    const at = findWhole(text, wanted);
    if (at === -1) return undefined;
    const first = offsets[at] ?? 0;
    const last = offsets[at + wanted.length - 1] ?? first;
    const used = touched(span, first, last);
    return {
      ...describe(used, wordsWithin(span, first, last)),
      quote: joined.slice(first, last + 1),
      verification: "verified",
    };
  }

  /** The words near the named segments that differ from the quote in the fewest places. */
  function nearly(quote: string, from: number, to: number): GroundedQuote | undefined {
    const wanted = tokensOf(quote);
    if (wanted.length < MIN_FUZZY_WORDS || to - from >= MAX_SPAN) return undefined;
    const span = segments.slice(Math.max(0, from - NEAR), to + NEAR + 1);
    const joined = span.map(({ text }) => text).join(" ");
    const said = tokensOf(joined);
    const found = closestRun(wanted, said);
    const run = found && said.slice(found.from, found.to);
    const [first, last] = [run?.[0], run?.at(-1)];
    if (run === undefined || first === undefined || last === undefined) return undefined;
    if (weightyWords(wanted) !== weightyWords(run)) return undefined;
    const used = touched(span, first.start, last.end - 1);
    return {
      ...describe(used, wordsWithin(span, first.start, last.end - 1)),
      quote: joined.slice(first.start, last.end),
      verification: "repaired",
    };
  }

  return {
    ground(quote, segmentIds) {
      const wanted = normalise(trimQuote(quote)).text;
      const named = segmentIds.flatMap((id) => positions.get(id) ?? []).toSorted((a, b) => a - b);
      const from = named[0];
      const to = named.at(-1);
      if (wanted !== "" && from !== undefined && to !== undefined && to - from < MAX_SPAN) {
        const found = findIn(from, to, wanted);
        if (found !== undefined) return found;
      }
      if (wanted !== "") {
        for (let at = 0; at < segments.length; at++) {
          if (!mayBegin(plain, at, wanted)) continue;
          const found = findIn(at, Math.min(at + MAX_SPAN - 1, segments.length - 1), wanted);
          if (found !== undefined) return { ...found, verification: "repaired" };
        }
      }
      const near = from === undefined || to === undefined ? undefined : nearly(quote, from, to);
      if (near !== undefined) return near;
      const span = named.map((at) => segments[at]).filter((each) => each !== undefined);
      return { ...describe(span), quote, verification: "unverified" };
    },
  };
}

/** A quick look before the thorough one: the first word has to be there. */
function mayBegin(plain: readonly string[], at: number, wanted: string): boolean {
  const word = wanted.split(" ", 1)[0] ?? wanted;
  return plain[at]?.includes(word) === true;
}

function touched(span: readonly Segment[], first: number, last: number): Segment[] {
  const used: Segment[] = [];
  let offset = 0;
  for (const segment of span) {
    const end = offset + segment.text.length;
    if (first < end && last >= offset) used.push(segment);
    offset = end + 1;
  }
  return used;
}

function describe(
  span: readonly Segment[],
  words: readonly Timed[] = [],
): Pick<GroundedQuote, "start" | "end" | "segment_ids" | "speaker"> {
  return {
    start: words[0]?.start ?? span[0]?.start ?? 0,
    end: words.at(-1)?.end ?? span.at(-1)?.end ?? 0,
    segment_ids: span.map(({ id }) => id),
    speaker: span[0]?.speaker ?? null,
  };
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

const wordChar = /[\p{L}\p{N}]/u;
const unspacedChar = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

/** Where `wanted` stands as whole words: "art" is not in "party". */
function findWhole(text: string, wanted: string): number {
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + 1)) {
    const isCut = (left: string | undefined, right: string | undefined): boolean =>
      left !== undefined &&
      right !== undefined &&
      wordChar.test(left) &&
      wordChar.test(right) &&
      !unspacedChar.test(left) &&
      !unspacedChar.test(right);
    const end = at + wanted.length;
    if (!isCut(text[at - 1], text[at]) && !isCut(text[end - 1], text[end])) return at;
  }
  return -1;
}

/** A shorter quote has too little that could hold it to its place. */
const MIN_FUZZY_WORDS = 6;
/** One word in so many may be missing, added or another. */
const WORDS_A_DIFFERENCE = 6;
const MAX_DIFFERENCES = 3;
/** Segments before and after the named ones. */
const NEAR = 2;

interface Token {
  plain: string;
  start: number;
  end: number;
}

function tokensOf(text: string): Token[] {
  return [...text.matchAll(/[\p{L}\p{N}]+(?:['’][\p{L}]+)*/gu)].map(({ 0: word, index }) => ({
    plain: normalise(word).text,
    start: index,
    end: index + word.length,
  }));
}

/** Sellers' approximate search, over words: the run of `said` with the fewest differences. */
function closestRun(
  wanted: readonly Token[],
  said: readonly Token[],
): { from: number; to: number } | undefined {
  const most = Math.min(MAX_DIFFERENCES, Math.floor(wanted.length / WORDS_A_DIFFERENCE));
  let row = wanted.map((_, at) => ({ cost: at + 1, from: 0 }));
  let best: { cost: number; from: number; to: number } | undefined;
  for (const [at, { plain }] of said.entries()) {
    let diagonal = { cost: 0, from: at };
    let left = { cost: 0, from: at + 1 };
    row = row.map((above, index) => {
      const differs = wanted[index]?.plain === plain ? 0 : 1;
      const options = [
        { cost: diagonal.cost + differs, from: diagonal.from },
        { cost: above.cost + 1, from: above.from },
        { cost: left.cost + 1, from: left.from },
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
  return best;
}

const negation = /^(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot)$|n't$/;
const number =
  /\p{N}|^(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million|billion|trillion)$/u;

/** Numbers and negations turn a sentence into another one: with another of them, nothing is near. */
function weightyWords(tokens: readonly Token[]): string {
  const weighty = tokens.map(({ plain }) => plain);
  return weighty.filter((word) => negation.test(word) || number.test(word)).join(" ");
}

function trimQuote(quote: string): string {
  return quote.replaceAll(/^[\s"'“”‘’«»….,;:!?]+|[\s"'“”‘’«»….,;:!?]+$/g, "");
}

/**
 * Lower case, straight quotes, plain dashes, single spaces; each character remembers where it stood,
 * so that what is found can be quoted as it was written.
 */
function normalise(text: string): { text: string; offsets: number[] } {
  let plain = "";
  const offsets: number[] = [];
  let gap = true;
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? "";
    if (/\s/.test(char)) {
      if (gap) continue;
      gap = true;
      plain += " ";
      offsets.push(at);
      continue;
    }
    gap = false;
    const folded = fold(char);
    for (const _unit of folded) offsets.push(at);
    plain += folded;
  }
  return { text: plain.trimEnd(), offsets };
}

function fold(char: string): string {
  if (/[‘’‚‛′]/.test(char)) return "'";
  if (/[“”„‟″«»]/.test(char)) return '"';
  if (/[‐‑‒–—]/.test(char)) return "-";
  const lower = char.toLowerCase();
  // A letter whose lower case is longer would shift all that follows.
  return lower.length === 1 ? lower : char;
}
