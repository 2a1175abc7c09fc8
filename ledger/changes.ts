import type { Identity } from '../prisma/generated/client.ts';
import { issuingTransaction, type Ledger } from './client.ts';
import { appendEvidence } from './evidence.ts';
import { updateRow } from './rows.ts';

export interface IdentityChange {
  readonly scopes?: readonly string[];
  readonly consumers?: readonly string[];
  readonly expiresAt?: string;
}

export type Narrowed =
  | { readonly narrowed: true; readonly identity: Identity }
  | { readonly narrowed: false; readonly slug: 'not-found' | 'not-active' | 'no-flow'; readonly detail: string };

/**
 * Effect: narrows an identity at once: scopes fewer, expiry earlier, consumers fewer. Anything that widens is refused
 * with `no-flow`, as no flow reviews it yet, and nothing is written. Idempotent: narrowing to what already is changes nothing.
 */
export async function narrowIdentity(
  ledger: Ledger,
  { identityId, by, reason, change }: { identityId: string; by: string; reason: string; change: IdentityChange },
): Promise<Narrowed> {
  return issuingTransaction(ledger, async (tx): Promise<Narrowed> => {
    const [identity] = await tx.$queryRaw<Identity[]>`SELECT * FROM "identity" WHERE "id" = ${identityId} FOR UPDATE`;
    if (identity === undefined)
      return { narrowed: false, slug: 'not-found', detail: `There is no identity ${identityId}.` };
    if (identity.state !== 'active') {
      const remedy =
        identity.state === 'requested' ? 'Amend its onboarding request instead.' : 'It can no longer be changed.';
      return { narrowed: false, slug: 'not-active', detail: `Identity ${identityId} is ${identity.state}. ${remedy}` };
    }
    const widens = wideningOf(identity, change);
    if (widens !== undefined) {
      return {
        narrowed: false,
        slug: 'no-flow',
        detail: `${widens} would widen access, and no flow reviews that. Narrow it here, or onboard a new identity.`,
      };
    }
    const at = new Date();
    const values = {
      ...(change.scopes === undefined ? {} : { scopes: [...change.scopes] }),
      ...(change.consumers === undefined ? {} : { consumers: [...change.consumers] }),
      ...(change.expiresAt === undefined ? {} : { expiresAt: new Date(change.expiresAt) }),
    };
    if (Object.keys(values).length > 0) await updateRow(tx, 'identity', { id: identityId }, values);
    if (values.expiresAt !== undefined) {
      await tx.$executeRaw`
        UPDATE "due_work" SET "dueAt" = ${values.expiresAt}, "attempts" = 0
        WHERE "kind" = 'expiry' AND "subjectId" = ${identityId}`;
    }
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: `identity/${identityId}`,
        kind: 'identity.changed',
        actor: by,
        identityId,
        at,
        data: { ...JSON.parse(JSON.stringify(change)), reason },
      },
    ]);
    return { narrowed: true, identity: { ...identity, ...values } };
  });
}

function wideningOf(identity: Identity, change: IdentityChange): string | undefined {
  const newScope = change.scopes?.find((scope) => !identity.scopes.includes(scope));
  if (newScope !== undefined) return `Scope ${newScope}`;
  const newConsumer = change.consumers?.find((consumer) => !identity.consumers.includes(consumer));
  if (newConsumer !== undefined) return `Consumer ${newConsumer}`;
  if (change.expiresAt !== undefined && new Date(change.expiresAt) > identity.expiresAt) return 'A later expiry';
  return undefined;
}
