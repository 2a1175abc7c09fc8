import { hash } from 'node:crypto';

/** What was found out about a token, by the token's SHA-256; the oldest is forgotten when there is too much. */
export interface Remembered<Finding> {
  of(token: string): Finding | undefined;
  keep(token: string, finding: Finding): void;
}

/** @param most how many tokens it remembers */
export function remembered<Finding>(most: number): Remembered<Finding> {
  const findings = new Map<string, Finding>();
  const digestOf = (token: string) => hash('sha256', token, 'base64');
  return {
    of: (token) => findings.get(digestOf(token)),
    keep(token, finding) {
      findings.set(digestOf(token), finding);
      // A map is in the order of insertion.
      const [oldest] = findings.keys();
      if (findings.size > most && oldest !== undefined) findings.delete(oldest);
    },
  };
}
