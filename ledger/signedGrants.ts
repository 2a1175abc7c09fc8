import type { Grant } from '../domain/grantClaims.ts';
import { Prisma } from '../prisma/generated/client.ts';
import { askedTogether } from './askedTogether.ts';
import { isPublished, type SignerName } from './grantSigner.ts';
import { type GrantStanding, isFrozen, standingWhen } from './grants.ts';
import { type HotReads, type HotStatement, hotStatement } from './hotReads.ts';
import type { PublicSigningKey } from './signingKeys.ts';

/** What a token says that it is. */
export interface NamedGrant {
  /** An id, by its form: whatever else PostgreSQL would refuse the question of everyone who asks at that moment. */
  readonly grantId: string;
  /** The key that signed it: its RFC 7638 thumbprint. */
  readonly kid: string;
}

/** A grant as it stands now, and the key that was named; null when there is no such key as was asked for. */
export interface SignedGrant extends Grant {
  readonly standing: GrantStanding;
  readonly publicKey: PublicSigningKey | null;
}

export type FindSignedGrant = (named: NamedGrant) => Promise<SignedGrant | undefined>;

/** Grants that one signer signed; undefined where there is none. Nothing is kept; who asks at once is answered together. */
export interface SignedGrants {
  /**
   * In one statement: a revocation, a freeze, a narrowing and a person who left count from their commit on. (Where a freeze
   * is in force, whomever it holds, another statement says who is meant; what it says is the answer.) Of keys only such as
   * may be trusted now.
   */
  readonly standing: FindSignedGrant;
  /**
   * The same for who gives a token back, which must not depend on whether the signer may be trusted at that moment: of keys
   * all that it ever had, unless they are destroyed.
   */
  readonly genuine: FindSignedGrant;
}

export function signedGrants(reads: HotReads, signer: SignerName): SignedGrants {
  const asking = (statement: HotStatement): FindSignedGrant =>
    askedTogether((asked) => find(reads, statement, signer, asked));
  const unfrozen = asking(unfrozenStatement);
  const standing = asking(standingStatement);
  return {
    async standing(named) {
      const quick = await unfrozen(named);
      const isTold = quick?.standing !== 'frozen' && quick?.publicKey !== null;
      return isTold ? quick : standing(named);
    },
    genuine: asking(genuineStatement),
  };
}

/** Where no freeze is in force at all, nobody is frozen: told without the predicate, whose plan costs more than its answer. */
const mayBeFrozen = Prisma.sql`EXISTS (SELECT FROM "freeze" f WHERE f."liftedAt" IS NULL)`;

/** Of the signer, while it may be trusted: neither revoked nor frozen. */
const trustedKeys = (frozen: Prisma.Sql) => Prisma.sql`
  "signing_key" k
  JOIN "credential" c ON c."handle" = k."handle" AND ${isPublished}
  JOIN "identity" i ON i."id" = k."identityId"
  WHERE i."name" = ${''} AND i."environment" = ${''} AND i."state" = 'active' AND NOT ${frozen}`;

/** Of the signer, whatever became of it since: of this name there may have been several, one after the other. */
const genuineKeys = Prisma.sql`
  "signing_key" k JOIN "identity" i ON i."id" = k."identityId" WHERE i."name" = ${''} AND i."environment" = ${''}`;

/**
 * Its places are, in this order: name and environment of the signer, ids of grants. It answers one row of two values, since
 * columns and rows are what costs the driver. However many ids it is asked for, its plan is made once, for grants one by one
 * (what stands in a sub-select is not looked at; OFFSET 0 keeps the planner from reading whole tables at once).
 */
const grantsWith = (standing: Prisma.Sql, keys: Prisma.Sql) =>
  hotStatement(Prisma.sql`
    SELECT (SELECT json_object_agg(k."kid", k."publicKey") FROM ${keys}) AS "keys", (
      SELECT json_agg(known) FROM unnest((SELECT ${''}::text[])) AS asked("id") CROSS JOIN LATERAL (
        SELECT g."id", g."identityId", g."audience", g."tool", g."action", g."resource", g."workspace", g."jkt",
          g."onBehalfOf", g."isOnBehalfVerified", g."authenticatedAt", g."issuedAt", g."expiresAt", ${standing} AS "standing"
        FROM "access_grant" g JOIN "identity" i ON i."id" = g."identityId" WHERE g."id" = asked."id" OFFSET 0) known
      ) AS "grants"`);
const standingStatement = grantsWith(standingWhen(isFrozen), trustedKeys(isFrozen));
/** Whom it calls frozen, or of no trusted key, the one above knows better. */
const unfrozenStatement = grantsWith(standingWhen(mayBeFrozen), trustedKeys(mayBeFrozen));
const genuineStatement = grantsWith(standingWhen(isFrozen), genuineKeys);

interface Answer {
  readonly keys: Readonly<Record<string, PublicSigningKey>> | null;
  readonly grants: readonly GrantAsJson[] | null;
}

type GrantAsJson = Omit<Grant, 'authenticatedAt' | 'issuedAt' | 'expiresAt'> & {
  readonly authenticatedAt: string | null;
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly standing: GrantStanding;
};

/** @returns as many as were asked for, in that order */
async function find(
  reads: HotReads,
  statement: HotStatement,
  { name, environment }: SignerName,
  asked: readonly NamedGrant[],
): Promise<(SignedGrant | undefined)[]> {
  const ids = new Set(asked.map(({ grantId }) => grantId));
  const answer = await reads.first<Answer>(statement, [name, environment, `{${[...ids].join()}}`]);
  const known = new Map(answer?.grants?.map((grant) => [grant.id, grant]));
  const keys = new Map(Object.entries(answer?.keys ?? {}));
  return asked.map(({ grantId, kid }) => {
    const grant = known.get(grantId);
    if (grant === undefined) return undefined;
    const publicKey = keys.get(kid) ?? null;
    return {
      ...grant,
      authenticatedAt: grant.authenticatedAt === null ? null : new Date(grant.authenticatedAt),
      issuedAt: new Date(grant.issuedAt),
      expiresAt: new Date(grant.expiresAt),
      publicKey,
    };
  });
}
