import type { Identity } from '../prisma/generated/client.ts';
import { issuingTransaction, type Ledger } from './client.ts';
import { appendEvidence } from './evidence.ts';
import { idAmong } from './people.ts';

export type SecretAccess =
  | { readonly allowed: true; readonly store: string; readonly issuer: string }
  | {
      readonly allowed: false;
      readonly slug: 'not-found' | 'not-a-consumer' | 'revoking' | 'no-secret';
      readonly detail: string;
    };

/**
 * Before the store is read: this principal is a registered consumer, the identity is not being revoked, and the access
 * leaves its evidence first, so that no value is ever served unrecorded.
 */
export async function recordSecretAccess(
  ledger: Ledger,
  { identityId, consumer }: { identityId: string; consumer: string },
): Promise<SecretAccess> {
  return issuingTransaction(ledger, async (tx): Promise<SecretAccess> => {
    const [identity] = await tx.$queryRaw<Identity[]>`SELECT * FROM "identity" WHERE "id" = ${identityId} FOR SHARE`;
    if (identity === undefined)
      return { allowed: false, slug: 'not-found', detail: `There is no identity ${identityId}.` };
    if ((await idAmong(tx, consumer, identity.consumers)) === undefined) {
      return {
        allowed: false,
        slug: 'not-a-consumer',
        detail: `${consumer} is not a registered consumer of ${identityId}; only those read its secret.`,
      };
    }
    const obstacle = unservable(identity);
    if (obstacle !== undefined) return obstacle;
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: `identity/${identityId}`,
        kind: 'secret.read-allowed',
        actor: consumer,
        identityId,
        at: new Date(),
        data: { epoch: identity.epoch },
      },
    ]);
    return { allowed: true, store: identity.store, issuer: identity.issuer };
  });
}

/**
 * After the store was read: nothing of a revoking identity or a destroying credential leaves, however late the store's
 * answer was (promise 2).
 */
export async function mayStillServe(
  ledger: Pick<Ledger, 'prisma'>,
  { identityId, version }: { identityId: string; version: number },
): Promise<SecretAccess> {
  const identity = await ledger.prisma.identity.findUnique({ where: { id: identityId } });
  if (identity === null) return { allowed: false, slug: 'not-found', detail: `There is no identity ${identityId}.` };
  const obstacle = unservable(identity);
  if (obstacle !== undefined) return obstacle;
  const credential = await ledger.prisma.credential.findUnique({
    where: { identityId_version: { identityId, version } },
  });
  if (credential === null || credential.state === 'destroying' || credential.state === 'destroyed') {
    return {
      allowed: false,
      slug: 'revoking',
      detail: `Version ${version} of ${identityId} is being destroyed. Read again.`,
    };
  }
  return { allowed: true, store: identity.store, issuer: identity.issuer };
}

function unservable(identity: Identity): SecretAccess | undefined {
  if (identity.state === 'active') return undefined;
  if (identity.state === 'requested') {
    return { allowed: false, slug: 'no-secret', detail: `Identity ${identity.id} has no credential yet.` };
  }
  return {
    allowed: false,
    slug: 'revoking',
    detail: `Identity ${identity.id} is ${identity.state}; nothing is served any more.`,
  };
}
