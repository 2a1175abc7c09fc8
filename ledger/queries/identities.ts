import type { Freeze, Identity, ReissueOrder } from '../../prisma/generated/client.ts';
import type { Transaction } from '../client.ts';
import { freezesOn } from '../freezeSubjects.ts';
import { type Page, type PageAsked, pageOf, pageQuery } from './page.ts';

/** An identity with the freezes that hold its issuance now, and what reviews ordered of it and is owed. */
export type IdentityRow = Identity & {
  readonly frozenBy: readonly Pick<Freeze, 'id' | 'reason' | 'createdAt'>[];
  readonly owedReissues: readonly OwedOrder[];
};

type OwedOrder = Pick<ReissueOrder, 'reviewRequestId' | 'orderedAt' | 'highestVersion' | 'requestId' | 'attempts'>;

export async function findIdentity(ledger: Transaction, id: string): Promise<IdentityRow | undefined> {
  const identity = await ledger.identity.findUnique({ where: { id } });
  return identity === null ? undefined : (await withFreezes(ledger, [identity]))[0];
}

export interface IdentityFilter {
  readonly state?: string;
  readonly integration?: string;
  readonly environment?: string;
  /** All ids of that person. */
  readonly ownerIds?: readonly string[];
}

/** Newest first. */
export async function listIdentities(
  ledger: Transaction,
  { ownerIds, ...filter }: IdentityFilter,
  asked: PageAsked,
): Promise<Page<IdentityRow>> {
  const { where, ...order } = pageQuery(asked);
  const owned = ownerIds === undefined ? {} : { ownerId: { in: [...ownerIds] } };
  const rows = await ledger.identity.findMany({ ...order, where: { AND: [filter, owned, where ?? {}] } });
  const { items, next } = pageOf(rows, asked.limit);
  return { items: await withFreezes(ledger, items), next };
}

async function withFreezes(ledger: Transaction, identities: readonly Identity[]): Promise<IdentityRow[]> {
  const ids = identities.map(({ id }) => id);
  const [freezes, owed] = await Promise.all([
    freezesOn(ledger, ids),
    ledger.reissueOrder.findMany({
      where: { identityId: { in: ids }, deliveredAt: null, waivedAt: null, identity: { state: 'active' } },
      orderBy: [{ orderedAt: 'asc' }, { reviewRequestId: 'asc' }],
    }),
  ]);
  const owedBy = Map.groupBy(owed, ({ identityId }) => identityId);
  return identities.map((identity) => ({
    ...identity,
    frozenBy: freezes.get(identity.id) ?? [],
    owedReissues: owedBy.get(identity.id) ?? [],
  }));
}

/** All credentials ever issued to the identity, newest version first; there is no value among them. */
export async function listCredentials(ledger: Transaction, identityId: string) {
  return await ledger.credential.findMany({
    where: { identityId },
    orderBy: { version: 'desc' },
    include: { request: { select: { registration: true } } },
  });
}

/** The handle at the issuer of one version, as its login name is made from it. */
export async function handleOf(
  ledger: Transaction,
  { identityId, version }: { identityId: string; version: number },
): Promise<string | undefined> {
  return (
    await ledger.credential.findUnique({
      where: { identityId_version: { identityId, version } },
      select: { handle: true },
    })
  )?.handle;
}
