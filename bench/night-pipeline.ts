/** The pipeline of a night: one stage that only takes time, one that pays twice. */
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const WORK = `import { z } from "zod";
import { defineStage, file, json } from "../core/stage.ts";
export const Work = z.object({ text: z.string() });
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { work: json(Work) },
  params: z.strictObject({}),
  async run({ input, ctx }) {
    const text = (await ctx.readText(input.source)).trim();
    await new Promise((resolve) => setTimeout(resolve, Number(/ms=(\\d+)/.exec(text)?.[1] ?? 100)));
    return { work: { text } };
  },
});
`;

const ASK = `import { z } from "zod";
import { defineStage, file, json } from "../core/stage.ts";
import { Work } from "./work.ts";
const Said = z.object({ said: z.string() });
export default defineStage({
  input: { work: json(Work) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({ model: z.string().default("auto") }),
  needs: { provider: "chat", providerParam: "model" },
  async run({ input, ctx }) {
    const answers = [];
    for (const part of [1, 2]) {
      const { said } = await ctx.chat({ prompt: part + " " + input.work.text, schema: Said });
      answers.push(said);
    }
    return { out: await ctx.write("out.txt", [...answers, input.work.text].join("\\n")) };
  },
});
`;

const PIPELINE = `pipeline: night
accept: [mp4]
stages:
  - id: work
    uses: stages/work.ts
  - id: ask
    uses: stages/ask.ts
    pool: llm
    retry: { attempts: 10, backoff: fixed }
publish: [out.txt]
pools: { llm: 4 }
`;

/** Returns the path of its `pipeline.yaml`. */
export function makeNightPipeline(dir: string): string {
  const root = join(import.meta.dirname, "..");
  mkdirSync(join(dir, "stages"));
  cpSync(join(root, "core"), join(dir, "core"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  writeFileSync(join(dir, "stages", "work.ts"), WORK);
  writeFileSync(join(dir, "stages", "ask.ts"), ASK);
  const path = join(dir, "pipeline.yaml");
  writeFileSync(path, PIPELINE);
  return path;
}

/** What an item has to publish, by its medium and what the provider says to it. */
export function expectedText(medium: string, said: readonly string[]): string {
  return [...said, medium.trim()].join("\n");
}
