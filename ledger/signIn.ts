import { randomBytes } from 'node:crypto';
import { type Binding, bindingOf, type Candidate, type VouchingProvider } from '../domain/accountBinding.ts';
import { pseudonym } from '../domain/evidence/pseudonym.ts';
import { personIdFromBytes } from '../domain/ids.ts';
import type { ProblemSlug } from '../domain/problems.ts';
import type { Ledger, Transaction } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import { groupsNow, isActive, listedGroups, peopleAt } from './people.ts';

/**
 * Sign-in: whose account a verified token is of. An account is issuer and subject; once it is somebody's it stays theirs,
 * whatever address it has. What its provider says of groups is kept with it, apart from every other source.
 */

/** What tenure.yaml says of a provider `for: people`. */
export interface ProviderRules extends VouchingProvider {
  readonly issuer: string;
  /** All groups that it may give; undefined: every one. */
  readonly allowedGroups: readonly string[] | undefined;
  readonly groupsMaxAgeMs: number;
  readonly absentGroups: 'unknown' | 'empty';
}

/** What a verified token says of a person (`api/auth/personClaims.ts`). */
export interface SignInClaims {
  readonly subject: string;
  readonly address?: string;
  readonly addressVerified: boolean | 'not-said';
  readonly name?: string;
  readonly groups: { readonly kind: 'listed'; readonly names: readonly string[] } | { readonly kind: 'absent' };
  readonly issuedAt: Date;
}

export interface SignedIn {
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
  /** `id`, and all ids that are aliases of it. */
  readonly ids: readonly string[];
  /** Addresses that are this person's and nobody else's: roles may name them. */
  readonly addresses: readonly string[];
  /** Those that count in this call: of tenure.yaml, and as this account's provider says. */
  readonly groups: readonly string[];
  /** False: nobody vouches that the account is this person's, so it has no power (`takesUnvouched` of api/route.ts). */
  readonly isVouched: boolean;
  /** What an administrator should mend; said once for each first sign-in. */
  readonly finding?: string;
}

export type SignInResult =
  | { readonly known: SignedIn }
  | { readonly refused: ProblemSlug | 'no-address'; readonly detail: string };

interface KnownAccount extends Omit<SignedIn, 'groups'> {
  readonly listedGroups: readonly string[];
  readonly groupsOfPerson: readonly string[];
  readonly address: string | null;
  readonly accountGroups: readonly string[];
  readonly groupsAt: Date | null;
  readonly isFresh: boolean | null;
  readonly tokenIssuedAt: Date | null;
  readonly now: Date;
}

/**
 * Effect: what the token newly says of the account is kept; the first token of an account binds it, with evidence. An older
 * token than the newest changes nothing. Never reactivates anybody.
 */
export async function signIn(
  ledger: Pick<Ledger, 'prisma' | 'direct' | 'evidence'>,
  claims: SignInClaims,
  rules: ProviderRules,
  { recordsNothing = false }: { readonly recordsNothing?: boolean } = {},
): Promise<SignInResult> {
  const known = await findAccount(ledger.direct, rules.issuer, claims.subject);
  if (known?.isVouched) {
    const told = recordsNothing || !isNews(known, claims, rules) ? known : await record(ledger, known, claims, rules);
    return { known: signedIn(told, claims, rules) };
  }
  if (recordsNothing) return ledger.prisma.$transaction((tx) => recogniseUnbound(tx, claims, rules));
  const bound = await bind(ledger, claims, rules);
  if ('refused' in bound) return bound;
  const account = await findAccount(ledger.direct, rules.issuer, claims.subject);
  if (account === undefined) throw new TypeError('An account that was bound is gone: a defect of Tenure.');
  const told = await record(ledger, account, claims, rules);
  return {
    known: { ...signedIn(told, claims, rules), ...(bound.finding === undefined ? {} : { finding: bound.finding }) },
  };
}

async function findAccount(
  tx: Pick<Ledger['direct'], '$queryRaw'>,
  issuer: string,
  subject: string,
): Promise<KnownAccount | undefined> {
  const [row] = await tx.$queryRaw<KnownAccount[]>`
    SELECT p."id", p."name", ${isActive} AS "active", a."isVouched", a."address", a."groups" AS "accountGroups",
      a."groupsAt", a."groupsUntil" > clock_timestamp() AS "isFresh", a."tokenIssuedAt",
      ${listedGroups} AS "listedGroups", ${groupsNow} AS "groupsOfPerson",
      clock_timestamp() AS "now",
      ARRAY(SELECT s."id" FROM "person" s WHERE s."id" = p."id" OR s."aliasOf" = p."id") AS "ids", ARRAY(
        SELECT d."address" FROM "person_address" d JOIN "person" s ON s."id" = d."personId"
          WHERE (s."id" = p."id" OR s."aliasOf" = p."id")
            AND NOT EXISTS (
              SELECT FROM "person" o WHERE o."id" = d."address" AND coalesce(o."aliasOf", o."id") <> p."id")
            AND NOT EXISTS (
              SELECT FROM "person_address" e JOIN "person" o ON o."id" = e."personId"
              WHERE e."address" = d."address" AND coalesce(o."aliasOf", o."id") <> p."id")) AS "addresses"
    FROM "person_account" a JOIN "person" b ON b."id" = a."personId" JOIN "person" p ON p."id" = coalesce(b."aliasOf", b."id")
    WHERE a."issuer" = ${issuer} AND a."subject" = ${subject}`;
  return row;
}

function signedIn(account: KnownAccount, claims: SignInClaims, rules: ProviderRules): SignedIn {
  const { id, name, active, ids, addresses, isVouched } = account;
  const groups = isVouched
    ? [...new Set([...account.listedGroups, ...groupsOfCall(account, claims, rules)])].sort()
    : account.groupsOfPerson;
  return { id, name, active, ids, addresses, groups, isVouched };
}

/** What the account's provider gives this call. A token that is older than what was said since is overruled by that. */
function groupsOfCall(account: KnownAccount, claims: SignInClaims, rules: ProviderRules): readonly string[] {
  const said = groupsSaid(claims, rules);
  if (said === undefined) return [];
  const { groupsAt, accountGroups, isFresh, now } = account;
  if (groupsAt !== null && claims.issuedAt < groupsAt) return isFresh === true ? accountGroups : [];
  return claims.issuedAt.getTime() + rules.groupsMaxAgeMs > now.getTime() ? said : [];
}

/** Undefined: the token says nothing of groups. */
function groupsSaid({ groups }: SignInClaims, rules: ProviderRules): readonly string[] | undefined {
  if (groups.kind === 'absent') return rules.absentGroups === 'empty' ? [] : undefined;
  const { allowedGroups } = rules;
  return allowedGroups === undefined ? groups.names : groups.names.filter((name) => allowedGroups.includes(name));
}

function isNews(account: KnownAccount, claims: SignInClaims, rules: ProviderRules): boolean {
  const { tokenIssuedAt, groupsAt } = account;
  if (tokenIssuedAt === null || claims.issuedAt > tokenIssuedAt) return true;
  const isNewest = claims.issuedAt.getTime() === tokenIssuedAt.getTime();
  if (isNewest && isTold(claims, rules) && claims.address !== account.address) return true;
  const said = groupsSaid(claims, rules);
  if (said === undefined || (groupsAt !== null && claims.issuedAt < groupsAt)) return false;
  return groupsAt === null || !isSame(said, account.accountGroups);
}

/** Effect: what this token newly says. Of two tokens the newer one wins, in whichever order they come. */
async function record(
  ledger: Pick<Ledger, 'prisma' | 'direct'>,
  account: KnownAccount,
  claims: SignInClaims,
  rules: ProviderRules,
): Promise<KnownAccount> {
  const { issuer } = rules;
  const { subject, issuedAt, name } = claims;
  await ledger.prisma.$transaction(async (tx) => {
    const said = groupsSaid(claims, rules);
    if (said !== undefined) {
      const until = new Date(issuedAt.getTime() + rules.groupsMaxAgeMs);
      await tx.$executeRaw`
        UPDATE "person_account" SET "groups" = ${[...said]}::text[], "groupsAt" = ${issuedAt}, "groupsUntil" = ${until}
        WHERE "issuer" = ${issuer} AND "subject" = ${subject} AND ("groupsAt" IS NULL OR "groupsAt" <= ${issuedAt})`;
    }
    const address = account.isVouched && isTold(claims, rules) ? claims.address : undefined;
    const isNewest = await tx.$executeRaw`
      UPDATE "person_account" SET "tokenIssuedAt" = ${issuedAt}, "address" = coalesce(${address ?? null}, "address")
      WHERE "issuer" = ${issuer} AND "subject" = ${subject} AND ("tokenIssuedAt" IS NULL OR "tokenIssuedAt" <= ${issuedAt})`;
    // Who is not vouched for changes nothing of the person.
    if (isNewest === 0 || !account.isVouched) return;
    if (address !== undefined && address !== account.address) await tellAddress(tx, account.id, address);
    // What an earlier release recorded has done its time as soon as the provider says anything of groups.
    if (said !== undefined)
      await tx.person.updateMany({
        where: { OR: [{ id: account.id }, { aliasOf: account.id }], earlierGroupsUntil: { not: null } },
        data: { earlierGroupsUntil: null },
      });
    // `groups` and `source` for the previous release, which reads nothing else.
    await tx.$executeRaw`
      UPDATE "person" p SET "source" = 'sign-in', "updatedAt" = clock_timestamp(), "groups" = ${groupsNow},
        "name" = ${name ?? account.name}
      WHERE p."id" = ${account.id}`;
  });
  return (await findAccount(ledger.direct, issuer, subject)) ?? account;
}

/** Whether its address becomes the person's: only one that could bind, and that the provider vouches for expressly. */
function isTold({ address, addressVerified }: SignInClaims, rules: ProviderRules): boolean {
  if (address === undefined || addressVerified === false) return false;
  const binding = bindingOf({ ...newAccount(rules, '', address, addressVerified), candidates: [] });
  return !('refused' in binding) && binding.finding === undefined;
}

function newAccount(provider: ProviderRules, subject: string, address: string, addressVerified: true | 'not-said') {
  return { provider, subject, address, addressVerified };
}

/** First sign-ins one after the other, so that two accounts are not bound by what neither knew of the other. */
export const bindingLock = 7_305_808_869_231_017n;

type Bound = { readonly finding?: string } | Extract<SignInResult, { refused: unknown }>;

async function bind(
  ledger: Pick<Ledger, 'prisma' | 'evidence'>,
  claims: SignInClaims,
  rules: ProviderRules,
): Promise<Bound> {
  return ledger.prisma.$transaction(async (tx): Promise<Bound> => {
    await tx.$queryRaw`SELECT pg_advisory_xact_lock(${bindingLock})::text`;
    const { issuer } = rules;
    const { subject } = claims;
    const before = await tx.personAccount.findUnique({ where: { issuer_subject: { issuer, subject } } });
    if (before?.isVouched) return {};
    const binding = await bindingNow(tx, claims, rules);
    const owner = before === null ? undefined : await oneIdOf(tx, before.personId);
    // It signed in before, unvouched; who that is does not change by what its provider says now.
    if (owner !== undefined && ('refused' in binding || binding.to !== owner)) return {};
    if ('refused' in binding) return binding;
    const now = await databaseClock(tx);
    const to = binding.to === 'nobody-yet' ? await newPerson(tx, claims) : binding.to;
    const { isVouched } = binding;
    if (before === null || isVouched) {
      await tx.personAccount.upsert({
        where: { issuer_subject: { issuer, subject } },
        create: { issuer, subject, personId: to, isVouched, groups: [], boundAt: now },
        update: { isVouched, boundAt: now },
      });
      if (isVouched) await tx.person.update({ where: { id: to }, data: { cameBefore: false } });
      await appendEvidence(tx, ledger.evidence, [
        {
          chain: `person/${pseudonym(ledger.evidence.personKey, to)}`,
          kind: isVouched ? 'person.account-bound' : 'person.account-unvouched',
          actor: to,
          at: now,
          data: {
            provider: rules.name,
            account: accountInEvidence(ledger.evidence, issuer, subject),
            isNew: binding.to === 'nobody-yet',
          },
        },
      ]);
    }
    return binding.finding === undefined ? {} : { finding: binding.finding };
  });
}

/** A subject is as personal as an address. */
export function accountInEvidence({ personKey }: Ledger['evidence'], issuer: string, subject: string): string {
  return pseudonym(personKey, `${issuer} ${subject}`);
}

async function recogniseUnbound(tx: Transaction, claims: SignInClaims, rules: ProviderRules): Promise<SignInResult> {
  const binding = await bindingNow(tx, claims, rules);
  if ('refused' in binding) return binding;
  if (!binding.isVouched)
    return { refused: 'account-not-linked', detail: `Nobody vouches for the account: ${binding.finding}.` };
  if (binding.to === 'nobody-yet')
    return {
      refused: 'person-inactive',
      detail: 'The person is nobody of the directory yet. Let them sign in to Tenure once.',
    };
  const { id, name, active } = await tx.person.findUniqueOrThrow({ where: { id: binding.to } });
  return { known: { id, name, active, ids: [id], addresses: [], groups: [], isVouched: true } };
}

async function bindingNow(
  tx: Transaction,
  { subject, address, addressVerified }: SignInClaims,
  rules: ProviderRules,
): Promise<Binding | { readonly refused: 'no-address'; readonly detail: string }> {
  if (addressVerified === false) return { refused: 'no-address', detail: 'its claim "email_verified" says false' };
  if (address === undefined)
    return { refused: 'no-address', detail: 'it has no address, and its account is not known' };
  return bindingOf({
    ...newAccount(rules, subject, address, addressVerified),
    candidates: await candidates(tx, rules, address),
  });
}

async function candidates(tx: Transaction, { issuer }: ProviderRules, address: string): Promise<Candidate[]> {
  const ids = await peopleAt(tx, address);
  return tx.$queryRaw<Candidate[]>`
    SELECT p."id", ${isActive} AS "active", p."cameBefore", held.* FROM "person" p CROSS JOIN LATERAL (
      SELECT coalesce(bool_or(a."issuer" = ${issuer}), false) AS "hasAccount",
        coalesce(bool_and(a."address" <> ${address}), false) AS "isFormer"
      FROM "person_account" a JOIN "person" s ON s."id" = a."personId"
      WHERE (s."id" = p."id" OR s."aliasOf" = p."id") AND a."isVouched") AS held
    WHERE p."id" = ANY(${[...ids]}::text[]) ORDER BY p."id"`;
}

async function oneIdOf(tx: Transaction, id: string): Promise<string> {
  const person = await tx.person.findUniqueOrThrow({ where: { id }, select: { aliasOf: true } });
  return person.aliasOf ?? id;
}

async function newPerson(tx: Transaction, { address, name }: SignInClaims): Promise<string> {
  const id = personIdFromBytes(randomBytes(16));
  const groups: string[] = [];
  await tx.person.create({
    data: { id, name: name ?? address ?? id, groups, source: 'sign-in', cameBefore: false, earlierGroupsUntil: null },
  });
  if (address !== undefined) await tellAddress(tx, id, address);
  return id;
}

/**
 * Effect: the address is this person's too. Where nobody has it for an id yet, it becomes an alias: what named it before
 * anybody was known (a consumer, whoever a pipeline ran for) means this person from now on, and nobody who comes later.
 */
async function tellAddress(tx: Transaction, personId: string, address: string): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO "person_address" ("address", "personId", "seenAt") VALUES (${address}, ${personId}, clock_timestamp())
    ON CONFLICT DO NOTHING`;
  await tx.$executeRaw`
    INSERT INTO "person" ("id", "name", "groups", "source", "cameBefore", "earlierGroupsUntil", "aliasOf", "updatedAt")
    SELECT ${address}, p."name", '{}', 'sign-in', false, NULL, p."id", clock_timestamp() FROM "person" p
    WHERE p."id" = ${personId} AND NOT EXISTS (SELECT FROM "person" WHERE "id" = ${address}) AND NOT EXISTS (
      SELECT FROM "person_address" d JOIN "person" o ON o."id" = d."personId"
      WHERE d."address" = ${address} AND coalesce(o."aliasOf", o."id") <> p."id")
    ON CONFLICT DO NOTHING`;
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index]);
}
