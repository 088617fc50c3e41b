/** A folder with a pipeline of one stage that says one word, for tests of what becomes of pipelines. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const STAGE = `
import { z } from "zod";
import { defineStage, file } from "../core/stage.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({ ms: z.number() }),
  run: async ({ ctx }) => ({ out: await ctx.write("out.txt", "said") }),
});
`;

/** Returns what writes the pipeline under a name, with a parameter that makes it another one. */
export function makeTinyProject(dir: string): (name: string, ms: number) => string {
  mkdirSync(join(dir, "stages"));
  cpSync(join(import.meta.dirname, "..", "core"), join(dir, "core"), { recursive: true });
  writeFileSync(join(dir, "stages", "only.ts"), STAGE);
  return (name, ms) => {
    const text = `pipeline: test\naccept: [mp4]\nstages:\n  - id: only\n    uses: stages/only.ts\n    with: { ms: ${ms} }\npublish: [out.txt]\n`;
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
}
