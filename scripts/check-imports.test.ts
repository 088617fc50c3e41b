import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { checkSource } from "./check-imports.ts";

describe("the direction of imports", () => {
  const refused: [path: string, text: string][] = [
    ["core/a.ts", 'import { b } from "../ports/b.ts";'],
    ["core/a.ts", 'import { readFile } from "node:fs/promises";'],
    ["core/a.ts", 'const fs = await import("node:fs");'],
    ["ports/a.ts", 'import { b } from "../runner/b.ts";'],
    ["ports/a.ts", 'import { x } from "undici";'],
    ["runner/a.ts", 'import { b } from "../adapters/disk/b.ts";'],
    ["runner/a.ts", 'import { b } from "../sync/b.ts";'],
    ["sync/a.ts", 'import type { b } from "../runner/b.ts";'],
    ["stages/a.ts", 'import { b } from "../runner/b.ts";'],
    ["stages/a.ts", 'import { readFileSync } from "node:fs";'],
    ["adapters/disk/a.ts", 'import { b } from "../r2/b.ts";'],
    ["adapters/disk/a.ts", 'export { b } from "../../bin/b.ts";'],
    ["runner/a.ts", "const key = process.env.KEY;"],
    ["runner/a.ts", 'console.log("x");'],
    ["runner/utils/a.ts", ""],
    ["runner/camelCase.ts", ""],
    ["runner/a.ts", "export default 1;"],
    ["runner/a.ts", "\n".repeat(500)],
  ];
  for (const [path, text] of refused) {
    test(`${path} with ${JSON.stringify(text.slice(0, 50))} is refused`, () => {
      assert.equal(checkSource({ path, text }).length, 1);
    });
  }

  test("what the design allows passes", () => {
    const text =
      'import { z } from "zod";\nimport { b } from "./b.ts";\nimport { c } from "../core/c.ts";';

    assert.deepEqual(checkSource({ path: "core/a.ts", text }), []);
    assert.deepEqual(checkSource({ path: "stages/a.ts", text }), []);
    assert.deepEqual(
      checkSource({ path: "runner/a.test.ts", text: 'import "../adapters/x/y.ts"' }),
      [],
    );
  });
});
