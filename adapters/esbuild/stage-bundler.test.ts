import assert from "node:assert/strict";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { ClipscribeError } from "../../core/errors.ts";
import { openStageBundler } from "./stage-bundler.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const USES = "stages/sum.ts";
/** With a package of ES modules and a CommonJS one. */
const STAGE = `
import { stringify } from "csv-stringify/sync";
import { parse } from "yaml";
import { z } from "zod";
import { defineStage, file } from "../core/stage.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({}),
  run: async ({ ctx }) => ({ out: await ctx.write("out.txt", stringify([[parse("1")]])) }),
});
`;

function checkout(t: TestContext, ...path: string[]): string {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-bundler-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const root = join(dir, ...path);
  mkdirSync(join(root, "stages"), { recursive: true });
  cpSync(join(ROOT, "core"), join(root, "core"), { recursive: true });
  writeFileSync(join(root, USES), STAGE);
  return root;
}

async function bundle(root: string) {
  const bundler = openStageBundler({
    cacheDir: join(root, "bundles"),
    packagesDir: join(ROOT, "node_modules"),
    toolchain: "test",
  });
  const loaded = (await bundler.load(root, [USES])).get(USES);
  if (loaded === undefined || loaded instanceof ClipscribeError) throw loaded ?? new Error("none");
  return loaded;
}

describe("a stage's bundle", () => {
  test("is the same wherever the pipeline's folder and the packages lie, and names no place", async (t) => {
    const near = checkout(t);
    const far = checkout(t, "a", "home", "of", "somebody");
    const linked = join(checkout(t), "link");
    symlinkSync(near, linked);

    const bundles = [await bundle(near), await bundle(far), await bundle(linked)];

    assert.deepEqual(new Set(bundles.map(({ codeDigest }) => codeDigest)).size, 1);
    const code = readFileSync(bundles[1]?.bundlePath ?? "", "utf8");
    assert.match(code, /^\/\/ node_modules\/csv-stringify\//m);
    assert.match(code, /"node_modules\/yaml\//);
    assert.ok(!code.includes(ROOT) && !code.includes(`${ROOT.slice(1)}/`));
  });

  test("is another where a file that it imports is another, and the same where a comment is", async (t) => {
    const root = checkout(t);
    const words = join(root, "stages", "words.ts");
    writeFileSync(words, 'export const word = "1";\n');
    const importing = STAGE.replace('parse("1")', "parse(word)");
    writeFileSync(join(root, USES), `import { word } from "./words.ts";${importing}`);
    const first = await bundle(root);

    writeFileSync(words, '/** Said otherwise. */\nexport const word = "1";\n');
    const commented = await bundle(root);
    writeFileSync(words, 'export const word = "2";\n');
    const changed = await bundle(root);

    assert.equal(commented.codeDigest, first.codeDigest);
    assert.notEqual(changed.codeDigest, first.codeDigest);
  });
});
