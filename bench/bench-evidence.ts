/**
 * make bench-evidence [DIR=…]: how often the label of a quote is right. Reads sets of transcript.json,
 * answers.json and labels.json (docs/formats.md) in DIR or in folders of it. Target: precision and recall
 * of `verified` at least 99 % each, and nothing that was made up is ever `verified`.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

import { z } from "zod";

import { indexQuotes } from "../core/ground-quote.ts";
import { VERIFICATIONS, Verification } from "../core/intelligence.ts";
import { report, round } from "./measure.ts";

const TARGET = 0.99;
const FILES = ["transcript.json", "answers.json", "labels.json"] as const;

/** Ids may be a model's `s12`, or those of any other program: they only have to agree. */
const Segments = z.object({
  segments: z.array(
    z.object({
      id: z.coerce.string(),
      start: z.number(),
      end: z.number(),
      text: z.string(),
      speaker: z
        .string()
        .nullish()
        .transform((name) => name ?? null),
    }),
  ),
});
const Answer = z.union([
  z.object({ id: z.coerce.string(), quote: z.string(), segment_ids: z.array(z.coerce.string()) }),
  z
    .object({ id: z.coerce.string(), quote: z.string(), segment_id: z.coerce.string() })
    .transform(({ id, quote, segment_id }) => ({ id, quote, segment_ids: [segment_id] })),
]);
const Answers = z.union([
  z.object({ answers: z.array(Answer) }).transform(({ answers }) => answers),
  z.array(Answer),
]);
const Label = z.object({
  id: z.coerce.string(),
  label: Verification,
  kind: z.string().default(""),
});
const Labels = z.union([
  z.object({ labels: z.array(Label) }).transform(({ labels }) => labels),
  z.array(Label),
  z
    .record(z.string(), Verification)
    .transform((labels) => Object.entries(labels).map(([id, label]) => ({ id, label, kind: "" }))),
]);

interface Judged {
  set: string;
  id: string;
  kind: string;
  is: Verification;
  said: Verification;
}

const dir = resolve(process.env["DIR"] || join(import.meta.dirname, "evidence"));
const judged = findSets(dir).flatMap(judgeSet);
if (judged.length === 0) {
  console.error(`no set in ${dir}: a folder with ${FILES.join(", ")} is one`);
  process.exit(2);
}
const count = (is: Verification, said: Verification): number =>
  judged.filter((each) => each.is === is && each.said === said).length;
const share = (part: number, whole: number): number => (whole === 0 ? 1 : part / whole);
const labels = Object.fromEntries(
  VERIFICATIONS.map((label) => {
    const right = count(label, label);
    const named = judged.filter(({ said }) => said === label).length;
    const there = judged.filter(({ is }) => is === label).length;
    return [label, { quotes: there, precision: share(right, named), recall: share(right, there) }];
  }),
);
const invented = judged.filter(({ is, said }) => is === "unverified" && said === "verified");
printTables();
const { precision = 0, recall = 0 } = labels["verified"] ?? {};
report({
  name: "bench-evidence",
  pass: precision >= TARGET && recall >= TARGET && invented.length === 0,
  target: { verified_precision: TARGET, verified_recall: TARGET, invented_verified: 0 },
  quotes: judged.length,
  invented_verified: invented.length,
  labels: Object.fromEntries(
    Object.entries(labels).map(([label, each]) => [
      label,
      {
        quotes: each.quotes,
        precision_percent: round(each.precision * 100),
        recall_percent: round(each.recall * 100),
      },
    ]),
  ),
});

function findSets(folder: string): string[] {
  if (existsSync(join(folder, "transcript.json"))) return [folder];
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(folder, name))
    .filter((each) => existsSync(join(each, "transcript.json")));
}

function judgeSet(folder: string): Judged[] {
  const read = <Value>(file: (typeof FILES)[number], schema: z.ZodType<Value>): Value =>
    schema.parse(JSON.parse(readFileSync(join(folder, file), "utf8")));
  const { segments } = read("transcript.json", Segments);
  const byId = new Map(read("labels.json", Labels).map((each) => [each.id, each]));
  const index = indexQuotes(segments);
  return read("answers.json", Answers).map(({ id, quote, segment_ids: ids }) => {
    const label = byId.get(id);
    if (label === undefined) throw new Error(`${folder}: no label for ${id}`);
    const said = index.ground(quote, ids).verification;
    return { set: folder, id, kind: label.kind, is: label.label, said };
  });
}

/** For people, on stderr. */
function printTables(): void {
  const line = (cells: readonly (string | number)[]): void => {
    const [first = "", ...rest] = cells;
    console.error(
      `${String(first).padEnd(34)}${rest.map((cell) => String(cell).padStart(12)).join("")}`,
    );
  };
  line(["it is ↓   it was called →", ...VERIFICATIONS]);
  for (const is of VERIFICATIONS) line([is, ...VERIFICATIONS.map((said) => count(is, said))]);
  console.error("");
  line(["how the quote was made", "it is", "right", "of"]);
  const kinds = new Map(judged.map(({ kind, is }) => [`${is}\0${kind}`, { kind, is }]));
  for (const { kind, is } of kinds.values()) {
    const all = judged.filter((each) => each.kind === kind && each.is === is);
    line([kind, is, all.filter((each) => each.said === is).length, all.length]);
  }
}
