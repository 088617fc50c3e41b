/**
 * A program of this folder as it is shipped (scripts/build.ts): in one bundle, its compiled code
 * kept from the first start on, with the thread that computes hashes.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { build } from "esbuild";

import { withLazyBuiltins } from "../../scripts/lazy-builtins.ts";

const root = join(import.meta.dirname, "..", "..");

/** Returns the bundle's path, in `dir`. Everything finds its threads in a folder of that name. */
export async function bundleChild(program: string, dir: string): Promise<string> {
  const outdir = join(dir, "dist");
  const { outputFiles } = await build({
    write: false,
    absWorkingDir: root,
    entryPoints: {
      child: join("bench", program),
      "digest-thread": "adapters/system/digest-thread.ts",
    },
    outdir,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    outExtension: { ".js": ".mjs" },
    minifySyntax: true,
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  });
  mkdirSync(outdir, { recursive: true });
  for (const { path, text } of outputFiles) writeFileSync(path, withLazyBuiltins(text));
  const main = join(outdir, "main.mjs");
  const cache = JSON.stringify(join(outdir, ".compile-cache"));
  writeFileSync(
    main,
    withLazyBuiltins(
      `import { enableCompileCache } from "node:module";\nenableCompileCache(${cache});\nawait import("./child.mjs");\n`,
    ),
  );
  return main;
}
