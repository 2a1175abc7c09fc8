/**
 * The known word that a mistyped one most likely meant: at most two edits away, and fewer than half its letters.
 * @returns undefined when nothing is near, so that no misleading suggestion is made
 */
export function nearestWord(mistyped: string, known: readonly string[]): string | undefined {
  const most = Math.min(2, Math.floor((mistyped.length - 1) / 2));
  let nearest: { word: string; edits: number } | undefined;
  for (const word of known) {
    if (Math.abs(word.length - mistyped.length) > most) continue;
    const edits = editsBetween(mistyped.toLowerCase(), word.toLowerCase());
    if (edits <= most && (nearest === undefined || edits < nearest.edits)) nearest = { word, edits };
  }
  return nearest?.word;
}

/** Optimal string alignment distance: insert, delete, replace, or swap two neighbours. */
function editsBetween(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      current.push(
        Math.min(
          (last[column] ?? 0) + 1,
          (current[column - 1] ?? 0) + 1,
          (last[column - 1] ?? 0) + (same ? 0 : 1),
          swapped ? (beforeLast[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length] ?? 0;
}
