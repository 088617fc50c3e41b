/**
 * A text as the words that count when quotes are compared: lower case, one kind of apostrophe, no
 * punctuation. Numbers stay whole (`4.2`, `1,000` = `1000`, `-5`), signs that carry meaning (`$`, `%`)
 * are words of their own, and scripts without spaces are compared letter by letter.
 */
export interface QuoteWord {
  plain: string;
  /** Offsets into the text, end exclusive. */
  start: number;
  end: number;
}

const word =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]\p{M}*|(?<![^\s(["“'‘])[-−](?:\p{N}+(?:[.,:]\p{N}+)*|(?=[$€£¥]\p{N}))|\p{N}+(?:[.,:]\p{N}+)*|[\p{L}\p{M}\p{N}]+(?:['’‘][\p{L}\p{M}]+)*|[%‰$€£¥°]/gu;
/** 10² is not 102, nor ½ a 12. */
const raised = /[\u00b2\u00b3\u00b9\u2070-\u209f¼-¾⅐-⅞]/u;
const thousands = /^-?\p{N}{1,3}(?:,\p{N}{3})+(?!\p{N})/u;

export function quoteWords(text: string): QuoteWord[] {
  return [...text.matchAll(word)].map(({ 0: found, index }) => ({
    plain: foldWord(found),
    start: index,
    end: index + found.length,
  }));
}

function foldWord(found: string): string {
  const form = raised.test(found) ? "NFC" : "NFKC";
  const plain = found.normalize(form).toLowerCase().replaceAll(/[’‘]/g, "'").replace("−", "-");
  return thousands.test(plain) ? plain.replaceAll(",", "") : plain;
}

const negation = /^(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot)$|n't$/;
const number =
  /[\p{N}%‰$€£¥°]|^(?:-|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|million|billion|trillion|half|double|percent)$/u;

/** Numbers and negations: with another of them a sentence says something else. */
export function isWeighty(plain: string): boolean {
  return negation.test(plain) || number.test(plain);
}

/** Sounds that a transcriber writes down and nobody quotes, or the other way round. */
const FILLERS = new Set(["uh", "um", "er", "erm", "ah", "eh", "hm", "hmm", "mm"]);
/** Words that can slip in or out of a sentence without changing what it says. */
const LIGHT = new Set(["a", "an", "the", "that", "of", "and", "so", "well", "oh", "now", "then"]);

/** What leaving out or putting in a word costs; undefined where it may change the meaning. */
export function costOfSlip(plain: string, neighbour: string | undefined): number | undefined {
  if (FILLERS.has(plain)) return 0;
  const isStutter = plain === neighbour;
  return !isWeighty(plain) && (isStutter || LIGHT.has(plain)) ? 1 : undefined;
}

/** What turns a word into its opposite: "legal", "illegal". */
const opposite = /^(?:un|in|im|il|ir|dis|non|mis|re|de|pre|anti|under|over)$/;
const MIN_SPELLING_CHARS = 4;
const CHARS_A_LETTER = 4;
const MAX_LETTERS = 2;

/** Whether one word may be the other one misspelt: "Okafor" and "Okafur", never "hired" and "fired". */
export function isSameMisspelt(a: string, b: string): boolean {
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  if (short.length < MIN_SPELLING_CHARS || short[0] !== long[0]) return false;
  if (isWeighty(a) || isWeighty(b)) return false;
  if (long.endsWith(short) && opposite.test(long.slice(0, long.length - short.length)))
    return false;
  const most = Math.min(MAX_LETTERS, Math.floor(long.length / CHARS_A_LETTER));
  return long.length - short.length <= most && letterDistance(short, long) <= most;
}

/** Levenshtein's distance. */
function letterDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [at, letter] of [...a].entries()) {
    let diagonal = at;
    let left = at + 1;
    row = row.map((above, index) => {
      if (index === 0) return left;
      const cost = Math.min(diagonal + (b[index - 1] === letter ? 0 : 1), above + 1, left + 1);
      diagonal = above;
      left = cost;
      return cost;
    });
  }
  return row.at(-1) ?? a.length;
}
