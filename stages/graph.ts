/** Draws entities and relationships as nodes and edges; an edge only joins nodes that exist. */
import { z } from "zod";

import { slugOf } from "../core/ids.ts";
import { Intelligence, KnowledgeGraph, bestVerification } from "../core/intelligence.ts";
import { defineStage, file, json } from "../core/stage.ts";
import { timesOfGraph, toGexf, toGraphMl } from "./formats/graph-files.ts";

export default defineStage({
  input: { intelligence: json(Intelligence) },
  output: {
    knowledge_graph: json(KnowledgeGraph, { fileName: "knowledge_graph.json" }),
    graph_gexf: file({ mediaType: "application/gexf+xml", fileName: "knowledge_graph.gexf" }),
    graph_graphml: file({
      mediaType: "application/graphml+xml",
      fileName: "knowledge_graph.graphml",
    }),
  },
  params: z.strictObject({}),

  estimate: () => ({ seconds: 1, costUsd: 0 }),

  async run({ input: { intelligence }, ctx }) {
    const graph = buildGraph(intelligence);
    const times = timesOfGraph(graph, intelligence);
    return {
      knowledge_graph: graph,
      graph_gexf: await ctx.write("knowledge_graph.gexf", toGexf(graph, times)),
      graph_graphml: await ctx.write("knowledge_graph.graphml", toGraphMl(graph, times)),
    };
  },
});

/** Pure, and exported for its own tests. Node ids are stable for the same names. */
export function buildGraph({ entities, relationships }: Intelligence): KnowledgeGraph {
  const nodes: KnowledgeGraph["nodes"] = [];
  const idsByName = new Map<string, string>();
  const taken = new Set<string>();
  for (const { name, type, confidence, mention_count, canonical_form, evidence } of entities) {
    const base = `${type.toLowerCase()}-${slugOf(canonical_form, "entity")}`;
    let id = base;
    for (let number = 2; taken.has(id); number++) id = `${base}-${number}`;
    taken.add(id);
    const verification = bestVerification(evidence);
    nodes.push({ id, label: name, type, confidence, mention_count, verification });
    // The first, most mentioned entity of a name is what relationships mean.
    if (!idsByName.has(canonical_form)) idsByName.set(canonical_form, id);
  }
  const edges = relationships.flatMap(({ id, subject, predicate, object, confidence }) => {
    const source = idsByName.get(subject);
    const target = idsByName.get(object);
    if (source === undefined || target === undefined) return [];
    return [{ id, source, target, predicate, confidence }];
  });
  return { nodes, edges };
}
