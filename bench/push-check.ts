/**
 * What was published under pushed pipelines, looked at with the bucket alone: each manifest names one
 * pipeline; that one's index and bundles, fetched into an empty folder, give the keys of its stages
 * again; and its text is what that pipeline's code and params say.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { buildPipeline } from "../bin/load-pipeline.ts";
import type { Sha256 } from "../core/ids.ts";
import { parseObjectKey } from "../core/keys.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import { stageIngredients, stageKey } from "../core/plan.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { readPipeline } from "../sync/pipeline-store.ts";

/** What a pipeline says of a medium. */
export interface Pushed {
  code: number;
  label: string;
}

interface Published {
  pipeline: { digest: Sha256 };
  source: { sha256: string };
  stages: { id: string; key: string; code_digest: string }[];
}

interface Cached {
  artifacts: Record<string, { sha256: string }>;
}

export interface PushCheck {
  problems: string[];
  /** Stage keys that the bundles gave again. */
  keys: number;
  /** Different pipelines that manifests name. */
  pipelines: number;
}

export async function checkPushed(
  store: ObjectStore,
  about: {
    pushed: ReadonlyMap<string, Pushed>;
    /** Item → the digest that it was handed over under; null: any that was pushed. */
    items: ReadonlyMap<string, string | null>;
    dir: string;
  },
): Promise<PushCheck> {
  const { pushed, items, dir } = about;
  const problems: string[] = [];
  const built = new Map<string, CheckedPipeline>();
  const seen = new Set<string>();
  let keys = 0;
  const readText = async (key: string): Promise<string> =>
    Buffer.from((await store.get(parseObjectKey(key))).body).toString("utf8");
  const read = async <Value>(key: string): Promise<Value> =>
    JSON.parse(await readText(key)) as Value;

  async function build(digest: Sha256): Promise<CheckedPipeline> {
    const known = built.get(digest);
    if (known !== undefined) return known;
    const folder = join(dir, "built", digest);
    mkdirSync(folder, { recursive: true });
    const { index, bundles } = await readPipeline(store, digest);
    for (const [file, body] of bundles) {
      if (!file.endsWith(`${hash(body)}.mjs`)) problems.push(`${digest}: ${file} is not itself`);
      writeFileSync(join(folder, file), body);
    }
    const pipeline = await buildPipeline(index, folder);
    built.set(digest, pipeline);
    return pipeline;
  }

  /** The key of each stage, from the bundle and what the stages before it made. */
  async function checkKeys(name: string, manifest: Published): Promise<void> {
    const pipeline = await build(manifest.pipeline.digest);
    const made = new Map<string, Cached["artifacts"]>();
    for (const stage of pipeline.stages) {
      const told = manifest.stages.find(({ id }) => id === stage.id);
      const inputs = Object.fromEntries(
        Object.entries(stage.inputs).map(([input, from]) => [
          input,
          from.from === "stage"
            ? made.get(from.stage)?.[from.artifact]?.sha256
            : manifest.source.sha256,
        ]),
      );
      const key = stageKey(stageIngredients({ stage, inputs, provider: null, tools: {} }));
      if (told?.key !== key || told.code_digest !== stage.codeDigest) {
        problems.push(`${name}: the bundle does not give the key of ${stage.id}`);
        return;
      }
      keys++;
      made.set(stage.id, (await read<Cached>(`cache/me/${key}.json`)).artifacts);
    }
  }

  async function checkItem(job: string, item: string): Promise<void> {
    const name = `${job}/${item}`;
    if (!items.has(item)) return void problems.push(`${name}: nobody brought it`);
    if (seen.has(item)) problems.push(`${name}: it is there twice`);
    seen.add(item);
    const state = await read<{ status: string; pipeline_digest: string }>(
      `jobs/me/${job}/items/${item}.json`,
    );
    if (state.status !== "complete") return void problems.push(`${name} is ${state.status}`);
    const manifest = await read<Published>(`results/me/${name}/manifest.json`);
    const { digest } = manifest.pipeline;
    const wanted = items.get(item) ?? digest;
    const says = pushed.get(digest);
    if (says === undefined || state.pipeline_digest !== digest || wanted !== digest) {
      return void problems.push(`${name} was published by ${digest}, handed over to ${wanted}`);
    }
    const text = await readText(`results/me/${name}/out.txt`);
    if (text !== `code ${says.code}, ${says.label}: medium of ${item}`) {
      problems.push(`${name}: another pipeline's code or params made it: ${text}`);
    }
    await checkKeys(name, manifest);
  }

  for await (const { key } of store.list("jobs/me/")) {
    const [, , job = "", folder, file = ""] = key.split("/");
    if (folder !== "items" || file === "_job.json") continue;
    await checkItem(job, file.slice(0, -".json".length)).catch((error: unknown) =>
      problems.push(`${key}: ${String(error)}`),
    );
  }
  for (const item of items.keys()) if (!seen.has(item)) problems.push(`${item} is nowhere`);
  return { problems, keys, pipelines: built.size };
}

function hash(body: Uint8Array): string {
  return createHash("sha256").update(body).digest("hex");
}
