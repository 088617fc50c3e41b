/**
 * Long speech with the traits that make quotes hard to check: names spelled three ways, numbers,
 * negations, stutters and fillers, sentences cut by somebody else, and phrases said again and again.
 */
import type { Random } from "./random.ts";

export interface SaidWord {
  text: string;
  start: number;
  end: number;
}

export interface Said {
  id: string;
  start: number;
  end: number;
  text: string;
  speaker: string;
  words?: SaidWord[];
}

/** As a transcriber hears them; the last spelling of some is far from the first. */
export const NAMES: readonly (readonly string[])[] = [
  ["Okafor", "Okafur", "O'Kafor"],
  ["Vasquez", "Vazquez", "Vasques"],
  ["Solheim", "Solhaim", "Sollheim"],
  ["Nguyen", "Nguyan", "Nguyenn"],
  ["Kowalczyk", "Kowalchyk", "Kovalchik"],
  ["Petrosyan", "Petrossian", "Petrosian"],
  ["Lindqvist", "Lindkvist", "Lindquist"],
  ["Moreau", "Morreau", "Moroux"],
  ["Hartmann", "Hartman", "Harttman"],
  ["Abdallah", "Abdalla", "Abdullah"],
  ["Castellano", "Castelano", "Castellana"],
  ["Whitfield", "Whitfeld", "Wittfield"],
];
const TITLES = ["Mayor", "Doctor", "Minister", "Councillor", "Professor", "Captain"];
const ORGS = [
  "the Harbor Bridge Authority",
  "Norden Construction",
  "the Riverside Tenants Union",
  "the Ministry of Transport",
  "Halden Engineering",
  "the Northern Development Bank",
  "the city council",
  "the water board",
  "the audit office",
  "Brightwater Energy",
];
const THINGS = [
  "the second tower",
  "the school on Mill Street",
  "the new tram line",
  "the flood barrier",
  "the old power station",
  "the emergency fund",
  "the housing programme",
  "the inspection report",
  "the northern tunnel",
  "the pension scheme",
];
const PLACES = ["Port Alder", "Oslo", "Eastmoor", "the harbor district", "Lindenau", "Saint Brede"];
/** A verb and what would be its opposite. */
export const OPPOSITES: readonly (readonly [string, string])[] = [
  ["approved", "rejected"],
  ["increased", "decreased"],
  ["supported", "opposed"],
  ["closed", "opened"],
  ["praised", "criticised"],
  ["hired", "fired"],
  ["bought", "sold"],
  ["admitted", "denied"],
];
const NUMBERS = ["three", "seven", "eleven", "fifteen", "forty", "two hundred", "nine thousand"];
const FILLERS = ["uh,", "um,", "er,"];
const SMALL_TALK = [
  "I think that is right.",
  "Thank you very much.",
  "Let me come back to that.",
  "Yes, exactly.",
  "No, no, not at all.",
  "Could you repeat the question?",
  "We will come to that in a moment.",
];

type Slot = (random: Random) => string;
const person: Slot = (random) => {
  const spelling = random.pick(random.pick(NAMES));
  return random.next() < 0.6 ? `${random.pick(TITLES)} ${spelling}` : spelling;
};
const sum: Slot = (random) =>
  random.next() < 0.6
    ? `$${1 + random.int(98)}.${random.int(10)} million`
    : `${random.pick(NUMBERS)} million dollars`;
const count: Slot = (random) =>
  random.next() < 0.5 ? String(2 + random.int(900)) : random.pick(NUMBERS);
const year: Slot = (random) => String(2011 + random.int(15));
const verb: Slot = (random) => random.pick(random.pick(OPPOSITES));
const org: Slot = (random) => random.pick(ORGS);
const thing: Slot = (random) => random.pick(THINGS);
const place: Slot = (random) => random.pick(PLACES);

const SENTENCES: readonly ((random: Random) => string)[] = [
  (r) => `In ${year(r)}, ${person(r)} ${verb(r)} ${thing(r)}, and ${org(r)} paid ${sum(r)} for it.`,
  (r) =>
    `What ${org(r)} told us in ${place(r)} was that ${count(r)} families had to leave ${thing(r)}.`,
  (r) => `I asked ${person(r)} why ${org(r)} had not ${verb(r)} ${thing(r)} before ${year(r)}.`,
  (r) => `${person(r)} never said that ${thing(r)} would cost more than ${sum(r)}.`,
  (r) =>
    `The people of ${place(r)} were promised ${count(r)} places, and they did not get any of them.`,
  (r) =>
    `It was ${person(r)} who ${verb(r)} the plan, not ${person(r)}, and everybody in ${org(r)} knew.`,
  (r) => `Between ${year(r)} and ${year(r)}, ${count(r)} percent of the money went to ${org(r)}.`,
  (r) =>
    `We have ${count(r)} letters in which ${person(r)} admitted that ${thing(r)} was not safe.`,
  (r) => `If ${org(r)} had ${verb(r)} the offer, we would have saved ${sum(r)} on ${thing(r)}.`,
  (r) =>
    `On page ${count(r)} the report says that ${org(r)} knew about ${thing(r)} for ${count(r)} months.`,
  (r) => `Nobody at ${org(r)} could explain to ${person(r)} where the ${sum(r)} had gone.`,
  (r) => `My own view is that ${place(r)} needs ${thing(r)} more than it needs ${thing(r)}.`,
  (r) =>
    `${person(r)} and ${person(r)} met in ${place(r)} ${count(r)} times before ${thing(r)} was ${verb(r)}.`,
  (r) =>
    `According to ${org(r)}, the contract of ${year(r)} was worth ${sum(r)} and ran for ${count(r)} years.`,
];

/** A sentence as nobody in particular would say it; where `said` is searched, it may be an invention. */
export function makeSentence(random: Random): string {
  const text = random.pick(SENTENCES)(random);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export interface SpeechOptions {
  speakers: number;
  seconds: number;
  /** Times for each word. */
  withWords?: boolean;
}

/** 150 words a minute, with pauses; segments of one or two sentences. */
export function makeSpeech(random: Random, options: SpeechOptions): Said[] {
  const names = Array.from({ length: options.speakers }, (_, at) =>
    at < NAMES.length ? `${TITLES[at % TITLES.length]} ${NAMES[at]?.[0]}` : `Speaker ${at + 1}`,
  );
  const said: Said[] = [];
  let speaker = names[0] ?? "Speaker 1";
  let clock = 2;
  const add = (text: string): void => {
    const words: SaidWord[] = [];
    const start = clock;
    for (const word of text.split(" ")) {
      const length = 0.16 + word.length * 0.045;
      words.push({ text: word, start: to3(clock), end: to3(clock + length) });
      clock += length + 0.03;
    }
    const id = `s${String(said.length + 1).padStart(4, "0")}`;
    const timed = options.withWords === true ? { words } : {};
    said.push({ id, start: to3(start), end: to3(clock), text, speaker, ...timed });
    clock += 0.2 + random.next() * 0.9;
  };
  while (clock < options.seconds) {
    if (random.next() < 0.35) speaker = random.pick(names);
    if (random.next() < 0.12) {
      add(random.pick(SMALL_TALK));
      continue;
    }
    const sentence = roughen(makeSentence(random), random);
    if (options.speakers > 1 && random.next() < 0.1) {
      // Somebody cuts in; the sentence goes on in another segment.
      const words = sentence.split(" ");
      const cut = 3 + random.int(Math.max(1, words.length - 5));
      add(`${words.slice(0, cut).join(" ")} —`);
      const interrupted = speaker;
      speaker = random.pick(names);
      add(random.pick(SMALL_TALK));
      speaker = interrupted;
      add(words.slice(cut).join(" "));
    } else if (random.next() < 0.3) {
      add(`${sentence} ${roughen(makeSentence(random), random)}`);
    } else add(sentence);
  }
  return said;
}

/** A filler or a stutter, here and there. */
function roughen(sentence: string, random: Random): string {
  const words = sentence.split(" ");
  if (random.next() < 0.25) words.splice(1 + random.int(words.length - 2), 0, random.pick(FILLERS));
  if (random.next() < 0.1) {
    const at = 1 + random.int(words.length - 2);
    words.splice(at, 0, words[at] ?? "");
  }
  return words.join(" ");
}

function to3(value: number): number {
  return Math.round(value * 1000) / 1000;
}
