/** make bench-start: `clipscribe --help`, launcher included, beside `node -e 0`. Target: at most twice. */
import { join } from "node:path";

import { ROOT } from "./campaign-world.ts";
import { measureInTurns, report, round } from "./measure.ts";

const node = join(ROOT, ".tools", "bin", "node");
const [help, empty] = measureInTurns(
  [
    { name: "clipscribe --help", command: [join(ROOT, "bin", "clipscribe"), "--help"] },
    { name: "node -e 0", command: [node, "-e", "0"] },
  ],
  41,
  60_000,
);
const ratio = (help?.medianMs ?? 0) / (empty?.medianMs ?? 1);
report({
  name: "bench-start",
  pass: ratio <= 2,
  target_ratio: 2,
  ratio: round(ratio),
  help_ms: round(help?.medianMs ?? 0),
  node_ms: round(empty?.medianMs ?? 0),
});
