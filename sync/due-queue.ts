/** Names by the time when they are due: a heap, so that 100,000 waiting drops cost one look at its top. */

export interface Due {
  name: string;
  dueAtMs: number;
}

export interface DueQueue {
  add(name: string, dueAtMs: number): void;
  /** Takes out what is due by then, at most so many. */
  takeDue(nowMs: number, limit: number): Due[];
  /** When the next one is due; Infinity: none. */
  readonly nextMs: number;
}

export function createDueQueue(): DueQueue {
  const heap: Due[] = [];
  const due = (at: number): number => heap[at]?.dueAtMs ?? Infinity;

  function swap(a: number, b: number): void {
    const [first, second] = [heap[a], heap[b]];
    if (first === undefined || second === undefined) return;
    heap[a] = second;
    heap[b] = first;
  }

  function sink(): void {
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      const least = due(right) < due(left) ? right : left;
      if (due(least) >= due(at)) return;
      swap(at, least);
      at = least;
    }
  }

  return {
    add(name, dueAtMs) {
      heap.push({ name, dueAtMs });
      for (let at = heap.length - 1; at > 0;) {
        const parent = (at - 1) >> 1;
        if (due(parent) <= due(at)) return;
        swap(at, parent);
        at = parent;
      }
    },
    takeDue(nowMs, limit) {
      const taken: Due[] = [];
      while (taken.length < limit && due(0) <= nowMs) {
        const [top] = heap;
        const last = heap.pop();
        if (top === undefined || last === undefined) break;
        if (heap.length > 0) heap[0] = last;
        sink();
        taken.push(top);
      }
      return taken;
    },
    get nextMs() {
      return due(0);
    },
  };
}
