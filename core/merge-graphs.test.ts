import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ItemId } from "./ids.ts";
import type { KnowledgeGraph } from "./intelligence.ts";
import { createGraphMerger } from "./merge-graphs.ts";
import type { MergedGraph } from "./merge-graphs.ts";

const A = ItemId.parse("a");
const B = ItemId.parse("b");

function node(id: string, label: string, type = "PERSON"): KnowledgeGraph["nodes"][number] {
  return { id, label, type: type as "PERSON", confidence: 0.5, mention_count: 2 };
}

function merge(...graphs: [ItemId, KnowledgeGraph][]): MergedGraph {
  const merger = createGraphMerger();
  for (const [item, graph] of graphs) merger.add(item, graph);
  return merger.merged();
}

describe("the graph of a job", () => {
  test("one name of one type is one node, with all its mentions and items", () => {
    const { nodes } = merge(
      [A, { nodes: [node("person-ana-diaz", "Ana Díaz")], edges: [] }],
      [B, { nodes: [node("person-2", "ana  DÍAZ"), node("org-1", "Ana Díaz", "ORG")], edges: [] }],
    );

    assert.deepEqual(
      nodes.map(({ id, mention_count, items }) => [id, mention_count, items]),
      [
        ["org-ana-diaz", 2, ["b"]],
        ["person-ana-diaz", 4, ["a", "b"]],
      ],
    );
  });

  test("names in other scripts, whose ids are alike, stay apart", () => {
    const { nodes, edges } = merge(
      [A, { nodes: [node("person-entity", "أحمد"), node("person-entity-2", "ليلى")], edges: [] }],
      [
        B,
        {
          nodes: [node("person-entity", "ليلى"), node("person-entity-2", "أحمد")],
          edges: [
            {
              id: "r0001",
              source: "person-entity",
              target: "person-entity-2",
              predicate: "met",
              confidence: 1,
            },
          ],
        },
      ],
    );

    assert.equal(nodes.length, 2);
    assert.ok(nodes.every(({ mention_count: count }) => count === 4));
    const labels = new Map(nodes.map(({ id, label }) => [id, label]));
    assert.deepEqual(
      edges.map(({ source, target }) => [labels.get(source), labels.get(target)]),
      [["ليلى", "أحمد"]],
    );
  });

  test("the same claim in two items is one edge that names both, and joins nodes that exist", () => {
    const graph: KnowledgeGraph = {
      nodes: [node("p", "Ana"), node("o", "Harbour Trust", "ORG")],
      edges: [
        { id: "r0007", source: "p", target: "o", predicate: "works for", confidence: 0.7 },
        { id: "r0008", source: "p", target: "gone", predicate: "met", confidence: 0.7 },
      ],
    };

    const { nodes, edges } = merge([B, graph], [A, graph]);

    assert.deepEqual(
      edges.map(({ found_in: found, predicate }) => [predicate, found]),
      [
        [
          "works for",
          [
            { item_id: "a", edge: "r0007" },
            { item_id: "b", edge: "r0007" },
          ],
        ],
      ],
    );
    const ids = new Set(nodes.map(({ id }) => id));
    assert.ok(edges.every(({ source, target }) => ids.has(source) && ids.has(target)));
  });

  test("the order in which items come in changes nothing", () => {
    const one: KnowledgeGraph = { nodes: [node("p", "ana"), node("q", "C++", "ORG")], edges: [] };
    const two: KnowledgeGraph = { nodes: [node("p", "Ana"), node("q", "C", "ORG")], edges: [] };

    assert.deepEqual(merge([A, one], [B, two]), merge([B, two], [A, one]));
  });
});
