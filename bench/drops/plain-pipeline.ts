/** A pipeline of one stage that a server runs: what is measured is the hand-off, and nothing before it. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const STAGE = `import { z } from "zod";
import { defineStage, file } from "../core/stage.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) }, output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({}), async run({ ctx }) { return { out: await ctx.write("out.txt", "heard") }; },
});
`;

/** Returns the pipeline's path. */
export function writePlainPipeline(dir: string): string {
  symlinkSync(join(import.meta.dirname, "..", "..", "core"), join(dir, "core"));
  mkdirSync(join(dir, "stages"));
  writeFileSync(join(dir, "stages", "only.ts"), STAGE);
  const file = join(dir, "pipeline.yaml");
  writeFileSync(
    file,
    "pipeline: drops\naccept: [mp4, wav]\nstages:\n  - id: only\n    uses: stages/only.ts\npublish: [out.txt]\n",
  );
  return file;
}
