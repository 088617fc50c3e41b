/**
 * Bundles a stage's file with all that it imports into one ES module named by its own SHA-256:
 * that digest is the `code` ingredient of the stage key, so a changed line in any imported file
 * reruns exactly the stages that import it. zod stays outside as one shared bundle (named by its
 * digest too), or each of ten stages would load a copy of its own.
 *
 * An index by size, modification time and inode of every bundled file lets an unchanged stage
 * load without starting esbuild.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readFile, realpath, rename, stat, writeFile } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";

import { z } from "zod";

import { sha256Of } from "../../core/digest.ts";
import { ClipscribeError, asClipscribeError, isDiskFull } from "../../core/errors.ts";
import { Sha256 } from "../../core/ids.ts";
import type { LoadedStage } from "../../core/pipeline.ts";
import type { StageDefinition } from "../../core/stage.ts";
import type { StageLoader } from "../../ports/stage-loader.ts";

export interface StageBundlerOptions {
  /** Where bundles and the index live; recomputable. */
  cacheDir: string;
  /** A folder from which `zod` and other packages resolve, besides the stage's own. */
  packagesDir: string;
  /** Identifies esbuild's version and our options: a change makes every entry stale. */
  toolchain: string;
}

/** CommonJS packages inside a bundle ask for Node's own modules by `require`. */
const REQUIRE =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

const IndexEntry = z.object({
  digest: Sha256,
  /** path, size, mtime (ms), inode of each file in the bundle. */
  inputs: z.array(z.tuple([z.string(), z.number(), z.number(), z.number()])),
});
const Index = z.object({
  toolchain: z.string(),
  zod: z.string(),
  stages: z.record(z.string(), IndexEntry),
});
type Index = z.infer<typeof Index>;

export interface StageBundler extends StageLoader {
  /** Path, size, mtime (ms) and inode of every file in those stages' bundles, as loaded last. */
  inputs(root: string, uses: readonly string[]): Promise<[string, number, number, number][]>;
  /** Files of the cache folder that bundles import, besides their own. */
  shared(): Promise<string[]>;
}

export function openStageBundler(options: StageBundlerOptions): StageBundler {
  const { cacheDir } = options;
  const indexPath = join(cacheDir, "index.json");

  return {
    async load(root, uses) {
      const index = await readIndex(indexPath, options.toolchain);
      const loaded = new Map<string, LoadedStage | ClipscribeError>();
      let changed = false;
      for (const name of uses) {
        try {
          const path = resolveInside(root, name);
          const known = index.stages[path];
          const fresh = known !== undefined && (await isUnchanged(known, cacheDir));
          if (!fresh) {
            index.stages[path] = await bundle(root, path, index, options);
            changed = true;
          }
          const { digest } = index.stages[path] as z.infer<typeof IndexEntry>;
          loaded.set(name, await importStage(name, digest, cacheDir));
        } catch (thrown) {
          const error = asClipscribeError(thrown);
          // No fault of the pipeline's.
          if (isDiskFull(error)) throw error;
          loaded.set(name, error);
        }
      }
      if (changed) await writeWhole(indexPath, JSON.stringify(index));
      return loaded;
    },
    async shared() {
      const { zod } = await readIndex(indexPath, options.toolchain);
      return zod === "" ? [] : [zod];
    },
    async inputs(root, uses) {
      const { stages } = await readIndex(indexPath, options.toolchain);
      return uses.flatMap((name) => stages[resolveInside(root, name)]?.inputs ?? []);
    },
  };
}

/** Loads a stage as it was bundled once, whatever its files hold by now. @throws `config` where it is no stage. */
export async function importStage(
  uses: string,
  digest: Sha256,
  cacheDir: string,
): Promise<LoadedStage> {
  const bundlePath = join(cacheDir, `${digest}.mjs`);
  const module = await importBundle(uses, bundlePath);
  const definition = module.default as Partial<StageDefinition> | undefined;
  if (
    typeof definition?.run !== "function" ||
    typeof definition.input !== "object" ||
    typeof definition.output !== "object" ||
    typeof definition.params?.safeParse !== "function"
  ) {
    throw new ClipscribeError("config", "the file has no stage as its default export", {
      details: { file: uses },
      hint: "end it with `export default defineStage({ … })`; `make new-stage NAME=…` makes one",
    });
  }
  return { uses, definition: definition as StageDefinition, codeDigest: digest, bundlePath };
}

async function importBundle(uses: string, path: string): Promise<{ default?: unknown }> {
  try {
    return (await import(pathToFileURL(path).href)) as { default?: unknown };
  } catch (cause) {
    throw new ClipscribeError("config", "the stage fails as it is loaded", {
      details: { file: uses, problem: cause instanceof Error ? cause.message : String(cause) },
      hint: "a stage's file may only declare things; work belongs into `run`",
      cause,
    });
  }
}

async function bundle(
  folder: string,
  path: string,
  index: Index,
  options: StageBundlerOptions,
): Promise<z.infer<typeof IndexEntry>> {
  await stat(path).catch((cause: unknown) => {
    throw new ClipscribeError("config", "there is no such stage file", {
      details: { file: relative(folder, path) },
      hint: "check `uses:`; paths are relative to pipeline.yaml",
      cause,
    });
  });
  const root = await realpath(folder);
  await mkdir(options.cacheDir, { recursive: true });
  index.zod ||= await bundleZod(options);
  const { build } = await import("esbuild");
  const entry = `./${relative(folder, path).split(sep).join("/")}`;
  const zodFile = index.zod;
  const result = await build({
    stdin: {
      contents: `export { default } from ${JSON.stringify(entry)}; export { toJSONSchema } from "zod";`,
      resolveDir: root,
      sourcefile: "stage-entry.ts",
    },
    absWorkingDir: root,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node24",
    write: false,
    metafile: true,
    logLevel: "silent",
    legalComments: "none",
    banner: { js: REQUIRE },
    nodePaths: [options.packagesDir],
    plugins: [
      {
        name: "shared-zod",
        setup(plugin) {
          plugin.onResolve({ filter: /^zod$/ }, () => ({ path: `./${zodFile}`, external: true }));
        },
      },
    ],
  }).catch((cause: unknown) => {
    throw describeBuildFailure(cause, relative(folder, path));
  });
  const packages = relative(root, await realpath(options.packagesDir));
  const code = withoutPlace(result.outputFiles[0]?.text ?? "", packages);
  const digest = sha256Of(code);
  await writeWhole(join(options.cacheDir, `${digest}.mjs`), code);
  const inputs: z.infer<typeof IndexEntry>["inputs"] = [];
  for (const input of Object.keys(result.metafile.inputs)) {
    if (input === "stage-entry.ts") continue;
    const absolute = resolve(root, input);
    const info = await stat(absolute);
    inputs.push([absolute, info.size, info.mtimeMs, info.ino]);
  }
  return { digest, inputs };
}

/**
 * esbuild names each file by its path from the pipeline's folder, in comments and in the names of CommonJS
 * modules. Where this machine keeps its packages is no part of the code: elsewhere the same stage has the
 * same digest, and is not paid for again.
 */
function withoutPlace(code: string, packages: string): string {
  const place = packages.split(sep).join("/");
  return code
    .replaceAll(`\n// ${place}/`, "\n// node_modules/")
    .replaceAll(`\n  "${place}/`, '\n  "node_modules/');
}

async function bundleZod(options: StageBundlerOptions): Promise<string> {
  const { build } = await import("esbuild");
  const result = await build({
    stdin: { contents: `export * from "zod";`, resolveDir: options.packagesDir },
    nodePaths: [options.packagesDir],
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node24",
    write: false,
    legalComments: "none",
    minify: true,
  });
  const code = result.outputFiles[0]?.contents ?? new Uint8Array();
  const name = `zod-${sha256Of(code)}.mjs`;
  await writeWhole(join(options.cacheDir, name), code);
  return name;
}

/** esbuild's messages have file, line and column; the first few are what a person needs. */
function describeBuildFailure(cause: unknown, file: string): ClipscribeError {
  const { errors = [] } = cause as {
    errors?: { text: string; location: { file: string; line: number; column: number } | null }[];
  };
  const shown = errors
    .slice(0, 3)
    .map(({ text, location }) =>
      location === null ? text : `${location.file}:${location.line}:${location.column + 1} ${text}`,
    )
    .join("; ");
  return new ClipscribeError("config", "the stage does not compile", {
    details: { file, problem: shown || undefined },
    hint: "correct the file; `make check` shows all problems",
    cause,
  });
}

function resolveInside(root: string, uses: string): string {
  const path = resolve(root, uses);
  const inside = relative(root, path);
  if (inside === "" || inside.startsWith("..") || isAbsolute(inside)) {
    throw new ClipscribeError("config", "a stage must lie in the pipeline's folder", {
      details: { uses },
      hint: "put it under stages/ beside pipeline.yaml",
    });
  }
  return path;
}

async function isUnchanged(entry: z.infer<typeof IndexEntry>, cacheDir: string): Promise<boolean> {
  const paths = [...entry.inputs, [join(cacheDir, `${entry.digest}.mjs`), -1, -1, -1] as const];
  const checks = await Promise.all(
    paths.map(async ([path, size, mtimeMs, ino]) => {
      const info = await stat(path).catch(() => undefined);
      if (info === undefined) return false;
      return size === -1 || (info.size === size && info.mtimeMs === mtimeMs && info.ino === ino);
    }),
  );
  return checks.every(Boolean);
}

/** A missing, torn or foreign index is an empty one: everything is bundled again. */
async function readIndex(path: string, toolchain: string): Promise<Index> {
  const empty: Index = { toolchain, zod: "", stages: {} };
  try {
    const index = Index.parse(JSON.parse(await readFile(path, "utf8")));
    return index.toolchain === toolchain ? index : empty;
  } catch {
    return empty;
  }
}

async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}
