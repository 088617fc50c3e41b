/**
 * One graph from the graphs of a job's items. Things of one canonical form and type are one node,
 * whatever their ids were: an id is made of ASCII letters, and names in other scripts share theirs.
 * The order of the items does not matter to which nodes and edges there are.
 */
import { z } from "zod";

import { ItemId, slugOf } from "./ids.ts";
import { KnowledgeGraph, bestVerification } from "./intelligence.ts";

const Node = KnowledgeGraph.shape.nodes.element;
const Edge = KnowledgeGraph.shape.edges.element;

/** `knowledge_graph.json` of a job: fields are added to an item's, none is renamed. */
export const MergedGraph = z.object({
  nodes: z.array(Node.extend({ items: z.array(ItemId) })),
  edges: z.array(
    Edge.extend({
      /** Where it was found, by the id that the item's own files have for it. */
      found_in: z.array(z.object({ item_id: ItemId, edge: z.string() })),
    }),
  ),
});
export type MergedGraph = z.infer<typeof MergedGraph>;

type MergedNode = MergedGraph["nodes"][number];
type MergedEdge = MergedGraph["edges"][number];

export interface GraphMerger {
  add(item: ItemId, graph: KnowledgeGraph): void;
  merged(): MergedGraph;
}

/** Takes graphs one at a time, so that a job of thousands needs no more than what comes out. */
export function createGraphMerger(): GraphMerger {
  const nodes = new Map<string, MergedNode>();
  const edges = new Map<string, MergedEdge>();

  function addNode(item: ItemId, node: KnowledgeGraph["nodes"][number]): string {
    const key = keyOf(node.type, node.label);
    const known = nodes.get(key);
    if (known === undefined) {
      nodes.set(key, { ...node, items: [item] });
      return key;
    }
    // Of several spellings the first by code unit, so that the order of items changes nothing.
    if (node.label < known.label) known.label = node.label;
    known.confidence = Math.max(known.confidence, node.confidence);
    known.mention_count += node.mention_count;
    const labels = [known, node].flatMap(({ verification }) =>
      verification === undefined ? [] : { verification },
    );
    if (labels.length > 0) known.verification = bestVerification(labels);
    if (!known.items.includes(item)) known.items.push(item);
    return key;
  }

  return {
    add(item, graph) {
      const keys = new Map(graph.nodes.map((node) => [node.id, addNode(item, node)]));
      for (const edge of graph.edges) {
        const source = keys.get(edge.source);
        const target = keys.get(edge.target);
        // An edge only joins nodes that exist.
        if (source === undefined || target === undefined || source === target) continue;
        const key = JSON.stringify([source, normal(edge.predicate), target]);
        const found = { item_id: item, edge: edge.id };
        const known = edges.get(key);
        if (known === undefined) edges.set(key, { ...edge, source, target, found_in: [found] });
        else {
          if (edge.predicate < known.predicate) known.predicate = edge.predicate;
          known.confidence = Math.max(known.confidence, edge.confidence);
          known.found_in.push(found);
        }
      }
    },

    merged() {
      const ids = new Map<string, string>();
      const taken = new Set<string>();
      const sortedNodes = inOrder(nodes).map(([key, node]) => {
        const base = `${node.type.toLowerCase()}-${slugOf(normal(node.label), "entity")}`;
        let id = base;
        for (let number = 2; taken.has(id); number++) id = `${base}-${number}`;
        taken.add(id);
        ids.set(key, id);
        return { ...node, id, items: node.items.toSorted(byCodeUnit) };
      });
      const sortedEdges = inOrder(edges).map(([, edge], index) => ({
        ...edge,
        id: `r${String(index + 1).padStart(4, "0")}`,
        source: ids.get(edge.source) ?? "",
        target: ids.get(edge.target) ?? "",
        found_in: edge.found_in.toSorted((a, b) => byCodeUnit(a.item_id, b.item_id)),
      }));
      return { nodes: sortedNodes, edges: sortedEdges };
    },
  };
}

function keyOf(type: string, label: string): string {
  return JSON.stringify([type, normal(label)]);
}

/** The same name however it was typed: composed, in lower case, with single spaces. */
function normal(name: string): string {
  return name.normalize("NFKC").toLowerCase().replaceAll(/\s+/g, " ").trim();
}

function inOrder<Value>(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].toSorted(([a], [b]) => byCodeUnit(a, b));
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
