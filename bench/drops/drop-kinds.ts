/**
 * How people and programs drop files, each kind with what must have become of every version of its
 * bytes at the end. A version is told by its SHA-256; bounds are inclusive.
 */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { sha256Of } from "../../core/digest.ts";
import { movie } from "../../samples/agent-world.ts";
import { foldPath } from "./folded-files.ts";

type Bounds = readonly [least: number, most: number];

export interface Expected {
  sha256: string;
  done: Bounds;
  rejected: Bounds;
  inbox: Bounds;
  tickets: Bounds;
}

export interface Dropped {
  kind: string;
  index: number;
  expected: Expected[];
  /** Names that are links or pipes, and must still be. */
  special: string[];
}

const NONE: Bounds = [0, 0];
const ONCE: Bounds = [1, 1];
const AT_MOST_ONCE: Bounds = [0, 1];

/** It was dropped, stayed as it was, and so is in done with one ticket. */
export const MOVED = { done: ONCE, rejected: NONE, inbox: NONE, tickets: ONCE } as const;
const REJECTED = { done: NONE, rejected: ONCE, inbox: NONE, tickets: NONE } as const;
const STAYS = { done: NONE, rejected: NONE, inbox: ONCE, tickets: NONE } as const;
/** A person wrote over it or deleted it: what was taken before is kept, and nothing else. */
const MAY_BE_GONE = {
  done: AT_MOST_ONCE,
  rejected: NONE,
  inbox: NONE,
  tickets: AT_MOST_ONCE,
} as const;

export interface Hand {
  inbox: string;
  outside: string;
  index: number;
  random: () => number;
  /** A disk that folds names: two that differ in case or composition alone are one. */
  folded: boolean;
}

type Kind = (hand: Hand) => Promise<Pick<Dropped, "expected"> & { special?: string[] }>;

function pathOf({ inbox, folded }: Hand, name: string): string {
  const path = join(inbox, name);
  return folded ? foldPath(path) : path;
}

const bytesOf = ({ index }: Hand, what: string, size = 400): Buffer =>
  movie(`drop ${index} ${what}`, size);
const is = (bytes: Uint8Array, where: Omit<Expected, "sha256">): Expected => ({
  sha256: sha256Of(bytes),
  ...where,
});
const pause = async ({ random }: Hand, mostMs: number): Promise<void> => delay(random() * mostMs);

/** Names that break programs; each fits any Unix. */
const NASTY = [
  "émigré \u{1f3a5} видео",
  "\u202eevil\u202c",
  "-rf --exec=id",
  "a\nb\tc",
  "back\\slash",
  "CON",
  "dot .",
  "'; DROP TABLE drops; --",
  "$(touch x) `id`",
  "<svg onload=prompt()>",
  "two ..\u2024",
  "\u001b[31mred",
];

const KINDS: Record<string, { share: number; drop: Kind }> = {
  plain: {
    share: 30,
    async drop(hand) {
      const bytes = bytesOf(hand, "plain", 200 + Math.floor(hand.random() * 60_000));
      await Promise.resolve(writeFileSync(pathOf(hand, `plain ${hand.index}.mp4`), bytes));
      return { expected: [is(bytes, MOVED)] };
    },
  },
  grown: {
    share: 8,
    async drop(hand) {
      const bytes = bytesOf(hand, "grown", 20_000);
      const path = pathOf(hand, `grown ${hand.index}.mp4`);
      for (let at = 0; at < bytes.length; at += 4_000) {
        appendFileSync(path, bytes.subarray(at, at + 4_000));
        await pause(hand, 400);
      }
      return { expected: [is(bytes, MOVED)] };
    },
  },
  preallocated: {
    share: 5,
    async drop(hand) {
      const bytes = bytesOf(hand, "preallocated", 60_000);
      const path = pathOf(hand, `pre ${hand.index}.mp4`);
      writeFileSync(path, bytes.subarray(0, 20_000));
      truncateSync(path, bytes.length);
      await pause(hand, 1_500);
      writeFileSync(path, bytes, { flag: "r+" });
      return { expected: [is(bytes, MOVED)] };
    },
  },
  "whole, and still written": {
    share: 3,
    async drop(hand) {
      const whole = bytesOf(hand, "held", 9_000);
      const more = Buffer.concat([Buffer.from([0, 0, 0, 16]), Buffer.from("free12345678")]);
      const path = pathOf(hand, `held ${hand.index}.mp4`);
      const fd = openSync(path, "w");
      writeSync(fd, whole);
      await pause(hand, 2_500);
      writeSync(fd, more);
      closeSync(fd);
      return { expected: [is(Buffer.concat([whole, more]), MOVED)] };
    },
  },
  "renamed at its end": {
    share: 6,
    async drop(hand) {
      const bytes = bytesOf(hand, "part");
      const part = pathOf(hand, `part ${hand.index}.mp4.crdownload`);
      writeFileSync(part, bytes);
      await pause(hand, 800);
      renameSync(part, pathOf(hand, `part ${hand.index}.mp4`));
      return { expected: [is(bytes, MOVED)] };
    },
  },
  "renamed while it is read": {
    share: 6,
    async drop(hand) {
      const bytes = bytesOf(hand, "renamed", 30_000);
      const before = pathOf(hand, `before ${hand.index}.mp4`);
      writeFileSync(before, bytes);
      await pause(hand, 900);
      try {
        renameSync(before, pathOf(hand, `after ${hand.index}.mp4`));
      } catch {
        // It was moved to done already.
      }
      // Under its first name it may have had its ticket.
      return { expected: [is(bytes, { ...MOVED, tickets: [1, 2] })] };
    },
  },
  "replaced by a rename": {
    share: 5,
    async drop(hand) {
      const [first, second] = [bytesOf(hand, "v1", 9_000), bytesOf(hand, "v2", 9_001)];
      const path = pathOf(hand, `replaced ${hand.index}.mp4`);
      writeFileSync(path, first);
      await pause(hand, 900);
      const other = join(hand.outside, `new ${hand.index}.mp4`);
      writeFileSync(other, second);
      renameSync(other, path);
      return { expected: [is(first, MAY_BE_GONE), is(second, MOVED)] };
    },
  },
  "written over": {
    share: 5,
    async drop(hand) {
      const [first, second] = [bytesOf(hand, "w1", 9_000), bytesOf(hand, "w2", 9_000)];
      const path = pathOf(hand, `over ${hand.index}.mp4`);
      writeFileSync(path, first);
      await pause(hand, 900);
      writeFileSync(path, second);
      return { expected: [is(first, MAY_BE_GONE), is(second, MOVED)] };
    },
  },
  deleted: {
    share: 5,
    async drop(hand) {
      const bytes = bytesOf(hand, "deleted", 9_000);
      const path = pathOf(hand, `deleted ${hand.index}.mp4`);
      writeFileSync(path, bytes);
      await pause(hand, 900);
      rmSync(path, { force: true });
      return { expected: [is(bytes, MAY_BE_GONE)] };
    },
  },
  "hard links": {
    share: 3,
    async drop(hand) {
      const bytes = bytesOf(hand, "hard");
      const outside = join(hand.outside, `hard ${hand.index}.mp4`);
      writeFileSync(outside, bytes);
      linkSync(outside, pathOf(hand, `hard a ${hand.index}.mp4`));
      await pause(hand, 300);
      linkSync(outside, pathOf(hand, `hard b ${hand.index}.mp4`));
      return { expected: [is(bytes, { ...MOVED, done: [2, 2], tickets: [2, 2] })] };
    },
  },
  "links out": {
    share: 2,
    async drop(hand) {
      const name = `link ${hand.index}.mp4`;
      await Promise.resolve(symlinkSync("/etc/passwd", join(hand.inbox, name)));
      return { expected: [], special: [name] };
    },
  },
  pipe: {
    share: 1,
    async drop(hand) {
      const name = `pipe ${hand.index}.mp4`;
      await Promise.resolve(execFileSync("mkfifo", [join(hand.inbox, name)]));
      return { expected: [], special: [name] };
    },
  },
  "unicode twins": {
    share: 3,
    async drop(hand) {
      const [one, two] = [bytesOf(hand, "nfc", 5_000), bytesOf(hand, "nfd", 5_001)];
      writeFileSync(pathOf(hand, `é ${hand.index}.mp4`.normalize("NFC")), one);
      await pause(hand, 500);
      writeFileSync(pathOf(hand, `é ${hand.index}.mp4`.normalize("NFD")), two);
      return { expected: [is(one, hand.folded ? MAY_BE_GONE : MOVED), is(two, MOVED)] };
    },
  },
  "case twins": {
    share: 3,
    async drop(hand) {
      const [one, two] = [bytesOf(hand, "upper", 5_000), bytesOf(hand, "lower", 5_001)];
      writeFileSync(pathOf(hand, `TALK ${hand.index}.mp4`), one);
      await pause(hand, 500);
      writeFileSync(pathOf(hand, `talk ${hand.index}.mp4`), two);
      return { expected: [is(one, hand.folded ? MAY_BE_GONE : MOVED), is(two, MOVED)] };
    },
  },
  "same bytes, two names": {
    share: 4,
    async drop(hand) {
      const bytes = bytesOf(hand, "same", 9_000);
      writeFileSync(pathOf(hand, `same a ${hand.index}.mp4`), bytes);
      await pause(hand, 600);
      writeFileSync(pathOf(hand, `same b ${hand.index}.mp4`), bytes);
      return { expected: [is(bytes, { ...MOVED, done: [2, 2], tickets: [2, 2] })] };
    },
  },
  "same name and bytes again": {
    share: 3,
    async drop(hand) {
      const bytes = bytesOf(hand, "again", 5_000);
      const path = pathOf(hand, `again ${hand.index}.mp4`);
      writeFileSync(path, bytes);
      for (
        let tries = 0;
        tries < 4_000 && readdirSync(hand.inbox).includes(path.split("/").at(-1) ?? "");
        tries++
      ) {
        await delay(20);
      }
      writeFileSync(path, bytes);
      return { expected: [is(bytes, { ...MOVED, done: [2, 2] })] };
    },
  },
  folder: {
    share: 4,
    async drop(hand) {
      const folder = pathOf(hand, `folder ${hand.index}`);
      mkdirSync(join(folder, "day 2"), { recursive: true });
      const expected: Expected[] = [];
      for (const name of ["a.mp4", "b.mp4", "day 2/c.mp4"]) {
        const bytes = bytesOf(hand, name, 8_000);
        writeFileSync(join(folder, `${name}.part`), bytes.subarray(0, 4_000));
        await pause(hand, 200);
        writeFileSync(join(folder, `${name}.part`), bytes);
        renameSync(join(folder, `${name}.part`), join(folder, name));
        expected.push(is(bytes, MOVED));
      }
      return { expected };
    },
  },
  "with what belongs to it": {
    share: 4,
    async drop(hand) {
      const bytes = bytesOf(hand, "companions");
      const name = `with ${hand.index}`;
      const captions = Buffer.from(`WEBVTT\n\nNOTE ${hand.index}\n`);
      const options = Buffer.from(`budget: 3\nlane: urgent # ${hand.index}\n`);
      writeFileSync(pathOf(hand, `${name}.en.vtt`), captions);
      writeFileSync(pathOf(hand, `${name}.mp4.yaml`), options);
      writeFileSync(pathOf(hand, `${name}.mp4`), bytes);
      await pause(hand, 10);
      const beside = { ...MOVED, tickets: NONE };
      return { expected: [is(bytes, MOVED), is(captions, beside), is(options, beside)] };
    },
  },
  "of no use": {
    share: 4,
    async drop(hand) {
      const bytes = Buffer.from(`notes ${hand.index}`);
      await Promise.resolve(writeFileSync(pathOf(hand, `notes ${hand.index}.docx`), bytes));
      return { expected: [is(bytes, REJECTED)] };
    },
  },
  "a list of nothing": {
    share: 2,
    async drop(hand) {
      const bytes = Buffer.from(`# ${hand.index}\n--exec=touch /tmp/canary\nfile:///etc/passwd\n`);
      await Promise.resolve(writeFileSync(pathOf(hand, `list ${hand.index}.txt`), bytes));
      return { expected: [is(bytes, REJECTED)] };
    },
  },
  "cut off": {
    share: 2,
    async drop(hand) {
      const bytes = bytesOf(hand, "cut", 9_000).subarray(0, 3_000);
      await Promise.resolve(writeFileSync(pathOf(hand, `cut ${hand.index}.mp4`), bytes));
      return { expected: [is(bytes, STAYS)] };
    },
  },
  "temporary names": {
    share: 3,
    async drop(hand) {
      const bytes = bytesOf(hand, "temporary");
      const names = [
        `.${hand.index}.mp4.icloud`,
        `${hand.index}.mp4.part`,
        `~$${hand.index}.mp4`,
        `.syncthing.${hand.index}.mp4.tmp`,
      ];
      const name = names[hand.index % names.length] ?? "";
      await Promise.resolve(writeFileSync(pathOf(hand, name), bytes));
      return { expected: [is(bytes, STAYS)] };
    },
  },
  "nasty names": {
    share: 6,
    async drop(hand) {
      const bytes = bytesOf(hand, "nasty");
      const nasty = NASTY[hand.index % NASTY.length] ?? "";
      await Promise.resolve(writeFileSync(pathOf(hand, `${nasty} ${hand.index}.mp4`), bytes));
      return { expected: [is(bytes, MOVED)] };
    },
  },
  "long names": {
    share: 2,
    async drop(hand) {
      const bytes = bytesOf(hand, "long");
      const stem = `${hand.index} ${"long ".repeat(60)}`;
      await Promise.resolve(writeFileSync(pathOf(hand, `${stem.slice(0, 251)}.mp4`), bytes));
      return { expected: [is(bytes, MOVED)] };
    },
  },
};

/** The campaign's drops, in an order of chance: the same for the same seed. */
export function planKinds(count: number, random: () => number): string[] {
  const whole = Object.values(KINDS).reduce((sum, { share }) => sum + share, 0);
  return Array.from({ length: count }, () => {
    let at = random() * whole;
    for (const [name, { share }] of Object.entries(KINDS)) {
      at -= share;
      if (at < 0) return name;
    }
    return "plain";
  });
}

export async function dropOne(kind: string, hand: Hand): Promise<Dropped> {
  const made = await KINDS[kind]?.drop(hand);
  if (made === undefined) throw new Error(`there is no kind ${kind}`);
  return { kind, index: hand.index, expected: made.expected, special: made.special ?? [] };
}
