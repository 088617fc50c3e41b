/** Bundles the command line into dist/, so that it starts fast and each verb loads only its own. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
await build({
  absWorkingDir: root,
  entryPoints: { clipscribe: "bin/clipscribe.ts", "stage-worker": "runner/stage-worker.ts" },
  outdir: dist,
  bundle: true,
  splitting: true,
  chunkNames: "chunk-[hash]",
  format: "esm",
  platform: "node",
  target: "node24",
  outExtension: { ".js": ".mjs" },
  // Started as threads or programs of their own, from their own folders.
  external: ["esbuild", "piscina"],
  minifySyntax: true,
  logLevel: "warning",
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
});
writeFileSync(
  join(dist, "main.mjs"),
  `import { enableCompileCache } from "node:module";
enableCompileCache(new URL("./.compile-cache", import.meta.url).pathname);
await import("./clipscribe.mjs");
`,
);
writeFileSync(join(dist, "stamp"), "");
