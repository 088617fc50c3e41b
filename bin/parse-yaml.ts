/**
 * YAML for whoever loads it late, so that nobody without a config.yaml waits for it. A file of its own:
 * in a bundle, `import("yaml")` itself has no named exports, since that package is CommonJS.
 */
import { parse } from "yaml";

/** No aliases. @throws what the parser says. */
export function parseYaml(text: string): unknown {
  return parse(text, { maxAliasCount: 0 }) as unknown;
}
