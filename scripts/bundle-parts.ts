/** What a bundle of this project is like, whoever makes one: the command line's, and a benchmark's. */
import { isBuiltin } from "node:module";

import type { BuildOptions } from "esbuild";

/** Modules by file, shared ones in chunks of their own. */
export const BUNDLE = {
  write: false,
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
} as const satisfies BuildOptions;

/**
 * An import of a module of Node's evaluates all it exports, and so loads what `fs` or `process` offer
 * lazily: a quarter of a command's start. Asked for as an object, only what is named is loaded.
 */
export function withLazyBuiltins(code: string): string {
  return code.replace(
    /^import (?:\* as )?([\w$]+|\{[^}]*\}) from "([a-z:_/]+)";$/gm,
    (statement, names: string, module: string) =>
      isBuiltin(module)
        ? `const ${names.replaceAll(" as ", ": ")} = globalThis.process.getBuiltinModule("${module}");`
        : statement,
  );
}

/** The text of the program that is started: compiled code is kept beside it. `entry`: a file there. */
export function starterOf(entry: string): string {
  return withLazyBuiltins(`import { enableCompileCache } from "node:module";
enableCompileCache(\`\${import.meta.dirname}/.compile-cache\`);
await import("./${entry}");
`);
}
