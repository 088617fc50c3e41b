/**
 * The knowledge graph as a static picture: laid out by d3-force with a fixed start and a fixed
 * number of steps, so that the same graph gives the same bytes. No script, no external font.
 */
import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY } from "d3-force";

import type { KnowledgeGraph } from "../../core/intelligence.ts";

const WIDTH = 960;
const HEIGHT = 560;
const STEPS = 400;
/** More nodes than this are a cloud that nobody reads; the data file has all. */
const MAX_NODES = 36;
const MAX_LABEL_CHARS = 28;
/** Room for the labels of the outermost nodes. */
const MARGIN_X = 110;
const MARGIN_Y = 50;

/** Numbers and dates say little as nodes of their own, unless something relates to them. */
const QUIET = ["CARDINAL", "ORDINAL", "DATE", "TIME", "QUANTITY", "PERCENT", "MONEY"];

export interface GraphPicture {
  svg: string;
  shown: number;
  total: number;
}

interface Point {
  id: string;
  label: string;
  type: string;
  radius: number;
  x: number;
  y: number;
}

/** Returns undefined where there is nothing to draw. */
export function drawGraph(graph: KnowledgeGraph): GraphPicture | undefined {
  const related = new Set(graph.edges.flatMap(({ source, target }) => [source, target]));
  const chosen = graph.nodes
    .filter(({ id, type }) => related.has(id) || !QUIET.includes(type))
    .toSorted(
      (a, b) =>
        Number(related.has(b.id)) - Number(related.has(a.id)) || b.mention_count - a.mention_count,
    )
    .slice(0, MAX_NODES);
  if (chosen.length < 2) return undefined;
  const points = chosen.map(({ id, label, type, mention_count }, at): Point => {
    const angle = at * 2.399963;
    const distance = 30 * Math.sqrt(at + 1);
    return {
      id,
      label: label.length > MAX_LABEL_CHARS ? `${label.slice(0, MAX_LABEL_CHARS - 1)}…` : label,
      type,
      radius: 6 + Math.min(14, 3 * Math.sqrt(mention_count)),
      x: WIDTH / 2 + Math.cos(angle) * distance,
      y: HEIGHT / 2 + Math.sin(angle) * distance,
    };
  });
  const ids = new Set(points.map(({ id }) => id));
  const edges = graph.edges.filter(({ source, target }) => ids.has(source) && ids.has(target));
  layOut(points, edges);
  const byId = new Map(points.map((point) => [point.id, point]));
  const lines = edges.flatMap(({ source, target, predicate }) => {
    const from = byId.get(source);
    const to = byId.get(target);
    return from === undefined || to === undefined ? [] : [drawEdge(from, to, predicate)];
  });
  const title = `Graph of ${points.length} names and ${edges.length} relationships`;
  const svg = `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}" class="graph"><defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" class="arrow"/></marker></defs>${lines.join("")}${points.map(drawNode).join("")}</svg>`;
  return { svg, shown: points.length, total: graph.nodes.length };
}

function layOut(points: Point[], edges: readonly { source: string; target: string }[]): void {
  const links = edges.map(({ source, target }) => ({ source, target }));
  const simulation = forceSimulation(points)
    .force(
      "link",
      forceLink<Point, { source: string; target: string }>(links)
        .id(({ id }) => id)
        .distance(150),
    )
    .force("charge", forceManyBody().strength(-420))
    .force("x", forceX(WIDTH / 2).strength(0.05))
    .force("y", forceY(HEIGHT / 2).strength(0.1))
    .force(
      "collide",
      forceCollide<Point>(({ radius, label }) => radius + 10 + label.length * 2),
    )
    .stop();
  simulation.tick(STEPS);
  const fit = (values: number[], size: number, margin: number): ((value: number) => number) => {
    const low = Math.min(...values);
    const scale = (size - 2 * margin) / Math.max(1, Math.max(...values) - low);
    return (value) => margin + (value - low) * scale;
  };
  const fitX = fit(
    points.map(({ x }) => x),
    WIDTH,
    MARGIN_X,
  );
  const fitY = fit(
    points.map(({ y }) => y),
    HEIGHT,
    MARGIN_Y,
  );
  for (const point of points) {
    point.x = fitX(point.x);
    point.y = fitY(point.y);
  }
}

function drawEdge(from: Point, to: Point, predicate: string): string {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const stop = (length - to.radius - 3) / length;
  const [x, y] = [from.x + (to.x - from.x) * stop, from.y + (to.y - from.y) * stop];
  const [middleX, middleY] = [(from.x + to.x) / 2, (from.y + to.y) / 2 - 4];
  return `<line x1="${round(from.x)}" y1="${round(from.y)}" x2="${round(x)}" y2="${round(y)}" class="edge" marker-end="url(#arrow)"/><text x="${round(middleX)}" y="${round(middleY)}" class="predicate">${escapeXml(predicate)}</text>`;
}

function drawNode({ x, y, radius, label, type }: Point): string {
  const below = y + radius + 14;
  return `<g class="node type-${type.toLowerCase()}"><title>${escapeXml(`${label} (${type})`)}</title><circle cx="${round(x)}" cy="${round(y)}" r="${round(radius)}"/><text x="${round(x)}" y="${round(below)}">${escapeXml(label)}</text></g>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
