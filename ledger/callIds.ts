import { type IdPurpose, idFromKey, type KeyedBy, keyedId } from '../domain/ids.ts';
import { Prisma } from '../prisma/generated/client.ts';
import type { Ledger } from './client.ts';

/** What a caller may have done before ids were keyed, and repeat: looked up first, so that it is not done twice. */
type Repeatable = Exclude<IdPurpose, 'identity' | 'restore'>;

/** @param requestId that a decision or a command is about */
type Known = (id: string, call: KeyedBy, requestId: string) => Prisma.Sql;

const knownEvent =
  (kind: 'decision' | 'command'): Known =>
  (id, _call, requestId) =>
    Prisma.sql`SELECT FROM "request_event" WHERE "requestId" = ${requestId} AND "id" = ${`${kind}:${id}`}`;

const knownBy: Readonly<Record<Repeatable, Known>> = {
  // The call keeps it, also of a request that another one joined.
  request: (id, { principal, key }) =>
    Prisma.sql`SELECT FROM "idempotent_call" WHERE "principal" = ${principal} AND "key" = ${key} AND "requestId" = ${id}`,
  decision: knownEvent('decision'),
  command: knownEvent('command'),
  freeze: (id) => Prisma.sql`SELECT FROM "freeze" WHERE "id" = ${id}`,
  'freeze-reviews': (id) => Prisma.sql`SELECT FROM "freeze_review_order" WHERE "id" = ${id}`,
  reconciliation: (id) => Prisma.sql`SELECT FROM "reconciliation" WHERE "id" = ${id}`,
  'mass-revocation': (id) => Prisma.sql`SELECT FROM "mass_revocation" WHERE "id" = ${id}`,
};

/**
 * The id that this call stands for: the one that it got from an earlier release, or the one that it gets.
 * @param requestId of decisions and commands: which request they are about
 */
export async function idOfCall(
  { direct, evidence }: Pick<Ledger, 'direct' | 'evidence'>,
  purpose: Repeatable,
  { principal, key }: KeyedBy,
  requestId = '',
): Promise<string> {
  const earlier = idFromKey(purpose, { principal, key });
  const known = await direct.$queryRaw<unknown[]>(knownBy[purpose](earlier, { principal, key }, requestId));
  return known.length > 0 ? earlier : keyedId(evidence.personKey, purpose, { principal, key });
}
