/**
 * A program of this folder as it is shipped (scripts/build.ts): in one bundle, its compiled code
 * kept from the first start on, with the thread that computes hashes.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { build } from "esbuild";

import { BUNDLE, starterOf, withLazyBuiltins } from "../../scripts/bundle-parts.ts";

const root = join(import.meta.dirname, "..", "..");

/** Returns the bundle's path, in `dir`. Everything finds its threads in a folder of that name. */
export async function bundleChild(program: string, dir: string): Promise<string> {
  const outdir = join(dir, "dist");
  const { outputFiles } = await build({
    ...BUNDLE,
    absWorkingDir: root,
    entryPoints: {
      child: join("bench", program),
      "digest-thread": "adapters/system/digest-thread.ts",
    },
    outdir,
  });
  mkdirSync(outdir, { recursive: true });
  for (const { path, text } of outputFiles) writeFileSync(path, withLazyBuiltins(text));
  const main = join(outdir, "main.mjs");
  writeFileSync(main, starterOf("child.mjs"));
  return main;
}
