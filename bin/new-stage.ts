/** `clipscribe new-stage NAME`: a stage and its test from templates/, in this checkout. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { ClipscribeError } from "../core/errors.ts";
import { INSTALL_ROOT } from "./install.ts";
import type { Io } from "./io.ts";

export function newStage(name: string, io: Io): Promise<number> {
  if (!/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(name) || name.length > 40) {
    throw new ClipscribeError("config", "not a usable name for a stage", {
      details: { name: name.slice(0, 60) },
      hint: "use a-z, 0-9 and -, as `sentiment` or `speaker-turns`",
    });
  }
  const file = join(INSTALL_ROOT, "stages", `${name}.ts`);
  if (existsSync(file)) {
    throw new ClipscribeError("config", "there is a stage of that name", {
      details: { file: `stages/${name}.ts` },
      hint: "choose another name, or edit that one",
    });
  }
  const artifact = name.replaceAll("-", "_");
  const typeName = artifact.replaceAll(/(?:^|_)([a-z0-9])/g, (_all, letter: string) =>
    letter.toUpperCase(),
  );
  for (const suffix of [".ts", ".test.ts"]) {
    const template = readFileSync(
      join(INSTALL_ROOT, "templates", "new-stage", `stage${suffix}.txt`),
      "utf8",
    );
    const text = template
      .replaceAll("__name__", name)
      .replaceAll("__artifact__", artifact)
      .replaceAll("__Name__", typeName);
    writeFileSync(join(INSTALL_ROOT, "stages", `${name}${suffix}`), text, { flag: "wx" });
  }
  io.stdout(`made stages/${name}.ts and stages/${name}.test.ts

next:
  1. edit stages/${name}.ts; its test runs with  .tools/bin/node --test stages/${name}.test.ts
  2. add it to pipeline.yaml, under stages:
       - id: ${name}
         uses: stages/${name}.ts
     and under publish:
       - ${name}.json
  3. make run
`);
  return Promise.resolve(0);
}
