/**
 * Checks the direction of every import: bin → runner, sync → ports → core; adapters point inward
 * and know no other vendor's folder; stages see core alone. Also what linters can't say of names
 * and of lengths.
 */
import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";

import { MAX_FUNCTION_LINES, longFunctions } from "./function-length.ts";

const ALLOWED: Record<string, readonly string[]> = {
  core: ["core"],
  ports: ["ports", "core"],
  adapters: ["adapters", "ports", "core"],
  runner: ["runner", "ports", "core"],
  sync: ["sync", "ports", "core"],
  stages: ["stages", "core"],
  emulator: ["emulator", "adapters", "ports", "core"],
  bin: ["bin", "emulator", "runner", "sync", "adapters", "ports", "core"],
};
/** Adapters that others build on: SQLite files, one kind of child, where programs are, what may be reached. */
const SHARED_ADAPTERS = ["sqlite", "sandbox", "ffmpeg", "provider-http", "egress"];
const CORE_PACKAGES = ["zod", "yaml", "node:crypto"];
/** Pure libraries that a stage may use; nothing with a file, a network or a clock. */
const STAGE_PACKAGES = [
  "zod",
  "compromise",
  "csv-stringify/sync",
  "d3-force",
  "docx",
  "fflate",
  "liquidjs",
  "media-captions",
  "xast-util-to-xml",
  "xastscript",
  "node:crypto",
];
const BAD_FOLDERS = ["utils", "helpers", "types", "lib", "common"];
const MAX_LINES = 420;

export interface SourceFile {
  path: string;
  text: string;
}

/** Pure: returns one line a problem. */
export function checkSource({ path, text }: SourceFile): string[] {
  const problems: string[] = [];
  const [layer = ""] = path.split("/");
  const isTest = /\.(?:test|contract)\.ts$/.test(path);
  if (!/^[a-z0-9.-]+$/.test(basename(path))) problems.push(`${path}: file names are kebab-case`);
  const folder = dirname(path)
    .split("/")
    .find((part) => BAD_FOLDERS.includes(part));
  if (folder !== undefined) problems.push(`${path}: a folder called ${folder} says nothing`);
  const lines = text.split("\n").length;
  if (!isTest && lines > MAX_LINES)
    problems.push(`${path}: ${lines} lines; a room has ${MAX_LINES}`);
  if (!isTest) {
    for (const { line, name, lines: own } of longFunctions(text)) {
      problems.push(
        `${path}:${line}: ${name} has ${own} lines of its own; at most ${MAX_FUNCTION_LINES}`,
      );
    }
  }
  if (
    layer !== "bin" &&
    layer !== "scripts" &&
    layer !== "bench" &&
    layer !== "samples" &&
    !isTest
  ) {
    if (/\bprocess\.(?:env|argv|exit|stdout|stderr)\b|\bconsole\./.test(text)) {
      problems.push(`${path}: env, argv, print and exit belong into bin/`);
    }
  }
  if (
    layer !== "stages" &&
    layer !== "bench" &&
    !isTest &&
    /^export default /m.test(text) &&
    basename(path) !== "stage-worker.ts"
  ) {
    problems.push(`${path}: only a stage has a default export`);
  }
  const allowed = ALLOWED[layer];
  if (allowed === undefined || isTest) return problems;
  for (const specifier of importsOf(text)) {
    const problem = checkImport(path, layer, specifier, allowed);
    if (problem !== undefined) problems.push(`${path}: ${problem}`);
  }
  return problems;
}

function checkImport(
  path: string,
  layer: string,
  specifier: string,
  allowed: readonly string[],
): string | undefined {
  if (!specifier.startsWith(".")) {
    if (layer === "core" && !CORE_PACKAGES.includes(specifier))
      return `core/ may not import ${specifier}`;
    if (layer === "stages" && !STAGE_PACKAGES.includes(specifier))
      return `stages/ may not import ${specifier}`;
    if (layer === "ports" && !specifier.startsWith("node:"))
      return `ports/ may not import ${specifier}`;
    return undefined;
  }
  const target = normalize(join(dirname(path), specifier));
  const [to = "", vendor = ""] = target.split("/");
  if (!allowed.includes(to)) return `${layer}/ may not import ${to}/ (${specifier})`;
  const own = path.split("/")[1];
  if (
    layer === "adapters" &&
    to === "adapters" &&
    vendor !== own &&
    !SHARED_ADAPTERS.includes(vendor)
  ) {
    return `an adapter may not import another vendor's (${specifier})`;
  }
  return undefined;
}

function importsOf(text: string): string[] {
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s[^;"']*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)import\s*["']([^"']+)["']/g,
  );
  return [...found].map(([, from, dynamic, bare]) => from ?? dynamic ?? bare ?? "");
}

function main(): void {
  const root = join(import.meta.dirname, "..");
  const files = globSync(
    "{core,ports,adapters,runner,sync,stages,bin,emulator,scripts,bench}/**/*.ts",
    {
      cwd: root,
    },
  );
  const problems = files.flatMap((path) =>
    path.endsWith(".d.ts")
      ? []
      : checkSource({ path, text: readFileSync(join(root, path), "utf8") }),
  );
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main();
