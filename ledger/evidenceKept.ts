import type { Ledger } from './client.ts';

/**
 * Before a credential is made: nothing is, once evidence has not been sealed, or was found damaged, for five minutes. What
 * takes power away (revocation, freeze, destroy) and what was committed (promote) goes on.
 * @throws EvidenceNotKept
 */
export async function requireEvidenceKept({ direct }: Pick<Ledger, 'direct'>): Promise<void> {
  const [failing] = await direct.$queryRaw<{ part: string; error: string }[]>`
    SELECT "part", "error" FROM "evidence_watch" WHERE "failingSince" < clock_timestamp() - interval '5 minutes' LIMIT 1`;
  if (failing !== undefined) throw new EvidenceNotKept(failing.part, failing.error);
}

/** Evidence is not kept whole, so no credential is made. Goes on by itself once it is. */
export class EvidenceNotKept extends Error {
  override readonly name = 'EvidenceNotKept';
  constructor(part: string, error: string) {
    super(
      `Nothing is issued: the ${part} of evidence has failed for over five minutes (${error}). ` +
        'Run `tenure evidence audit` where the worker runs, and see docs/evidence.md, When sealing stops; issuance goes on by itself then.',
    );
  }
}
