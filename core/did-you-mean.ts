/** Finds the word that was probably meant. Words here are short: keys, ids, file names. */

/** Longer words are compared by their beginnings, so that hostile input costs little. */
const MAX_WORD_CHARS = 60;

/** Returns the closest candidate, if it is close enough to be a slip. */
export function closestWord(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.slice(0, MAX_WORD_CHARS).toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, candidate.slice(0, MAX_WORD_CHARS).toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Returns "did you mean `x`?", or null. */
export function didYouMean(word: string, candidates: Iterable<string>): string | null {
  const closest = closestWord(word, candidates);
  return closest === undefined ? null : `did you mean \`${closest}\`?`;
}

/** Optimal string alignment: inserts, deletes, replacements and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
