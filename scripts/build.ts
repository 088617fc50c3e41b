/**
 * Bundles the command line into dist/, so that it starts fast and each verb loads only its own.
 *
 * Another process may be running from dist/ meanwhile and load its chunks or start a thread later.
 * So nothing is emptied first: files are renamed into place, chunks (named by their content)
 * before the entries that import them, and a build that fails changes nothing.
 */
import {
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";

import { build } from "esbuild";

import { BUNDLE, starterOf, withLazyBuiltins } from "./bundle-parts.ts";

/** Chunks that no longer belong are kept so long, for processes that started from them. */
const KEEP_OLD_CHUNKS_MS = 7 * 24 * 3_600_000;

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
// The stamp carries this instant: a source that changes during the build is newer than it.
const startedAt = new Date();

const { outputFiles } = await build({
  ...BUNDLE,
  absWorkingDir: root,
  entryPoints: {
    clipscribe: "bin/clipscribe.ts",
    "stage-worker": "runner/stage-worker.ts",
    "digest-thread": "adapters/system/digest-thread.ts",
    "results-thread": "bin/results-thread.ts",
    "write-thread": "adapters/disk/write-thread.ts",
  },
  outdir: dist,
  chunkNames: "chunk-[hash]",
  // Started as threads or programs of their own, from their own folders.
  external: ["esbuild", "piscina"],
  logLevel: "warning",
});
mkdirSync(dist, { recursive: true });
const made = outputFiles.map(({ path, text }) => ({
  name: basename(path),
  contents: withLazyBuiltins(text),
}));
const isChunk = (name: string): boolean => name.startsWith("chunk-");
for (const { name, contents } of made.filter((file) => isChunk(file.name))) place(name, contents);
for (const { name, contents } of made.filter((file) => !isChunk(file.name))) place(name, contents);
place("main.mjs", starterOf("clipscribe.mjs"));
place("stamp", "", startedAt);
const current = new Set(made.map(({ name }) => name));
for (const name of readdirSync(dist).filter((each) => isChunk(each) && !current.has(each))) {
  const info = statSync(join(dist, name), { throwIfNoEntry: false });
  if (info !== undefined && startedAt.getTime() - info.mtimeMs > KEEP_OLD_CHUNKS_MS) {
    rmSync(join(dist, name), { force: true });
  }
}

/** Puts a whole file in place by one rename; two builds at once leave one of the two. */
function place(name: string, contents: string, modifiedAt?: Date): void {
  const temporary = join(dist, `.${name}.${process.pid}`);
  writeFileSync(temporary, contents);
  if (modifiedAt !== undefined) utimesSync(temporary, modifiedAt, modifiedAt);
  renameSync(temporary, join(dist, name));
}
