import { randomBytes } from 'node:crypto';
import { pseudonym } from '../domain/evidence/pseudonym.ts';
import { idFromBytes, personIdFromBytes } from '../domain/ids.ts';
import type { ProblemSlug } from '../domain/problems.ts';
import type { Ledger, Transaction } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import { findPersonNow, idAmong } from './people.ts';
import { accountInEvidence, bindingLock } from './signIn.ts';

/**
 * Links: an account becomes somebody's by the word of two administrators, neither of whom is a side of it. An account that
 * is another person's already makes the two one person: every id stays, and is an alias from then on.
 */

export interface LinkAsked {
  /** Of whom the account is to be; `new`: of somebody whom the directory does not know. */
  readonly personId: string;
  readonly issuer: string;
  /** Its name in tenure.yaml. */
  readonly provider: string;
  readonly subject: string;
  readonly by: string;
  readonly reason: string;
}

export type LinkResult =
  | { readonly state: 'proposed' | 'linked'; readonly personId: string; readonly mergedId?: string }
  | { readonly refused: ProblemSlug; readonly detail: string };

/** For whom the directory does not know yet. */
export const somebodyNew = 'new';

/** A proposal that nobody confirmed for so long is none. */
const proposalDays = 7;

/**
 * Effect: the first administrator's call proposes, another's confirms, and the account is that person's from then on; both with
 * evidence. A repeat by the same one changes nothing.
 */
export async function linkAccount(ledger: Pick<Ledger, 'prisma' | 'evidence'>, asked: LinkAsked): Promise<LinkResult> {
  return ledger.prisma.$transaction(async (tx): Promise<LinkResult> => {
    // First sign-ins and links one after the other: each sees what the one before it bound.
    await tx.$queryRaw`SELECT pg_advisory_xact_lock(${bindingLock})::text`;
    const { issuer, subject, by } = asked;
    const account = await tx.personAccount.findUnique({ where: { issuer_subject: { issuer, subject } } });
    const holder = account === null ? undefined : await findPersonNow(tx, account.personId);
    if (asked.personId === somebodyNew) {
      if (holder !== undefined)
        return {
          refused: 'forbidden',
          detail: `The account is known to be ${holder.id}'s. Link it to a person by id.`,
        };
      const repeated = await tx.accountLink.findFirst({
        where: {
          issuer,
          subject,
          proposedBy: by,
          confirmedAt: null,
          person: { accounts: { none: {} }, addresses: { none: {} } },
        },
      });
      if (repeated !== null) return { state: 'proposed', personId: repeated.personId };
      return propose(tx, ledger, asked, await unknownPerson(tx, asked));
    }
    const person = await findPersonNow(tx, asked.personId);
    if (person === undefined)
      return { refused: 'not-found', detail: `There is no person ${asked.personId}. See GET /v1/people.` };
    const sides = [person.id, ...(holder === undefined ? [] : [holder.id])];
    if ((await idAmong(tx, by, sides)) !== undefined)
      return { refused: 'self-approval', detail: `${by} is a side of this link. Two other administrators make it.` };
    if (account?.isVouched && holder?.id === person.id) return { state: 'linked', personId: person.id };
    for (const side of [person, ...(holder === undefined ? [] : [holder])])
      if (!side.active)
        return {
          refused: 'person-inactive',
          detail: `${side.id} is not active: who left is linked to nobody. Link the account to somebody new (tenure people link new) if it is of another person.`,
        };
    const open = await openProposal(tx, asked, person.id);
    if (open === undefined || !(await isStillProposed(tx, open, { sides, boundAt: account?.boundAt })))
      return propose(tx, ledger, asked, person.id);
    if ((await idAmong(tx, by, [open.proposedBy])) !== undefined) return { state: 'proposed', personId: person.id };
    return confirm(tx, ledger, asked, {
      proposal: open.id,
      personId: person.id,
      holderId: holder?.id,
      isVouched: account?.isVouched === true,
    });
  });
}

async function openProposal(tx: Transaction, { issuer, subject }: LinkAsked, personId: string) {
  const since = new Date((await databaseClock(tx)).getTime() - proposalDays * 86_400_000);
  const found = await tx.accountLink.findFirst({
    where: { ...unconfirmed({ issuer, subject }, personId), proposedAt: { gt: since } },
    orderBy: { proposedAt: 'desc' },
  });
  return found ?? undefined;
}

/** Those for the person, under whichever id. */
const unconfirmed = ({ issuer, subject }: Pick<LinkAsked, 'issuer' | 'subject'>, personId: string) => ({
  ...{ issuer, subject, confirmedAt: null },
  OR: [{ personId }, { person: { aliasOf: personId } }],
});

/** False once the account became somebody's, or whoever proposed it a side of the link, or inactive: it was another link. */
async function isStillProposed(
  tx: Transaction,
  { proposedBy, proposedAt }: { readonly proposedBy: string; readonly proposedAt: Date },
  { sides, boundAt }: { readonly sides: readonly string[]; readonly boundAt: Date | undefined },
): Promise<boolean> {
  if (boundAt !== undefined && boundAt >= proposedAt) return false;
  if ((await idAmong(tx, proposedBy, sides)) !== undefined) return false;
  return (await findPersonNow(tx, proposedBy))?.active === true;
}

async function propose(
  tx: Transaction,
  ledger: Pick<Ledger, 'evidence'>,
  asked: LinkAsked,
  personId: string,
): Promise<LinkResult> {
  const { issuer, subject, by, reason } = asked;
  const proposedAt = await databaseClock(tx);
  await tx.accountLink.deleteMany({ where: unconfirmed(asked, personId) });
  await tx.accountLink.create({
    data: { id: idFromBytes(randomBytes(16)), issuer, subject, personId, proposedBy: by, reason, proposedAt },
  });
  await tell(tx, ledger, asked, { personId, at: proposedAt, kind: 'person.link-proposed' });
  return { state: 'proposed', personId };
}

async function confirm(
  tx: Transaction,
  ledger: Pick<Ledger, 'evidence'>,
  asked: LinkAsked,
  link: { proposal: string; personId: string; holderId: string | undefined; isVouched: boolean },
): Promise<LinkResult> {
  const { issuer, subject, by } = asked;
  const { personId, holderId, isVouched } = link;
  const at = await databaseClock(tx);
  await tx.accountLink.update({ where: { id: link.proposal }, data: { confirmedBy: by, confirmedAt: at } });
  // Whoever held an account that nobody vouched for loses it; whoever was vouched for is the same person.
  const mergedId = isVouched && holderId !== undefined && holderId !== personId ? holderId : undefined;
  if (mergedId !== undefined) {
    await tx.person.updateMany({ where: { aliasOf: mergedId }, data: { aliasOf: personId } });
    await tx.person.update({ where: { id: mergedId }, data: { aliasOf: personId } });
  } else
    await tx.personAccount.upsert({
      where: { issuer_subject: { issuer, subject } },
      create: { issuer, subject, personId, isVouched: true, groups: [], boundAt: at },
      update: { personId, isVouched: true, groups: [], groupsAt: null, groupsUntil: null, boundAt: at },
    });
  await tx.person.update({ where: { id: personId }, data: { cameBefore: false } });
  await tell(tx, ledger, asked, {
    personId,
    at,
    kind: 'person.account-linked',
    ...(mergedId === undefined ? {} : { mergedId }),
  });
  return { state: 'linked', personId, ...(mergedId === undefined ? {} : { mergedId }) };
}

async function tell(
  tx: Transaction,
  { evidence }: Pick<Ledger, 'evidence'>,
  { issuer, provider, subject, by, reason }: LinkAsked,
  { personId, mergedId, at, kind }: { personId: string; mergedId?: string; at: Date; kind: string },
): Promise<void> {
  await appendEvidence(tx, evidence, [
    {
      ...{ chain: `person/${pseudonym(evidence.personKey, personId)}`, kind, actor: by, at },
      data: {
        ...{ person: personId, provider, account: accountInEvidence(evidence, issuer, subject), reason },
        ...(mergedId === undefined ? {} : { merged: mergedId }),
      },
    },
  ]);
}

/** Who has no account until the link is confirmed, and so cannot do anything. */
async function unknownPerson(tx: Transaction, { provider, subject }: LinkAsked): Promise<string> {
  const id = personIdFromBytes(randomBytes(16));
  const name = `${provider} ${subject}`.slice(0, 200);
  await tx.person.create({
    data: { id, name, groups: [], source: 'sign-in', cameBefore: false, earlierGroupsUntil: null },
  });
  return id;
}
