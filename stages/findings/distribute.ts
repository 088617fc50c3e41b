/** Where in the medium something is spoken of: mentions a tenth of the duration. */
import type { Entity, Evidence } from "../../core/intelligence.ts";

const PARTS = 10;

export function distribute(
  evidence: readonly Evidence[],
  duration: number,
): Entity["temporal_distribution"] {
  if (duration <= 0) return [];
  const part = duration / PARTS;
  const counts = new Map<number, number>();
  for (const { start } of evidence) {
    const index = Math.min(PARTS - 1, Math.floor(start / part));
    counts.set(index, (counts.get(index) ?? 0) + 1);
  }
  return [...counts]
    .toSorted(([a], [b]) => a - b)
    .map(([index, mentions]) => ({ start: index * part, end: (index + 1) * part, mentions }));
}
