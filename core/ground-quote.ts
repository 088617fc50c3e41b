/**
 * Says whether a quote was said, and when. Code does this, never a model: a quote is `verified` if
 * its words stand in the named segments, `repaired` if they stand elsewhere, and `unverified` if
 * nobody said them. Times come from segments alone.
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
    const at = text.indexOf(wanted);
    if (at === -1) return undefined;
    const first = offsets[at] ?? 0;
    const last = offsets[at + wanted.length - 1] ?? first;
    const used = touched(span, first, last);
    return { ...describe(used), quote: joined.slice(first, last + 1), verification: "verified" };
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
): Pick<GroundedQuote, "start" | "end" | "segment_ids" | "speaker"> {
  return {
    start: span[0]?.start ?? 0,
    end: span.at(-1)?.end ?? 0,
    segment_ids: span.map(({ id }) => id),
    speaker: span[0]?.speaker ?? null,
  };
}

function trimQuote(quote: string): string {
  return quote.replaceAll(/^[\s"'“”‘’«»….]+|[\s"'“”‘’«»…]+$/g, "");
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
