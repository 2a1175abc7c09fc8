/**
 * The origins of one installation's logs (C2SP tlog-checkpoint): its own name for the first, `<name>/restored-2` for the
 * log that was begun when signed entries were lost for good, and so on. Another origin is another key id, so that no
 * verifier takes the one log for the other.
 */
export function originOfLog(installation: string, generation: number): string {
  return generation === 1 ? installation : `${installation}/restored-${generation}`;
}

/** Whose log it is, and which of its logs. */
export function logOf(origin: string): { readonly installation: string; readonly generation: number } {
  const [, installation = origin, generation = '1'] = /^(.+)\/restored-([1-9]\d*)$/.exec(origin) ?? [];
  return { installation, generation: Number(generation) };
}
