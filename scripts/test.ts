/**
 * Runs node:test over the tests of one kind and ends with its summary.
 *
 *   node scripts/test.ts             all *.test.ts but the special kinds
 *   node scripts/test.ts readers     *.readers.test.ts
 *
 * Under CI a skipped test fails the run: a test that never runs protects nothing.
 */
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const KINDS = ["readers", "download", "cloud"];
const FOLDERS = "{core,ports,adapters,runner,sync,stages,bin,emulator,samples,scripts,bench}";

const kind = process.argv[2];
const root = join(import.meta.dirname, "..");
const special = (file: string): string | undefined =>
  KINDS.find((each) => file.endsWith(`.${each}.test.ts`));
const files = globSync(`${FOLDERS}/**/*.test.ts`, { cwd: root })
  .filter((file) => special(file) === kind && !file.includes("node_modules"))
  .toSorted()
  .map((file) => join(root, file));
if (files.length === 0) {
  console.error(`no tests of the kind ${kind ?? "default"}`);
  process.exit(1);
}

let failed = 0;
const skipped: string[] = [];
// Most of them wait, for processes and for disks: two at once even on two cores.
const concurrency = Math.max(2, availableParallelism() - 1);
const stream = run({ files, concurrency, timeout: 300_000 });
stream.on("test:fail", () => failed++);
stream.on("test:pass", (data) => {
  if (data.skip !== undefined && data.skip !== false) {
    skipped.push(`${data.name}: ${String(data.skip)}`);
  }
});
stream.on("end", () => {
  for (const line of skipped) console.error(`skipped: ${line}`);
  const isStrict = process.env["CI"] === "true";
  process.exitCode = failed > 0 || (isStrict && skipped.length > 0) ? 1 : 0;
});
stream.compose(spec()).pipe(process.stdout);
