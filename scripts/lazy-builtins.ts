import { isBuiltin } from "node:module";

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
