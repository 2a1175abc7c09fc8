import type { JsonObject } from '../domain/evidence/canonicalJson.ts';
import type { Receipt } from '../domain/flow/plan.ts';
import type { Credential, Identity } from '../prisma/generated/client.ts';
import { issuingTransaction, type Ledger } from './client.ts';
import { appendEvidence, requestChain } from './evidence.ts';
import { freezeIdsOn, keepAsSubject } from './freezeSubjects.ts';
import { updateRow } from './rows.ts';

/**
 * Effect: a credential whose destroy the issuer had confirmed is final, now that a last look, which began after the end of its
 * lease, has found nothing or ended it. Idempotent: one that is already destroyed stays so.
 * @returns false when it is not ready: no receipt yet, or its lease still ran when the look began
 */
export async function recordSwept(
  ledger: Ledger,
  handle: string,
  look: { readonly receipt: Receipt; readonly begunAt: Date },
): Promise<boolean> {
  return issuingTransaction(ledger, async (tx) => {
    const [identity] = await tx.$queryRaw<Identity[]>`
      SELECT * FROM "identity" WHERE "id" = (SELECT "identityId" FROM "credential" WHERE "handle" = ${handle}) FOR UPDATE`;
    const [credential] = await tx.$queryRaw<(Credential & { now: Date })[]>`
      SELECT *, clock_timestamp() AS "now" FROM "credential" WHERE "handle" = ${handle} FOR UPDATE`;
    if (identity === undefined || credential === undefined) return false;
    if (credential.state === 'destroyed') return true;
    const { now, leaseEndsAt, requestId, version } = credential;
    if (credential.state !== 'destroying' || credential.receipt === null || leaseEndsAt > look.begunAt) return false;
    const receipt = { ...look.receipt };
    const heldBefore = await freezeIdsOn(tx, identity.id);
    await updateRow(tx, 'credential', { handle }, { state: 'destroyed', destroyedAt: now, receipt });
    const kept = await keepAsSubject(tx, { identityId: identity.id, heldBefore, at: now });
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: requestChain(requestId),
        kind: 'credential.destroyed',
        actor: 'system:lifecycle',
        requestId,
        identityId: identity.id,
        at: now,
        data: { version, receipt: receipt as unknown as JsonObject },
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
