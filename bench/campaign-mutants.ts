/**
 * make campaign-mutants: removes each defence in turn. Its scenario must be clean with all defences
 * on, and must see the loss with its own off; the table goes to stderr.
 */
import { report } from "./measure.ts";
import { MUTANTS } from "./mutant-scenarios.ts";

const rows: { name: string; clean: boolean; seen: string | null }[] = [];
for (const { name, off, scenario } of MUTANTS) {
  const clean = await scenario({});
  const seen = await scenario(off);
  rows.push({ name, clean: clean.length === 0, seen: seen[0] ?? null });
  if (clean.length > 0) console.error(`with all defences: ${clean[0]}`);
}
const width = Math.max(...rows.map(({ name }) => name.length));
for (const { name, clean, seen } of rows) {
  console.error(
    `${name.padEnd(width)}  ${clean ? "clean" : "DIRTY"}  removed: ${seen ?? "NOBODY NOTICED"}`,
  );
}
const survivors = rows.filter(({ clean, seen }) => !clean || seen === null).map(({ name }) => name);
report({
  name: "campaign-mutants",
  pass: survivors.length === 0,
  mutants: rows.length,
  killed: rows.length - survivors.length,
  survivors,
});
