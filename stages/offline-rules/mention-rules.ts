/**
 * Finds names, sums, dates and the like in one segment's text, without a model: people, places and
 * organisations by the NLP library compromise, the rest by patterns. Each rule has a confidence,
 * set by how often it is wrong, not learnt.
 */
import nlp from "compromise";

import type { EntityType } from "../../core/intelligence.ts";

export interface Mention {
  type: EntityType;
  /** As it stands in the text. */
  text: string;
  start: number;
  end: number;
  confidence: number;
}

const MONTH =
  "(?:January|February|March|April|May|June|July|August|September|October|November|December)";
const WEEKDAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)";
const NUMBER_WORD =
  "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|trillion|half|dozen|point)";
const NUMBER = `(?:\\d{1,3}(?:,\\d{3})+(?:\\.\\d+)?|\\d+(?:\\.\\d+)?|${NUMBER_WORD}(?:[ -]${NUMBER_WORD})*)`;
const SCALE = "(?:thousand|million|billion|trillion|bn|[kKmM]\\b)";
const NAME = "\\p{Lu}[\\p{L}\\d'’&-]*";
const NAMES = `${NAME}(?:\\s+(?:of\\s+the\\s+|of\\s+|for\\s+|and\\s+)?${NAME}){0,5}`;

interface Rule {
  type: EntityType;
  confidence: number;
  pattern: RegExp;
}

const rule = (type: EntityType, confidence: number, source: string, flags = "gu"): Rule => ({
  type,
  confidence,
  pattern: new RegExp(source, flags),
});

/** Earlier rules win where two overlap. */
const RULES: readonly Rule[] = [
  rule("MONEY", 0.95, `[$€£¥]\\s?\\d[\\d,]*(?:\\.\\d+)?(?:\\s?${SCALE})?`, "giu"),
  rule(
    "MONEY",
    0.9,
    `\\b${NUMBER}(?:\\s${SCALE})?\\s(?:(?:US\\s)?dollars?|euros?|pounds|francs|cents|yen)\\b`,
    "giu",
  ),
  rule("PERCENT", 0.95, `\\b${NUMBER}\\s?(?:%|percent\\b|per cent\\b)`, "giu"),
  rule(
    "LAW",
    0.85,
    `\\b${NAME}(?:\\s+(?:of\\s+|and\\s+)?${NAME}){0,5}\\s+(?:Act|Ordinance|Bill|Amendment|Treaty|Statute|Directive|Regulation)\\b(?:\\s+(?:of\\s+)?\\d[\\d-]*)?`,
  ),
  rule(
    "LAW",
    0.85,
    `\\b(?:Measure|Proposition|Ordinance|Resolution|Section|Article|Bill)\\s+(?:\\d[\\d-]*|[A-Z]\\b)`,
  ),
  rule("DATE", 0.95, `\\b${MONTH}(?:\\s+\\d{1,2}(?:st|nd|rd|th)?)?(?:,?\\s+\\d{4})?\\b`),
  rule("DATE", 0.95, `\\b\\d{1,2}(?:st|nd|rd|th)?\\s+(?:of\\s+)?${MONTH}(?:\\s+\\d{4})?\\b`),
  rule("DATE", 0.9, `\\b(?:last|next|this|on)?\\s?${WEEKDAY}\\b`),
  rule(
    "DATE",
    0.8,
    `\\b(?:last|next|this)\\s+(?:week|month|year|spring|summer|autumn|fall|winter|quarter)\\b|\\b(?:yesterday|tomorrow|today)\\b`,
    "giu",
  ),
  rule("DATE", 0.85, `\\b(?:19|20)\\d{2}\\b`),
  rule("TIME", 0.9, `\\b\\d{1,2}(?::\\d{2})?\\s?(?:[ap]\\.?m\\b\\.?|o['’]clock)`, "giu"),
  rule("TIME", 0.7, `\\b(?:noon|midnight)\\b`, "giu"),
  rule(
    "QUANTITY",
    0.85,
    `\\b${NUMBER}\\s(?:metres?|meters?|kilometres?|kilometers?|miles?|feet|foot|inches|tonnes?|tons?|kilograms?|kilos?|pounds|litres?|liters?|gallons?|acres?|hectares?|degrees|hours?|minutes?|seconds?|days?|weeks?|months?|years?)\\b`,
    "giu",
  ),
  rule(
    "ORG",
    0.85,
    `\\b(?:${NAME}\\s+(?:(?:of|for|and)\\s+(?:the\\s+)?)?){1,5}(?:Authority|Agency|Association|Bank|Board|Bureau|Centre|Center|College|Commission|Committee|Company|Construction|Corporation|Corp\\.?|Council|Court|Department|Engineering|Federation|Foundation|Group|Holdings|Inc\\.?|Institute|Laboratory|Labs|League|Ltd\\.?|Ministry|Office|Organi[sz]ation|Partners|Party|Police|Society|Trust|Union|University|Works)\\b`,
  ),
  rule(
    "ORG",
    0.8,
    `\\b(?:Department|Ministry|University|Bank|Office|Board|Bureau|Institute)\\s+of\\s+${NAMES}`,
  ),
  rule(
    "FAC",
    0.8,
    `\\b(?:${NAME}\\s+){1,4}(?:Bridge|Tunnel|Airport|Station|Stadium|Hospital|Library|Museum|School|Park|Tower|Plaza|Hall|Road|Street|Avenue|Highway|Dam|Pier|Terminal)\\b`,
  ),
  rule(
    "EVENT",
    0.75,
    `\\b(?:${NAME}\\s+){1,4}(?:Summit|Festival|Conference|Olympics|Fair|Forum|Hearing|Election|Cup|Marathon|Expo)\\b`,
  ),
  rule(
    "LOC",
    0.75,
    `\\b(?:(?:${NAME}\\s+){1,3}(?:River|Lake|Sea|Ocean|Bay|Mountains?|Valley|Island|Coast|Desert|Peninsula|Delta)|(?:Lake|Mount|Cape)\\s+${NAME})\\b`,
  ),
  rule("WORK_OF_ART", 0.6, `[“"]\\p{Lu}[^”"]{2,60}[”"]`),
  rule(
    "LANGUAGE",
    0.6,
    `\\b(?:in|speaks?|spoke|translated (?:in)?to)\\s(?<name>English|Spanish|French|German|Portuguese|Arabic|Mandarin|Russian|Ukrainian|Polish|Italian|Turkish|Hindi|Japanese|Korean)\\b`,
  ),
  rule(
    "NORP",
    0.7,
    `\\b(?:Republicans?|Democrats?|Labour|Conservatives?|Greens|Liberals?|Socialists?|Catholics?|Protestants?|Muslims?|Jews|Jewish|Christians?|Americans?|Europeans?|British|Germans?|French|Spanish|Norwegians?|Danish|Swedish|Canadians?|Mexicans?|Chinese|Russians?|Ukrainians?)\\b`,
  ),
  rule(
    "ORDINAL",
    0.7,
    `\\b(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\\d+(?:st|nd|rd|th))\\b`,
    "giu",
  ),
  rule(
    "CARDINAL",
    0.7,
    `\\b(?:\\d{1,3}(?:,\\d{3})+|\\d+(?:\\.\\d+)?)(?:\\s(?:hundred|thousand|million|billion))?\\b`,
    "giu",
  ),
  rule(
    "CARDINAL",
    0.6,
    `\\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[ -]${NUMBER_WORD})*\\b`,
    "giu",
  ),
  rule(
    "GPE",
    0.65,
    `\\b(?:Port|Saint|San|Santa|New|North|South|East|West|Fort|Los|Las|El)\\s+${NAME}(?!\\s+(?:City|Council|Union|Bank))`,
  ),
];

/** Words that begin a sentence or a title and are no part of a name. */
const LEADING_WORDS =
  /^(?:The|This|That|These|Those|A|An|And|But|So|In|On|At|For|From|With|By|If|When|While|As|To|Of|Our|Your|My|His|Her|Their|Its|We|I|You|He|She|They|It|Yes|No|Not|Madam|Sir)\s+/u;
const NOT_A_NAME =
  /^(?:I|We|You|He|She|They|It|The|This|That|Yes|No|Okay|Thanks|Thank|Madam|Sir|Mayor|Council|Councilmember|President|Chair|Director|Everyone|Nobody)$/iu;

/** @param known full names that are certain: the speakers. */
export function findMentions(text: string, known: readonly string[]): Mention[] {
  const found: Mention[] = [];
  const free = (start: number, end: number): boolean =>
    found.every((other) => end <= other.start || start >= other.end);
  const add = (type: EntityType, start: number, raw: string, confidence: number): void => {
    const lead = type === "WORK_OF_ART" ? 0 : (LEADING_WORDS.exec(raw)?.[0].length ?? 0);
    const mention = raw.slice(lead).trim();
    const from = text.indexOf(mention, start);
    if (mention.length < 1 || from === -1 || !free(from, from + mention.length)) return;
    found.push({ type, text: mention, start: from, end: from + mention.length, confidence });
  };

  for (const name of known) {
    for (const match of text.matchAll(new RegExp(`\\b${escape(name)}\\b`, "gu"))) {
      add("PERSON", match.index, match[0], 0.98);
    }
  }
  for (const { type, confidence, pattern } of RULES.filter(
    ({ type }) => type !== "CARDINAL" && type !== "ORDINAL",
  )) {
    addMatches(text, pattern, (start, raw) => add(type, start, raw, confidence));
  }
  const document = nlp(text);
  for (const { text: name, start } of offsetsOf(document.people())) {
    const plain = stripPossessive(name);
    if (/\p{Lu}/u.test(plain) && !NOT_A_NAME.test(plain)) {
      add("PERSON", start, plain, plain.includes(" ") ? 0.85 : 0.65);
    }
  }
  for (const { text: name, start } of offsetsOf(document.organizations())) {
    const plain = stripPossessive(name);
    if (/^\p{Lu}/u.test(plain) && !NOT_A_NAME.test(plain)) add("ORG", start, plain, 0.65);
  }
  for (const { text: name, start } of offsetsOf(document.places())) {
    const plain = stripPossessive(name);
    if (/^\p{Lu}/u.test(plain)) add("GPE", start, plain, 0.75);
  }
  for (const { type, confidence, pattern } of RULES.filter(
    ({ type }) => type === "CARDINAL" || type === "ORDINAL",
  )) {
    addMatches(text, pattern, (start, raw) => add(type, start, raw, confidence));
  }
  return found.toSorted((a, b) => a.start - b.start);
}

function addMatches(
  text: string,
  pattern: RegExp,
  add: (start: number, raw: string) => void,
): void {
  for (const match of text.matchAll(pattern)) {
    const name = match.groups?.["name"];
    if (name === undefined) add(match.index, match[0]);
    else add(match.index + match[0].lastIndexOf(name), name);
  }
}

interface View {
  json(options: { offset: boolean }): unknown;
}

function offsetsOf(view: View): { text: string; start: number }[] {
  const items = view.json({ offset: true }) as { text: string; offset?: { start: number } }[];
  return items.map(({ text, offset }) => ({ text, start: offset?.start ?? 0 }));
}

function stripPossessive(name: string): string {
  return name
    .replaceAll(/^[\s"“‘(]+|[\s"”)]+$/g, "")
    .replace(/[,.;:!?]+$/, "")
    .replace(/['’]s$/u, "")
    .replace(/['’]$/u, "");
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
}

/** Sentences of a text with their places, for quotes. */
export function splitSentences(text: string): { text: string; start: number; end: number }[] {
  const sentences: { text: string; start: number; end: number }[] = [];
  let from = 0;
  for (const match of text.matchAll(/[.!?…]+["'”’)\]]*(?=\s+["'“‘(]?\p{Lu}|\s*$)/gu)) {
    const end = match.index + match[0].length;
    const before = text.slice(from, end);
    // "Mr. Okafor" and "St. Mary" are one sentence.
    if (/\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sen|Rep|Gov|Gen|No|vs|approx|[A-Z])\.$/u.test(before)) continue;
    pushTrimmed(sentences, text, from, end);
    from = end;
  }
  pushTrimmed(sentences, text, from, text.length);
  return sentences;
}

function pushTrimmed(
  sentences: { text: string; start: number; end: number }[],
  text: string,
  from: number,
  to: number,
): void {
  const piece = text.slice(from, to);
  const trimmed = piece.trim();
  if (trimmed === "") return;
  const start = from + piece.indexOf(trimmed);
  sentences.push({ text: trimmed, start, end: start + trimmed.length });
}
