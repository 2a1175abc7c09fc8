import type { Freeze } from '../../prisma/generated/client.ts';
import type { Transaction } from '../client.ts';
import { type Page, type PageAsked, pageOf, pageQuery } from './page.ts';

/** Newest first; `isOpen` keeps only those in force, or only those lifted. */
export async function listFreezes(
  ledger: Transaction,
  { isOpen }: { isOpen?: boolean },
  asked: PageAsked,
): Promise<Page<Freeze>> {
  const { where, ...order } = pageQuery(asked);
  const state = isOpen === undefined ? {} : { liftedAt: isOpen ? null : { not: null } };
  return pageOf(await ledger.freeze.findMany({ ...order, where: { AND: [state, where ?? {}] } }), asked.limit);
}

export interface UsableCredential {
  readonly identityId: string;
  readonly identityName: string;
  readonly version: number;
  readonly state: string;
  readonly expiresAt: Date | null;
}

export interface FreezeSituation extends Freeze {
  readonly matchingIdentities: number;
  /** What a freeze does not take away: credentials issued before it. The 200 that live longest. */
  readonly stillUsable: readonly UsableCredential[];
}

const shownCredentials = 200;

export async function findFreeze(ledger: Transaction, id: string): Promise<FreezeSituation | undefined> {
  const freeze = await ledger.freeze.findUnique({ where: { id } });
  if (freeze === null) return undefined;
  const subject = { OR: [{ id: { in: freeze.identityIds } }, { integration: { in: freeze.integrations } }] };
  const [matchingIdentities, credentials] = await Promise.all([
    ledger.identity.count({ where: subject }),
    ledger.credential.findMany({
      where: { state: { in: ['current', 'retiring', 'destroying'] }, identity: subject },
      select: { identityId: true, version: true, state: true, expiresAt: true, identity: { select: { name: true } } },
      orderBy: [{ expiresAt: 'desc' }, { handle: 'asc' }],
      take: shownCredentials,
    }),
  ]);
  return {
    ...freeze,
    matchingIdentities,
    stillUsable: credentials.map(({ identity, ...credential }) => ({ ...credential, identityName: identity.name })),
  };
}
