/**
 * The origins of one installation's logs (C2SP tlog-checkpoint): its own name for the first, `<name>/restored-2` for the
 * log that was begun when signed entries were lost for good, `<name>/log-3` for one under a new key, and so on. Another
 * origin is another key id, so that no verifier takes the one log for the other.
 */
export function originOfLog(installation: string, generation: number): string {
  return generation === 1 ? installation : `${installation}/restored-${generation}`;
}

/** The origin of a log that goes on with the same tree under a new key. */
export function successorOrigin(installation: string, generation: number): string {
  return `${installation}/log-${generation}`;
}

/** Whose log it is, and which of its logs. */
export function logOf(origin: string): { readonly installation: string; readonly generation: number } {
  const [, installation = origin, generation = '1'] = /^(.+)\/(?:restored|log)-([1-9]\d*)$/.exec(origin) ?? [];
  return { installation, generation: Number(generation) };
}
