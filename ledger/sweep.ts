import type { JsonObject } from '../domain/evidence/canonicalJson.ts';
import type { Credential, Identity } from '../prisma/generated/client.ts';
import { issuingTransaction, type Ledger } from './client.ts';
import { appendEvidence, requestChain } from './evidence.ts';
import { freezeIdsOn, keepAsSubject } from './freezeSubjects.ts';
import { updateRow } from './rows.ts';

/**
 * Effect: a credential whose destroy the issuer had confirmed is final, now that its lease has ended and a last look
 * found nothing. Idempotent: one that is already destroyed stays so.
 * @returns false when it is not ready: no receipt yet, or its lease still runs
 */
export async function recordSwept(ledger: Ledger, handle: string): Promise<boolean> {
  return issuingTransaction(ledger, async (tx) => {
    const [identity] = await tx.$queryRaw<Identity[]>`
      SELECT * FROM "identity" WHERE "id" = (SELECT "identityId" FROM "credential" WHERE "handle" = ${handle}) FOR UPDATE`;
    const [credential] = await tx.$queryRaw<(Credential & { now: Date })[]>`
      SELECT *, clock_timestamp() AS "now" FROM "credential" WHERE "handle" = ${handle} FOR UPDATE`;
    if (identity === undefined || credential === undefined) return false;
    if (credential.state === 'destroyed') return true;
    const { now, receipt, leaseEndsAt, requestId, version } = credential;
    if (credential.state !== 'destroying' || receipt === null || leaseEndsAt > now) return false;
    const heldBefore = await freezeIdsOn(tx, identity.id);
    await updateRow(tx, 'credential', { handle }, { state: 'destroyed', destroyedAt: now });
    const kept = await keepAsSubject(tx, { identityId: identity.id, heldBefore, at: now });
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: requestChain(requestId),
        kind: 'credential.destroyed',
        actor: 'system:lifecycle',
        requestId,
        identityId: identity.id,
        at: now,
        data: { version, receipt: receipt as JsonObject },
      },
      ...kept.map((freezeId) => ({
        chain: `freeze/${freezeId}`,
        kind: 'freeze.subject-kept',
        actor: 'system:lifecycle',
        requestId,
        identityId: identity.id,
        at: now,
        data: { freezeId },
      })),
    ]);
    return true;
  });
}
