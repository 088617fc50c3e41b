/**
 * The knowledge graph as a static picture: laid out by d3-force with a fixed start and a fixed
 * number of steps, so that the same graph gives the same bytes. No script, no external font.
 *
 * The picture is as large as its labels need at a size that can be read, and the page scrolls it:
 * a picture that is shrunk to a column shows two hundred names to nobody. Names are kept apart as
 * boxes, wider than high, by laying out in a space that is squeezed sideways.
 */
import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY } from "d3-force";

import { QUIET_TYPES } from "../../core/intelligence.ts";
import type { KnowledgeGraph } from "../../core/intelligence.ts";
import { escapeXml } from "../../core/escape-text.ts";

const STEPS = 350;
/** More nodes than this are a cloud that nobody reads; the data file has all. */
const MAX_NODES = 200;
/** Above so many edges their words cover the names; the table has them. */
const MAX_WORDED_EDGES = 40;
const MAX_LABEL_CHARS = 28;
/** Pixels; bold 13 px of DejaVu Sans, the widest of the faces that a system may choose. */
const CHAR_WIDTH = 8.6;
const LABEL_HEIGHT = 17;
const MARGIN = 24;
/** Of the words along an edge: 11 px, italic. */
const WORD_WIDTH = 6;
const WORD_HEIGHT = 13;
const WORD_PLACES = [0.5, 0.4, 0.6, 0.3, 0.7];
/** How much wider than high a label's box is taken to be. */
const SQUEEZE = 2.2;

export interface GraphPicture {
  svg: string;
  /** Pixels. */
  width: number;
  height: number;
  shown: number;
  total: number;
  edges: number;
  /** Names in the picture that only a model speaks of. */
  unverified: number;
}

interface Point {
  id: string;
  label: string;
  name: string;
  type: string;
  isUnverified: boolean;
  radius: number;
  halfWidth: number;
  x: number;
  y: number;
}

/** Returns undefined where there is nothing to draw. */
export function drawGraph(graph: KnowledgeGraph): GraphPicture | undefined {
  const related = new Set(graph.edges.flatMap(({ source, target }) => [source, target]));
  const chosen = graph.nodes
    .filter(({ id, type }) => related.has(id) || !QUIET_TYPES.includes(type))
    .toSorted(
      (a, b) =>
        Number(related.has(b.id)) - Number(related.has(a.id)) || b.mention_count - a.mention_count,
    )
    .slice(0, MAX_NODES);
  if (chosen.length < 2) return undefined;
  const points = chosen.map(startPoint);
  const ids = new Set(points.map(({ id }) => id));
  const edges = graph.edges.filter(({ source, target }) => ids.has(source) && ids.has(target));
  layOut(points, edges);
  const { width, height } = moveIntoView(points);
  const byId = new Map(points.map((point) => [point.id, point]));
  // Taken as the picture fills: a word that would cover a name, or other words, stays in the table.
  const taken = edges.length <= MAX_WORDED_EDGES ? points.flatMap(boxesOf) : null;
  const pairs = new Map<string, string[]>();
  for (const { source, target, predicate } of edges) {
    const pair = JSON.stringify([source, target]);
    pairs.set(pair, [...(pairs.get(pair) ?? []), predicate]);
  }
  const lines = [...pairs].flatMap(([pair, predicates]) => {
    const [source = "", target = ""] = JSON.parse(pair) as string[];
    const [from, to] = [byId.get(source), byId.get(target)];
    return from === undefined || to === undefined || from === to
      ? []
      : [drawEdge(from, to, predicates.join(", "), taken)];
  });
  const title = `Graph of ${points.length} names and ${edges.length} relationships; the table below it says the same`;
  const svg = `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${title}" class="graph"><defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" class="arrow"/></marker></defs>${lines.map(({ line }) => line).join("")}${points.map(drawNode).join("")}${lines.map(({ words }) => words).join("")}</svg>`;
  return {
    svg,
    width,
    height,
    shown: points.length,
    total: graph.nodes.length,
    edges: edges.length,
    unverified: points.filter(({ isUnverified }) => isUnverified).length,
  };
}

function startPoint(node: KnowledgeGraph["nodes"][number], at: number): Point {
  const { id, label: name, type, mention_count: mentions, verification } = node;
  const label = name.length > MAX_LABEL_CHARS ? `${name.slice(0, MAX_LABEL_CHARS - 1)}…` : name;
  // A sunflower: an even start that depends on nothing but the order.
  const angle = at * 2.399963;
  const distance = 40 * Math.sqrt(at + 1);
  return {
    id,
    label,
    name,
    type,
    isUnverified: verification === "unverified",
    radius: 6 + Math.min(12, 2.5 * Math.sqrt(mentions)),
    halfWidth: Math.max(20, (label.length * CHAR_WIDTH) / 2),
    x: Math.cos(angle) * distance,
    y: Math.sin(angle) * distance,
  };
}

function layOut(points: Point[], edges: readonly { source: string; target: string }[]): void {
  const links = edges.map(({ source, target }) => ({ source, target }));
  const isSmall = points.length <= 40;
  const simulation = forceSimulation(points)
    .force(
      "link",
      forceLink<Point, { source: string; target: string }>(links)
        .id(({ id }) => id)
        .distance(isSmall ? 90 : 70),
    )
    .force("charge", forceManyBody().strength(isSmall ? -260 : -120))
    .force("x", forceX(0).strength(isSmall ? 0.16 : 0.05))
    .force("y", forceY(0).strength(isSmall ? 0.13 : 0.07))
    .force(
      "collide",
      forceCollide<Point>(({ radius, halfWidth }) =>
        Math.max(radius + LABEL_HEIGHT, (halfWidth + 8) / SQUEEZE),
      ).iterations(3),
    )
    .stop();
  simulation.tick(STEPS);
}

/** Undoes the squeeze and returns the size of the picture around all labels. */
function moveIntoView(points: Point[]): { width: number; height: number } {
  for (const point of points) point.x *= SQUEEZE;
  const left = Math.min(...points.map(({ x, halfWidth }) => x - halfWidth)) - MARGIN;
  const top = Math.min(...points.map(({ y, radius }) => y - radius)) - MARGIN;
  for (const point of points) {
    point.x -= left;
    point.y -= top;
  }
  const width = Math.max(...points.map(({ x, halfWidth }) => x + halfWidth)) + MARGIN;
  const height = Math.max(...points.map(({ y, radius }) => y + radius)) + LABEL_HEIGHT + MARGIN;
  return { width: Math.ceil(width), height: Math.ceil(height) };
}

function drawEdge(
  from: Point,
  to: Point,
  predicate: string,
  taken: Box[] | null,
): { line: string; words: string } {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const stop = (length - to.radius - 4) / length;
  const [x, y] = [from.x + (to.x - from.x) * stop, from.y + (to.y - from.y) * stop];
  const place = taken && findPlace(from, to, predicate, taken);
  const title = escapeXml(`${from.name} — ${predicate} → ${to.name}`);
  const ends = ` data-from="${escapeXml(from.id)}" data-to="${escapeXml(to.id)}"`;
  return {
    line: `<line${ends} x1="${round(from.x)}" y1="${round(from.y)}" x2="${round(x)}" y2="${round(y)}" class="edge" marker-end="url(#arrow)"><title>${title}</title></line>`,
    words: place
      ? `<text${ends} x="${round(place.x)}" y="${round(place.y)}" class="predicate">${escapeXml(predicate)}</text>`
      : "",
  };
}

/** Where the words along an edge cover nothing: its middle, or a place near it. Takes the place. */
function findPlace(
  from: Point,
  to: Point,
  words: string,
  taken: Box[],
): { x: number; y: number } | undefined {
  for (const part of WORD_PLACES) {
    const [x, y] = [from.x + (to.x - from.x) * part, from.y + (to.y - from.y) * part + 3];
    const box = boxAround(x, y - 4, (words.length * WORD_WIDTH) / 2, WORD_HEIGHT / 2);
    if (taken.some((other) => overlaps(box, other))) continue;
    taken.push(box);
    return { x, y };
  }
  return undefined;
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function boxAround(x: number, y: number, halfWidth: number, halfHeight: number): Box {
  return { left: x - halfWidth, right: x + halfWidth, top: y - halfHeight, bottom: y + halfHeight };
}

/** Of its shape, and of its name below. */
function boxesOf({ x, y, radius, halfWidth }: Point): Box[] {
  const name = boxAround(x, y + radius + LABEL_HEIGHT / 2, halfWidth, LABEL_HEIGHT / 2);
  return [boxAround(x, y, radius, radius), name];
}

function overlaps(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** Kinds differ in shape, and what is unverified in its outline: not in colour alone. */
function drawNode({ x, y, radius: r, label, name, type, id, isUnverified }: Point): string {
  const about = isUnverified ? `${type}, unverified` : type;
  const title = `<title>${escapeXml(`${name} (${about})`)}</title>`;
  const text = `<text x="${round(x)}" y="${round(y + r + LABEL_HEIGHT - 3)}">${escapeXml(label)}</text>`;
  const kind = `node type-${type.toLowerCase()}${isUnverified ? " unverified" : ""}`;
  return `<g class="${kind}" data-id="${escapeXml(id)}" data-name="${escapeXml(name)}">${title}${shapeOf(type, x, y, r)}${text}</g>`;
}

function shapeOf(type: string, x: number, y: number, r: number): string {
  const polygon = (points: readonly (readonly [number, number])[]): string =>
    `<polygon points="${points.map(([dx, dy]) => `${round(x + dx * r)},${round(y + dy * r)}`).join(" ")}"/>`;
  switch (type) {
    case "PERSON":
      return `<circle cx="${round(x)}" cy="${round(y)}" r="${round(r)}"/>`;
    case "ORG":
    case "NORP":
      return `<rect x="${round(x - r * 0.9)}" y="${round(y - r * 0.9)}" width="${round(r * 1.8)}" height="${round(r * 1.8)}" rx="2"/>`;
    case "GPE":
    case "LOC":
    case "FAC":
      return polygon([
        [0, -1.15],
        [1.15, 0],
        [0, 1.15],
        [-1.15, 0],
      ]);
    case "MONEY":
    case "PERCENT":
    case "QUANTITY":
    case "CARDINAL":
    case "ORDINAL":
    case "DATE":
    case "TIME":
      return polygon([
        [0, -1.1],
        [1.05, 0.85],
        [-1.05, 0.85],
      ]);
    default:
      return polygon([
        [-0.5, -1],
        [0.5, -1],
        [1.05, 0],
        [0.5, 1],
        [-0.5, 1],
        [-1.05, 0],
      ]);
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
