/** The emulated cloud with a pipeline of one small stage, and how tests wait for what runners do. */
import type { ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { loadPipeline } from "../bin/load-pipeline.ts";
import type { ItemState } from "../core/records.ts";
import { openCloudWorld } from "./cloud-world.ts";
import type { CloudWorld } from "./cloud-world.ts";

/** One stage that reads the medium, takes its time, and fails for a medium that says so. */
const STAGE = `
import { z } from "zod";
import { ClipscribeError } from "../core/errors.ts";
import { defineStage, file } from "../core/stage.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({ ms: z.number() }),
  async run({ input, params, ctx }) {
    const text = await ctx.readText(input.source);
    if (text.startsWith("bad")) throw new ClipscribeError("contract", "this medium is bad");
    if (text.startsWith("deadly")) process.kill(process.pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, params.ms));
    return { out: await ctx.write("out.txt", "heard: " + text) };
  },
});
`;

export interface SmallCloud {
  dir: string;
  cloud: CloudWorld;
  pipeline: string;
  digest: string;
  /** Writes files that say who speaks; their paths. */
  media(names: readonly string[]): string[];
}

export interface SmallCloudOptions {
  /** How long the stage takes. */
  ms?: number;
  /** More of the stage's entry in pipeline.yaml, as YAML. */
  stage?: string;
}

export async function openSmallCloud(
  t: TestContext,
  { ms = 300, stage = "" }: SmallCloudOptions = {},
): Promise<SmallCloud> {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-cloud-test-"));
  mkdirSync(join(dir, "stages"));
  cpSync(join(import.meta.dirname, "..", "core"), join(dir, "core"), { recursive: true });
  writeFileSync(join(dir, "stages", "only.ts"), STAGE);
  const pipeline = join(dir, "pipeline.yaml");
  writeFileSync(
    pipeline,
    `pipeline: test\naccept: [mp4]\nstages:\n  - id: only\n    uses: stages/only.ts\n    with: { ms: ${ms} }\n${stage}publish: [out.txt]\n`,
  );
  const cloud = await openCloudWorld(pipeline);
  t.after(async () => {
    await cloud[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const { digest } = (await loadPipeline(pipeline, join(dir, "home"))).pipeline;
  const media = (names: readonly string[]): string[] =>
    names.map((name) => {
      const path = join(dir, `${name}.mp4`);
      writeFileSync(path, `${name} speaks`);
      return path;
    });
  return { dir, cloud, pipeline, digest, media };
}

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
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** For `until`: the states, once none of them is queued or under way. */
export function allEnded(cloud: CloudWorld, job: string, items: readonly string[]) {
  return async (): Promise<(ItemState | undefined)[] | undefined> => {
    const states = await Promise.all(items.map(async (item) => cloud.readItem(job, item)));
    const over = states.every(
      (state) => state !== undefined && !["queued", "processing"].includes(state.status),
    );
    return over ? states : undefined;
  };
}

export async function ended(child: ChildProcess): Promise<number | null> {
  return child.exitCode !== null || child.signalCode !== null
    ? child.exitCode
    : new Promise((resolve) => child.once("close", resolve));
}

/** All that a process has said so far. */
export function listenTo(child: ChildProcess): () => string {
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  }
  return () => said;
}

export async function audit(cloud: CloudWorld) {
  const { code, stdout, stderr } = await cloud.clipscribe("audit", "--json");
  const report = JSON.parse(stdout || "{}") as {
    counts: Record<string, number>;
    problems: string[];
    notes: string[];
  };
  return { code, ...report, stderr };
}
