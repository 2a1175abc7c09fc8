import type { Ledger } from './client.ts';

/** A person as `tenure.yaml` lists them. */
export interface ListedPerson {
  readonly id: string;
  readonly name: string;
  readonly groups: readonly string[];
  readonly active: boolean;
}

export interface KnownPerson {
  readonly active: boolean;
  readonly groups: readonly string[];
}

interface SignedInPerson extends KnownPerson {
  readonly name: string;
  readonly source: string;
}

/** Who put the row there: it decides who may take it away. */
const listed = 'tenure.yaml';
const signedIn = 'sign-in';

/**
 * The directory of people: who exists, is active, and is in which groups. `tenure.yaml` and sign-in both feed it; what a
 * person is in by either counts, and `active: false` of tenure.yaml wins over everything.
 */
export function directory(ledger: Pick<Ledger, 'prisma' | 'direct'>, people: readonly ListedPerson[]) {
  const listedGroups = new Map(people.map(({ id, groups }) => [id, groups]));
  return {
    /**
     * Brings the directory in line with tenure.yaml at start. Idempotent. People who were only ever listed and no longer
     * are become inactive; those who signed in belong to their provider and stay, unless listed with `active: false`.
     */
    async recordListed(): Promise<void> {
      for (const { id, name, groups, active } of people) {
        const known = await ledger.prisma.person.findUnique({ where: { id } });
        // Groups that the provider told of at sign-in hold until the next sign-in: approvals given must not lapse by a restart.
        const held = known?.source === signedIn ? known.groups : [];
        const person = { name, active, groups: union(groups, held) };
        await ledger.prisma.person.upsert({ where: { id }, create: { id, ...person, source: listed }, update: person });
      }
      await ledger.prisma.person.updateMany({
        where: { source: listed, active: true, id: { notIn: people.map(({ id }) => id) } },
        data: { active: false },
      });
    },

    /**
     * Records who signed in, as the provider describes them now: groups it no longer names are gone at once. Writes only
     * when something changed. Never reactivates anybody.
     */
    async recordSignIn({
      id,
      name,
      groups,
    }: {
      id: string;
      name: string;
      groups: readonly string[];
    }): Promise<KnownPerson> {
      const described = { name, groups: union(listedGroups.get(id) ?? [], groups) };
      const [known] = await ledger.direct.$queryRaw<SignedInPerson[]>`
        SELECT "id", "name", "groups", "active", "source" FROM "person" WHERE "id" = ${id}`;
      if (
        known !== undefined &&
        known.source === signedIn &&
        known.name === name &&
        isSame(known.groups, described.groups)
      )
        return known;
      return await ledger.prisma.person.upsert({
        where: { id },
        create: { id, ...described, active: true, source: signedIn },
        update: { ...described, source: signedIn },
      });
    },
  };
}

function union(...lists: readonly (readonly string[])[]): string[] {
  return [...new Set(lists.flat())].sort();
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index]);
}
