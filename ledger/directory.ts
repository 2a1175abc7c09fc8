import { Prisma } from '../prisma/generated/client.ts';
import type { Ledger, Transaction } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { groupsNow, peopleAt } from './people.ts';
import { type ProviderRules, type SignInClaims, type SignInResult, signIn } from './signIn.ts';

/** A person as `tenure.yaml` lists them. */
export interface ListedPerson {
  readonly id: string;
  readonly name: string;
  readonly groups: readonly string[];
  readonly active: boolean;
}

/** Who put the row there: it decides who may take it away. */
const listed = 'tenure.yaml';

/**
 * The directory of people: who exists, is active, and is in which groups. `tenure.yaml` and each account at a provider are
 * sources of their own, kept apart: what one of them no longer says counts no more, and `active: false` of tenure.yaml wins
 * over everything.
 */
export function directory(
  ledger: Pick<Ledger, 'prisma' | 'direct' | 'evidence'>,
  people: readonly ListedPerson[],
  providers: readonly ProviderRules[],
) {
  return {
    /**
     * Brings the directory in line with tenure.yaml at start. Idempotent. People and groups that are no longer listed are
     * gone at once; who was only ever listed becomes inactive, who signed in belongs to their provider and stays, unless
     * listed with `active: false`.
     */
    async recordListed(): Promise<void> {
      await ledger.prisma.$transaction(async (tx) => {
        const recorded = await recordPeople(tx, people);
        // Of those that an earlier release recorded, `groups` still counts: what was listed goes from there too.
        await tx.$executeRaw`
          UPDATE "person" SET "listedGroups" = '{}', "updatedAt" = clock_timestamp(), "groups" = ${withoutListed(Prisma.sql`'{}'::text[]`)}
          WHERE "listedGroups" <> '{}' AND NOT "id" = ANY(${recorded}::text[])`;
        await tx.$executeRaw`
          UPDATE "person" SET "active" = false, "updatedAt" = clock_timestamp()
          WHERE "source" = ${listed} AND "active" AND "aliasOf" IS NULL AND NOT "id" = ANY(${recorded}::text[])`;
        await limitProviders(tx, providers);
      });
    },

    /** Records who signed in, as the provider describes them now, and says who that is. */
    signIn: (claims: SignInClaims, provider: string): Promise<SignInResult> => signIn(ledger, claims, ruleOf(provider)),

    /** Who that would be, of a token that signs nobody in: nothing is recorded of it. */
    recognise: (claims: SignInClaims, provider: string): Promise<SignInResult> =>
      signIn(ledger, claims, ruleOf(provider), { recordsNothing: true }),
  };

  function ruleOf(name: string): ProviderRules {
    const rules = providers.find((provider) => provider.name === name);
    if (rules === undefined) throw new TypeError(`Provider ${name} is not for people: a defect of Tenure.`);
    return rules;
  }
}

/** @returns their ids: each the address itself, unless somebody signed in with it before it was listed */
async function recordPeople(tx: Transaction, people: readonly ListedPerson[]): Promise<readonly string[]> {
  const addresses = people.map(({ id }) => id);
  const exact = await tx.person.findMany({ where: { id: { in: addresses } }, select: { id: true } });
  const isThere = new Set(exact.map(({ id }) => id));
  const named = new Map<string, ListedPerson & { address: string }>();
  for (const person of people) {
    const [one, another] = isThere.has(person.id) ? [person.id] : await peopleAt(tx, person.id);
    const id = one === undefined || another !== undefined ? person.id : one;
    named.set(id, { ...person, id, address: person.id });
  }
  const rows = JSON.stringify([...named.values()]);
  const now = await databaseClock(tx);
  await tx.$executeRaw`
    INSERT INTO "person" ("id", "name", "groups", "listedGroups", "active", "source", "cameBefore", "earlierGroupsUntil", "updatedAt")
    SELECT "id", "name", ARRAY(SELECT jsonb_array_elements_text("groups")), ARRAY(SELECT jsonb_array_elements_text("groups")),
      "active", ${listed}, false, NULL, ${now}
    FROM jsonb_to_recordset(${rows}::jsonb) AS named("id" text, "name" text, "groups" jsonb, "active" boolean)
    ON CONFLICT ("id") DO UPDATE SET "name" = EXCLUDED."name", "active" = EXCLUDED."active",
      "groups" = ${withoutListed(Prisma.sql`EXCLUDED."listedGroups"`)}, "listedGroups" = EXCLUDED."listedGroups",
      "earlierGroupsUntil" = CASE WHEN "person"."source" = ${listed} THEN NULL ELSE "person"."earlierGroupsUntil" END,
      "updatedAt" = EXCLUDED."updatedAt"`;
  await tx.$executeRaw`
    INSERT INTO "person_address" ("address", "personId", "seenAt")
    SELECT "address", "id", ${now} FROM jsonb_to_recordset(${rows}::jsonb) AS named("id" text, "address" text)
    ON CONFLICT DO NOTHING`;
  return [...named.keys()];
}

/** `groups` with what was listed until now replaced by what is listed from now on. */
function withoutListed(now: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(SELECT coalesce(array_agg(DISTINCT g."name" ORDER BY g."name"), '{}') FROM (
    SELECT unnest("person"."groups") AS "name" EXCEPT SELECT unnest("person"."listedGroups") UNION SELECT unnest(${now})) AS g)`;
}

/**
 * What tenure.yaml says of providers holds for what they said before too: groups that one may not give any more, those of
 * one that is gone, and those that are older than they may be now, count from this start on no more.
 */
async function limitProviders(tx: Transaction, providers: readonly ProviderRules[]): Promise<void> {
  await tx.$executeRaw`
    UPDATE "person_account" SET "groups" = '{}'
    WHERE "groups" <> '{}' AND NOT "issuer" = ANY(${providers.map(({ issuer }) => issuer)}::text[])`;
  for (const [issuer, rules] of Map.groupBy(providers, (each) => each.issuer)) {
    // Two audiences of one issuer are one provider here; what either allows is allowed.
    const isFree = rules.some(({ allowedGroups }) => allowedGroups === undefined);
    const allowed = rules.flatMap(({ allowedGroups }) => allowedGroups ?? []);
    const longestMs = Math.max(...rules.map(({ groupsMaxAgeMs }) => groupsMaxAgeMs));
    await tx.$executeRaw`
      UPDATE "person_account" SET
        "groups" = CASE WHEN ${isFree}::boolean THEN "groups" ELSE ARRAY(
          SELECT "name" FROM unnest("groups") AS g("name") WHERE g."name" = ANY(${allowed}::text[])) END,
        "groupsUntil" = LEAST("groupsUntil", "groupsAt" + ${longestMs}::double precision * interval '1 millisecond')
      WHERE "issuer" = ${issuer}`;
  }
  // For the previous release, which reads nothing else.
  await tx.$executeRaw`
    UPDATE "person" p SET "groups" = ${groupsNow}
    WHERE p."aliasOf" IS NULL AND EXISTS (SELECT FROM "person_account" a WHERE a."personId" = p."id")
      AND p."groups" IS DISTINCT FROM ${groupsNow}`;
}
