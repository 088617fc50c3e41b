/**
 * make bench-noop: a rerun with nothing to do. 10,000 items beside ninja, make and snakemake, 100,000
 * beside ninja and make; as many results in place, set-up not timed. Targets: at most 3 × ninja,
 * at least 50 × faster than snakemake.
 *
 * An item here is eight stages. ninja and make get one edge an item, the hardest comparison for us;
 * snakemake gets three rules an item, the shape in which its 21.6 s for 10,000 are known, and one rule
 * as a second figure.
 *
 * Set-up writes inputs and results and the snapshot that a finished run of that many items leaves,
 * by the code that a run uses; a real run of 100,000 would take an hour and end in the same files.
 * That the rerun looks at every input and every manifest is checked: a touched input is noticed.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";

import { readVersion } from "../bin/install.ts";
import { loadPipeline } from "../bin/load-pipeline.ts";
import { listFiles } from "../sync/list-files.ts";
import { stampFile, writeSnapshot } from "../sync/snapshot.ts";
import { ROOT } from "./campaign-world.ts";
import { measureInTurns, report, round } from "./measure.ts";
import type { Contestant } from "./measure.ts";

const CLI = join(ROOT, "bin", "clipscribe");
const LONG_AGO = new Date(Date.now() - 3_600_000);
const dir = mkdtempSync(join(tmpdir(), "clipscribe-noop-"));

/** Rules an item, in a folder of their own each. */
const SNAKE_RULES = [3, 1] as const;

function writeSnakefile(folder: string, count: number, rules: number): void {
  const steps = Array.from({ length: rules }, (_, at) => {
    const from = at === 0 ? "in/{name}.mp4" : `snake${rules}/{name}.${at}`;
    return `rule step${at + 1}:\n    input: "${from}"\n    output: "snake${rules}/{name}.${at + 1}"\n    shell: "cp {input} {output}"\n`;
  });
  const names = `names = [f"item-{i:06d}" for i in range(${count})]\n`;
  const all = `rule all:\n    input: expand("snake${rules}/{name}.${rules}", name=names)\n`;
  writeFileSync(join(folder, `Snakefile${rules}`), names + all + steps.join(""));
}

interface SetUp {
  folder: string;
  contestants: Contestant[];
  touched: () => boolean;
}

async function setUp(count: number): Promise<SetUp> {
  const folder = join(dir, `n${count}`);
  const inbox = join(folder, "in");
  const home = join(folder, "home");
  const results = join(home, "results");
  const out = join(folder, "out");
  for (const each of [inbox, out]) mkdirSync(each, { recursive: true });
  const names = Array.from({ length: count }, (_, at) => `item-${String(at).padStart(6, "0")}`);
  for (const name of names) {
    const input = join(inbox, `${name}.mp4`);
    writeFileSync(input, name);
    utimesSync(input, LONG_AGO, LONG_AGO);
    writeFileSync(join(out, `${name}.out`), name);
    const item = join(results, "run-in", name);
    mkdirSync(item, { recursive: true });
    writeFileSync(join(item, "manifest.json"), name);
  }
  const pipeline = join(ROOT, "pipeline.yaml");
  const loaded = await loadPipeline(pipeline, home);
  const { media } = listFiles(inbox, ["mp4"]);
  writeSnapshot(
    home,
    {
      job: "run-in",
      version: readVersion(),
      accept: ["mp4"],
      asked: { named: [inbox], pipeline, results },
      pipeline: loaded.stamps.map(([file]) => stampFile(file)),
      stages: ["a", "b"],
      resultsDir: join(results, "run-in"),
      items: media.map(({ path, name }) => {
        const item = name.slice(0, -".mp4".length);
        const [, size, mtimeMs] = stampFile(join(results, "run-in", item, "manifest.json"));
        return { item, stamps: [stampFile(path)], manifest: [size, mtimeMs] };
      }),
    },
    // The checkout itself may be younger than two seconds.
    Date.now() + 10_000,
  );
  writeFileSync(
    join(folder, "build.ninja"),
    `rule copy\n  command = cp $in $out\n${names.map((name) => `build out/${name}.out: copy in/${name}.mp4\n`).join("")}`,
  );
  writeFileSync(
    join(folder, "Makefile"),
    `all: ${names.map((name) => `out/${name}.out`).join(" ")}\nout/%.out: in/%.mp4\n\tcp $< $@\n`,
  );
  for (const rules of SNAKE_RULES) writeSnakefile(folder, count, rules);
  spawnSync("ninja", ["-t", "restat"], { cwd: folder });
  // ninja trusts outputs that it has in its log: made once, not timed.
  spawnSync("ninja", [], { cwd: folder, stdio: "ignore" });
  const env = { CLIPSCRIBE_HOME: home, HOME: folder };
  const ours: Contestant = { name: "clipscribe", command: [CLI, "run", inbox], cwd: ROOT, env };
  const peers: Contestant[] = [
    { name: "ninja", command: ["ninja"], cwd: folder },
    { name: "make", command: ["make", "-s"], cwd: folder },
  ];
  const touched = (): boolean => {
    const path = join(inbox, `${names[count >> 1]}.mp4`);
    utimesSync(path, new Date(LONG_AGO.getTime() + 1_000), LONG_AGO);
    writeFileSync(path, "changed");
    const end = spawnSync(CLI, ["run", inbox, "--pipeline", join(folder, "none.yaml")], {
      cwd: ROOT,
      env: { ...process.env, ...env },
    });
    const same = spawnSync(CLI, ["plan", inbox, "--pipeline", join(folder, "none.yaml")], {
      cwd: ROOT,
      env: { ...process.env, ...env },
    });
    return end.status !== 0 && same.status !== 0;
  };
  return { folder, contestants: [ours, ...peers], touched };
}

/** Its outputs are there, and it has looked at them once: nothing is to do. */
function prepareSnakemake(folder: string, rules: number): Contestant {
  const outputs = join(folder, `snake${rules}`);
  mkdirSync(outputs);
  for (const file of readdirSync(join(folder, "in"))) {
    const name = file.slice(0, -".mp4".length);
    for (let step = 1; step <= rules; step++) writeFileSync(join(outputs, `${name}.${step}`), name);
  }
  const command = ["snakemake", "-s", `Snakefile${rules}`, "--cores", "2", "--quiet", "all"];
  const [program, ...args] = [...command, "--touch"] as const;
  spawnSync(program, args, { cwd: folder, stdio: "ignore" });
  return { name: `snakemake-${rules}`, command, cwd: folder, env: { HOME: folder } };
}

try {
  const small = await setUp(10_000);
  const snakemakes = SNAKE_RULES.map((rules) => prepareSnakemake(small.folder, rules));
  const at10k = measureInTurns([...small.contestants, ...snakemakes], 5, 200_000);
  rmSync(small.folder, { recursive: true });
  const large = await setUp(100_000);
  const at100k = measureInTurns(large.contestants, 5, 120_000);
  const of = (list: typeof at10k, name: string): number =>
    list.find((each) => each.name === name)?.medianMs ?? Number.NaN;
  const ninja10k = of(at10k, "clipscribe") / of(at10k, "ninja");
  const ninja100k = of(at100k, "clipscribe") / of(at100k, "ninja");
  const snake = of(at10k, "snakemake-3") / of(at10k, "clipscribe");
  const snakeOfOne = of(at10k, "snakemake-1") / of(at10k, "clipscribe");
  report({
    name: "bench-noop",
    pass: ninja10k <= 3 && ninja100k <= 3 && snake >= 50,
    target: "at most 3 x ninja, at least 50 x faster than snakemake",
    x_ninja_10k: round(ninja10k),
    x_ninja_100k: round(ninja100k),
    x_make_10k: round(of(at10k, "clipscribe") / of(at10k, "make")),
    x_make_100k: round(of(at100k, "clipscribe") / of(at100k, "make")),
    faster_than_snakemake_10k: round(snake),
    faster_than_snakemake_of_one_rule_10k: round(snakeOfOne),
    ms_10k: Object.fromEntries(at10k.map(({ name, medianMs }) => [name, Math.round(medianMs)])),
    ms_100k: Object.fromEntries(at100k.map(({ name, medianMs }) => [name, Math.round(medianMs)])),
    notices_a_changed_input: large.touched(),
  });
} finally {
  rmSync(dir, { recursive: true, force: true });
}
