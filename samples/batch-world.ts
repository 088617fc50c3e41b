/** The emulated cloud and a pipeline of two small stages, for tests of what people do with jobs. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { loadPipeline } from "../bin/load-pipeline.ts";
import type { ItemState } from "../core/records.ts";
import { openCloudWorld } from "./cloud-world.ts";
import type { CloudWorld } from "./cloud-world.ts";

/** Reads the medium and takes its time; a medium may say that it is bad. */
const LISTEN = `
import { z } from "zod";
import { ClipscribeError } from "../core/errors.ts";
import { defineStage, file } from "../core/stage.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { heard: file({ mediaType: "text/plain" }) },
  params: z.strictObject({ ms: z.number() }),
  async run({ input, params, ctx }) {
    const text = await ctx.readText(input.source);
    if (text.startsWith("bad")) throw new ClipscribeError("contract", "this medium is bad");
    await new Promise((resolve) => setTimeout(resolve, params.ms));
    return { heard: await ctx.write("heard.txt", "heard: " + text) };
  },
});
`;
const WRITE = `
import { z } from "zod";
import { defineStage, file } from "../core/stage.ts";
export default defineStage({
  input: { heard: file({ mediaType: "text/plain" }) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({}),
  async run({ input, ctx }) {
    return { out: await ctx.write("out.txt", await ctx.readText(input.heard)) };
  },
});
`;

export interface BatchWorld {
  dir: string;
  cloud: CloudWorld;
  pipeline: string;
  digest: string;
  /** Writes files that say who speaks; their paths. */
  media(...names: string[]): string[];
  /** The state of an item once it is one of these. */
  untilStatus(job: string, item: string, ...wanted: ItemState["status"][]): Promise<ItemState>;
}

export async function openBatchWorld(t: TestContext, { ms = 300 } = {}): Promise<BatchWorld> {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-batch-"));
  mkdirSync(join(dir, "stages"));
  cpSync(join(import.meta.dirname, "..", "core"), join(dir, "core"), { recursive: true });
  writeFileSync(join(dir, "stages", "listen.ts"), LISTEN);
  writeFileSync(join(dir, "stages", "write.ts"), WRITE);
  const pipeline = join(dir, "pipeline.yaml");
  writeFileSync(
    pipeline,
    `pipeline: test
accept: [mp4, m4a]
stages:
  - { id: listen, uses: stages/listen.ts, with: { ms: ${ms} } }
  - { id: write, uses: stages/write.ts }
publish: [out.txt]
`,
  );
  const cloud = await openCloudWorld(pipeline);
  t.after(async () => {
    await cloud[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const { digest } = (await loadPipeline(pipeline, join(dir, "home"))).pipeline;
  return {
    dir,
    cloud,
    pipeline,
    digest,
    media: (...names) =>
      names.map((name) => {
        const path = join(dir, `${name}.mp4`);
        writeFileSync(path, `${name} speaks`);
        return path;
      }),
    untilStatus: async (job, item, ...wanted) =>
      until(
        async () => {
          const state = await cloud.readItem(job, item);
          return state !== undefined && wanted.includes(state.status) ? state : undefined;
        },
        `${item} being ${wanted.join(" or ")}`,
      ),
  };
}

/** Looks again until there is an answer. */
export async function until<Value>(
  look: () => Promise<Value | undefined>,
  what: string,
  seconds = 40,
): Promise<Value> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not happen in ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
