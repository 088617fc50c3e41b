/**
 * The graph for Gephi and its kind. GEXF 1.3 (https://gexf.net/schema.html), dynamic: a node or an
 * edge exists while it is spoken of. GraphML with typed keys (http://graphml.graphdrawing.org).
 */
import { toXml } from "xast-util-to-xml";
import { x } from "xastscript";

import type { Evidence, Intelligence, KnowledgeGraph } from "../../core/intelligence.ts";
import { safeText } from "../../core/safe-text.ts";

interface Spell {
  start: number;
  end: number;
}
type XmlElement = ReturnType<typeof element>;

/** Seconds from the start at which each node (by id) and edge (by id) is spoken of. */
export type Spells = ReadonlyMap<string, readonly Spell[]>;

const NODE_FIELDS = [
  { id: "type", type: "string" },
  { id: "confidence", type: "double" },
  { id: "mention_count", type: "int" },
  { id: "verification", type: "string" },
] as const;
const EDGE_FIELDS = [
  { id: "predicate", type: "string" },
  { id: "confidence", type: "double" },
  { id: "quote", type: "string" },
] as const;

export interface GraphTimes {
  spells: Spells;
  /** The first quote that an edge rests on, by the edge's id. */
  quotes: ReadonlyMap<string, string>;
}

/** Only what was said has a time: quotes that nobody verified give no spell. */
export function timesOfGraph(graph: KnowledgeGraph, found: Intelligence): GraphTimes {
  const spells = new Map<string, Spell[]>();
  // Nodes stand in the order of the entities that they were made of.
  for (const [at, { id }] of graph.nodes.entries()) {
    spells.set(id, mergeSpells(found.entities[at]?.evidence ?? []));
  }
  const quotes = new Map<string, string>();
  for (const { id, evidence } of found.relationships) {
    spells.set(id, mergeSpells(evidence));
    const said = evidence.find(({ verification }) => verification !== "unverified");
    if (said !== undefined) quotes.set(id, said.quote);
  }
  return { spells, quotes };
}

export function mergeSpells(evidence: readonly Evidence[]): Spell[] {
  const said = evidence.filter(({ verification }) => verification !== "unverified");
  const merged: Spell[] = [];
  for (const { start, end } of said.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

export function toGexf(graph: KnowledgeGraph, { spells, quotes }: GraphTimes): string {
  const nodes = graph.nodes.map((node) =>
    element("node", { id: node.id, label: node.label }, [
      attValues({
        type: node.type,
        confidence: node.confidence,
        mention_count: node.mention_count,
        verification: node.verification ?? "",
      }),
      ...spellsOf(spells.get(node.id)),
    ]),
  );
  const edges = graph.edges.map(({ id, source, target, predicate, confidence }) =>
    element(
      "edge",
      // `kind` lets two relationships of the same two nodes stand side by side.
      { id, source, target, label: predicate, kind: predicate, weight: confidence },
      [
        attValues({ predicate, confidence, quote: quotes.get(id) ?? "" }),
        ...spellsOf(spells.get(id)),
      ],
    ),
  );
  return document(
    element("gexf", { xmlns: "http://gexf.net/1.3", version: "1.3" }, [
      element("meta", {}, [element("creator", {}, ["ClipScribe"])]),
      element(
        "graph",
        {
          mode: "dynamic",
          defaultedgetype: "directed",
          timeformat: "double",
          timerepresentation: "interval",
        },
        [
          attributes("node", NODE_FIELDS),
          attributes("edge", EDGE_FIELDS),
          element("nodes", {}, nodes),
          element("edges", {}, edges),
        ],
      ),
    ]),
  );
}

export function toGraphMl(graph: KnowledgeGraph, { spells, quotes }: GraphTimes): string {
  const key = (domain: string, name: string, type: string): XmlElement =>
    element("key", { id: `${domain}_${name}`, for: domain, "attr.name": name, "attr.type": type });
  const data = (domain: string, name: string, value: string | number): XmlElement =>
    element("data", { key: `${domain}_${name}` }, [String(value)]);
  const firstAt = (domain: string, id: string): XmlElement[] => {
    const start = spells.get(id)?.[0]?.start;
    return start === undefined ? [] : [data(domain, "first_at", start)];
  };
  const nodes = graph.nodes.map((node) =>
    element("node", { id: node.id }, [
      data("node", "label", node.label),
      data("node", "type", node.type),
      data("node", "confidence", node.confidence),
      data("node", "mention_count", node.mention_count),
      data("node", "verification", node.verification ?? ""),
      ...firstAt("node", node.id),
    ]),
  );
  const edges = graph.edges.map(({ id, source, target, predicate, confidence }) =>
    element("edge", { id, source, target }, [
      data("edge", "predicate", predicate),
      data("edge", "confidence", confidence),
      data("edge", "quote", quotes.get(id) ?? ""),
      ...firstAt("edge", id),
    ]),
  );
  return document(
    element("graphml", { xmlns: "http://graphml.graphdrawing.org/xmlns" }, [
      key("node", "label", "string"),
      ...NODE_FIELDS.map(({ id, type }) => key("node", id, type)),
      key("node", "first_at", "double"),
      ...EDGE_FIELDS.map(({ id, type }) => key("edge", id, type)),
      key("edge", "first_at", "double"),
      element("graph", { id: "knowledge_graph", edgedefault: "directed" }, [...nodes, ...edges]),
    ]),
  );
}

function attributes(domain: string, fields: readonly { id: string; type: string }[]): XmlElement {
  return element(
    "attributes",
    { class: domain },
    fields.map(({ id, type }) =>
      element("attribute", { id, title: id, type: type === "int" ? "integer" : type }),
    ),
  );
}

function attValues(values: Record<string, string | number>): XmlElement {
  return element(
    "attvalues",
    {},
    Object.entries(values).map(([name, value]) => element("attvalue", { for: name, value })),
  );
}

function spellsOf(spells: readonly Spell[] = []): XmlElement[] {
  if (spells.length === 0) return [];
  return [
    element(
      "spells",
      {},
      spells.map(({ start, end }) => element("spell", { start, end })),
    ),
  ];
}

/** Text from outside stays legal in XML 1.0, which has no control codes. */
function element(
  name: string,
  values: Record<string, string | number> = {},
  children: readonly (string | ReturnType<typeof x>)[] = [],
): ReturnType<typeof x> {
  const safe = Object.entries(values).map(([key, value]) => [key, safeText(String(value))]);
  const inside = children.map((child) => (typeof child === "string" ? safeText(child) : child));
  return x(name, Object.fromEntries(safe) as Record<string, string>, inside);
}

function document(root: XmlElement): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${toXml(root)}\n`;
}
