/** The JSON Schemas of what is published and of pipeline.yaml, made from the zod schemas. */
import { z } from "zod";

import { KnowledgeGraph } from "./intelligence.ts";
import { pipelineJsonSchema } from "./pipeline-schema.ts";
import { ClipsJsonLd, CoreJson, TranscriptJson } from "./published.ts";
import { Manifest } from "./records.ts";

export const SCHEMAS: Readonly<Record<string, { file: string; make: () => unknown }>> = {
  pipeline: { file: "templates/pipeline.schema.json", make: pipelineJsonSchema },
  core: { file: "docs/schemas/core.schema.json", make: () => published("core.json", CoreJson) },
  transcript: {
    file: "docs/schemas/transcript.schema.json",
    make: () => published("transcript.json", TranscriptJson),
  },
  knowledge_graph: {
    file: "docs/schemas/knowledge_graph.schema.json",
    make: () => published("knowledge_graph.json", KnowledgeGraph),
  },
  clips: {
    file: "docs/schemas/clips.schema.json",
    make: () => published("clips.jsonld", ClipsJsonLd),
  },
  manifest: {
    file: "docs/schemas/manifest.schema.json",
    make: () => published("manifest.json", Manifest),
  },
};

/** What a reader may rely on; readers of older files ignore fields that they do not know. */
function published(title: string, schema: z.ZodType): unknown {
  return { title, ...z.toJSONSchema(schema, { io: "input" }) };
}

/** As it stands in the repository. */
export function writeSchema(name: string): string | undefined {
  const schema = SCHEMAS[name];
  return schema === undefined ? undefined : `${JSON.stringify(schema.make(), null, 2)}\n`;
}
