/**
 * Makes the sets that `make bench-evidence` reads: long transcripts, quotes that a model might
 * give of them, and what each quote is. Who makes a quote writes its label with it, from how the
 * quote was made; nothing here knows how quotes are matched. Only inclusion of plain strings is
 * asked, so that an alteration is not by chance something that was said as well.
 *
 *   node bench/evidence/make-sets.ts      writes bench/evidence/{talk,panel,hearing}/*.json
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { NAMES, OPPOSITES, makeSentence, makeSpeech } from "./make-speech.ts";
import type { Said } from "./make-speech.ts";
import { openRandom } from "./random.ts";
import type { Random } from "./random.ts";

type Label = "verified" | "repaired" | "unverified";
interface Quoted {
  segment_ids: string[];
  quote: string;
}
/** Undefined: the segment that chance chose does not lend itself to it. */
type Maker = (about: { said: readonly Said[]; at: number; random: Random }) => Quoted | undefined;

const SETS = [
  { name: "talk", seed: 11, speakers: 1, hours: 0.8 },
  { name: "panel", seed: 22, speakers: 6, hours: 1.2 },
  { name: "hearing", seed: 33, speakers: 12, hours: 2 },
] as const;
/** Quotes of each way to make one, a set. */
const EACH = 30;

const part = (text: string, min: number, max: number, random: Random): string | undefined => {
  const words = text.split(" ");
  if (words.length < min) return undefined;
  const length = min + random.int(Math.min(max, words.length) - min + 1);
  const from = random.int(words.length - length + 1);
  return words.slice(from, from + length).join(" ");
};
/** What is taken away stands before another word: without its end, a sentence is a part of itself. */
const replaceOnce = (
  text: string,
  pattern: RegExp,
  by: (found: string) => string,
): string | undefined => {
  const changed = text.replace(pattern, by);
  return changed === text ? undefined : changed;
};
const quoteOf = (segment: Said | undefined, quote: string | undefined): Quoted | undefined =>
  segment === undefined || quote === undefined ? undefined : { segment_ids: [segment.id], quote };
const isLong = (segment: Said | undefined, words: number): segment is Said =>
  segment !== undefined && segment.text.split(" ").length >= words;

/** How it was made, what it is by that, the maker. */
const MAKERS: readonly (readonly [kind: string, label: Label, make: Maker])[] = [
  ["a whole segment", "verified", ({ said, at }) => quoteOf(said[at], said[at]?.text)],
  [
    "a part of a sentence",
    "verified",
    ({ said, at, random }) => quoteOf(said[at], part(said[at]?.text ?? "", 5, 14, random)),
  ],
  [
    "two to four words",
    "verified",
    ({ said, at, random }) => quoteOf(said[at], part(said[at]?.text ?? "", 2, 4, random)),
  ],
  [
    "other case and punctuation",
    "verified",
    ({ said, at }) =>
      isLong(said[at], 6)
        ? quoteOf(
            said[at],
            `“${said[at].text
              .toUpperCase()
              .replaceAll(/[,—](?=\s)/g, "")
              .replace(/\.$/, " …")}”`,
          )
        : undefined,
  ],
  [
    "over two segments",
    "verified",
    ({ said, at }) => {
      const [first, second] = [said[at], said[at + 1]];
      if (!isLong(first, 6) || !isLong(second, 6)) return undefined;
      if (first.speaker !== second.speaker) return undefined;
      const quote = `${first.text.split(" ").slice(-5).join(" ")} ${second.text.split(" ").slice(0, 5).join(" ")}`;
      return { segment_ids: [first.id, second.id], quote };
    },
  ],
  [
    "the words of two people made one",
    "unverified",
    ({ said, at }) => {
      const [first, second] = [said[at], said[at + 1]];
      if (!isLong(first, 5) || !isLong(second, 5) || first.speaker === second.speaker)
        return undefined;
      const quote = `${first.text.split(" ").slice(-5).join(" ")} ${second.text.split(" ").slice(0, 5).join(" ")}`;
      return { segment_ids: [first.id, second.id], quote };
    },
  ],
  [
    "the segment beside it is named",
    "repaired",
    ({ said, at, random }) =>
      isLong(said[at], 8) ? quoteOf(said[at + 1], part(said[at].text, 7, 14, random)) : undefined,
  ],
  [
    "a segment far away is named",
    "repaired",
    ({ said, at, random }) =>
      isLong(said[at], 8)
        ? quoteOf(
            said[(at + Math.floor(said.length / 3)) % said.length],
            part(said[at].text, 8, 16, random),
          )
        : undefined,
  ],
  [
    "a name in another spelling",
    "repaired",
    ({ said, at, random }) => {
      const segment = said[at];
      if (!isLong(segment, 10)) return undefined;
      const spellings = NAMES.find((all) => all.some((name) => segment.text.includes(name)));
      const name = spellings?.find((each) => segment.text.includes(each));
      const other = random.pick((spellings ?? [""]).filter((each) => each !== name));
      return quoteOf(
        segment,
        replaceOnce(segment.text, new RegExp(`${name}(?!\\p{L})`, "u"), () => other),
      );
    },
  ],
  [
    "an article is left out",
    "repaired",
    ({ said, at }) =>
      isLong(said[at], 9)
        ? quoteOf(
            said[at],
            replaceOnce(said[at].text, / the (?=\p{L})/u, () => " "),
          )
        : undefined,
  ],
  [
    "a filler is left out",
    "repaired",
    ({ said, at }) =>
      isLong(said[at], 9)
        ? quoteOf(
            said[at],
            replaceOnce(said[at].text, / (?:uh|um|er),(?= )/, () => ""),
          )
        : undefined,
  ],
  [
    "another number",
    "unverified",
    ({ said, at, random }) =>
      isLong(said[at], 7)
        ? quoteOf(
            said[at],
            replaceOnce(said[at].text, /\d+/, (found) => String(Number(found) + 1 + random.int(9))),
          )
        : undefined,
  ],
  [
    "billions for millions",
    "unverified",
    ({ said, at }) =>
      quoteOf(
        said[at],
        replaceOnce(said[at]?.text ?? "", /million/, () => "billion"),
      ),
  ],
  [
    "a negation more",
    "unverified",
    ({ said, at }) =>
      quoteOf(
        said[at],
        replaceOnce(said[at]?.text ?? "", / (was|were|had|would) /, (found) => `${found}not `),
      ),
  ],
  [
    "a negation less",
    "unverified",
    ({ said, at }) =>
      quoteOf(
        said[at],
        replaceOnce(said[at]?.text ?? "", / (?:not|never)(?= \p{L})/u, () => ""),
      ),
  ],
  [
    "another person",
    "unverified",
    ({ said, at, random }) => {
      const segment = said[at];
      if (!isLong(segment, 7)) return undefined;
      const own = NAMES.find((all) => all.some((name) => segment.text.includes(name)));
      const name = own?.find((each) => segment.text.includes(each));
      if (name === undefined) return undefined;
      const other = random.pick(NAMES.filter((all) => all !== own))[0] ?? "";
      return quoteOf(segment, segment.text.replace(name, other));
    },
  ],
  [
    "the opposite",
    "unverified",
    ({ said, at }) => {
      const text = said[at]?.text ?? "";
      const pair = OPPOSITES.find((each) => each.some((verb) => text.includes(` ${verb} `)));
      if (pair === undefined) return undefined;
      const [one, other] = text.includes(` ${pair[0]} `) ? pair : [pair[1], pair[0]];
      return quoteOf(said[at], text.replace(` ${one} `, ` ${other} `));
    },
  ],
  [
    "two sentences made one",
    "unverified",
    ({ said, at, random }) => {
      const [first, second] = [said[at], said[random.int(said.length)]];
      if (!isLong(first, 8) || !isLong(second, 8) || Math.abs(at - said.indexOf(second)) < 3)
        return undefined;
      const quote = `${first.text.split(" ").slice(0, 6).join(" ")} ${second.text.split(" ").slice(-6).join(" ")}`;
      return quoteOf(first, quote);
    },
  ],
  [
    "the middle is left out",
    "unverified",
    ({ said, at }) => {
      const words = (said[at]?.text ?? "").split(" ");
      return words.length < 14
        ? undefined
        : quoteOf(said[at], [...words.slice(0, 4), ...words.slice(9)].join(" "));
    },
  ],
  [
    "told in other words",
    "unverified",
    ({ said, at }) => {
      const words = (said[at]?.text ?? "").replace(/\.$/, "").split(" ");
      return words.length < 10
        ? undefined
        : quoteOf(
            said[at],
            `${words.slice(6).join(" ")}, that is how ${words.slice(0, 6).join(" ")}`,
          );
    },
  ],
  ["invented", "unverified", ({ said, at, random }) => quoteOf(said[at], makeSentence(random))],
  [
    "invented, short",
    "unverified",
    ({ said, at, random }) =>
      quoteOf(
        said[at],
        random.pick([
          "We took the money",
          "He lied to all of us",
          "I will resign",
          "It was a mistake",
          "They burned the files",
          "That is a crime",
        ]),
      ),
  ],
];

function makeSet(
  said: readonly Said[],
  random: Random,
): { id: string; label: Label; kind: string; quoted: Quoted }[] {
  const plain = (text: string): string => text.toLowerCase();
  // What two people say one after the other is no sentence of either.
  const everything = said.reduce(
    (all, { text, speaker }, at) =>
      `${all}${said[at - 1]?.speaker === speaker ? " " : "\n"}${plain(text)}`,
    "",
  );
  const textOf = new Map(said.map(({ id, text }) => [id, plain(text)]));
  const made = MAKERS.flatMap(([kind, label, make]) => {
    const found: { label: Label; kind: string; quoted: Quoted }[] = [];
    for (let tries = 0; found.length < EACH && tries < EACH * 200; tries++) {
      const quoted = make({ said, at: random.int(said.length - 1), random });
      if (quoted === undefined) continue;
      const isSaid = everything.includes(plain(quoted.quote));
      const isThere = quoted.segment_ids.some((id) =>
        textOf.get(id)?.includes(plain(quoted.quote)),
      );
      if (label === "unverified" && isSaid) continue;
      if (label === "repaired" && isThere) continue;
      found.push({ label, kind, quoted });
    }
    return found;
  });
  return random.shuffle(made).map((each, at) => ({ ...each, id: `q${at + 1}` }));
}

for (const { name, seed, speakers, hours } of SETS) {
  const random = openRandom(seed);
  const said = makeSpeech(random, { speakers, seconds: hours * 3600 });
  const set = makeSet(said, random);
  const folder = join(import.meta.dirname, name);
  mkdirSync(folder, { recursive: true });
  const write = (file: string, key: string, rows: readonly unknown[], more: object = {}): void => {
    // One row a line: a change of a set can be read.
    const head = JSON.stringify(more).slice(1, -1);
    const lines = rows.map((row) => JSON.stringify(row)).join(",\n");
    writeFileSync(
      join(folder, file),
      `{${head === "" ? "" : `${head},`}"${key}":[\n${lines}\n]}\n`,
    );
  };
  write("transcript.json", "segments", said, { language: "en", duration: said.at(-1)?.end ?? 0 });
  write(
    "answers.json",
    "answers",
    set.map(({ id, quoted }) => ({ id, ...quoted })),
  );
  write(
    "labels.json",
    "labels",
    set.map(({ id, label, kind }) => ({ id, label, kind })),
  );
  console.log(`${name}: ${said.length} segments, ${set.length} quotes`);
}
