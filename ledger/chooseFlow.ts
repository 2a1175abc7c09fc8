import type { Facts } from '../domain/flow/facts.ts';
import type { RequestOrder } from '../domain/flow/open.ts';
import { Prisma } from '../prisma/generated/client.ts';
import { flowFor } from './flows.ts';
import type { AskedRequest, PersonOf } from './gatherFacts.ts';
import { type Refusal, refuse } from './openRefusal.ts';
import { type PersonNow, peopleNow, personOf } from './people.ts';
import { LedgerRestored } from './restore.ts';
import type { Statements } from './statements.ts';

/** Under which flow a request is opened, and the instant at which. */
export interface ChosenFlow {
  readonly digest: string;
  /** By the database's clock. */
  readonly now: Date;
}

/** What of an order decides under which flow it runs. */
export type AsksForFlow = Pick<
  RequestOrder,
  'kind' | 'principal' | 'principalKind' | 'onBehalfOf' | 'trigger' | 'justification'
>;

interface Surroundings {
  readonly now: Date;
  readonly people: readonly PersonNow[];
  /** Digests of the flows that are published on the operation, by name. */
  readonly published: readonly string[];
  readonly isObserveOnly: boolean;
}

/**
 * The published flow that an order is to run under, or why there is none, which is also that the ledger is observe-only.
 * @param named whom its guards may read besides those who ask; who is not in the directory counts as inactive
 * @param factsOf what guards read; or a refusal that needs no guard
 */
export async function chooseFlow(
  tx: Statements,
  order: AsksForFlow,
  named: readonly (string | undefined)[],
  factsOf: (asked: AskedRequest, person: PersonOf, now: Date) => Facts | Refusal,
): Promise<ChosenFlow | Refusal> {
  const { now, people, published, isObserveOnly } = await surroundings(tx, order, named);
  if (isObserveOnly && order.kind !== 'revocation')
    return refuse('observe-only', new LedgerRestored(`this ${order.kind}`).message);
  const asked = {
    kind: order.kind,
    trigger: order.trigger,
    justification: order.justification,
    requesterId: order.principal,
    requesterKind: order.principalKind,
    onBehalfOf: order.onBehalfOf ?? null,
  };
  const person: PersonOf = (id) => personOf(people, id);
  const facts = factsOf(asked, person, now);
  if ('opened' in facts) return facts;
  const chosen = await flowFor(tx, published, order.kind, facts);
  return 'found' in chosen ? { digest: chosen.found.digest, now } : refuse(chosen.slug, chosen.detail);
}

/** In one statement, since every opening pays for it. */
async function surroundings(
  tx: Statements,
  order: AsksForFlow,
  named: readonly (string | undefined)[],
): Promise<Surroundings> {
  const ids = [order.principal, order.onBehalfOf, ...named].filter((id) => id !== undefined);
  const [row] = await tx.$queryRaw<Surroundings[]>`
    SELECT clock_timestamp() AS "now",
      (SELECT coalesce(json_agg(a), '[]') FROM ${peopleNow(Prisma.sql`${ids}::text[]`)} a) AS "people",
      (SELECT coalesce(json_agg("digest" ORDER BY "name"), '[]')
         FROM "published_flow" WHERE "operation" = ${order.kind}) AS "published",
      EXISTS (SELECT FROM "ledger_restore" WHERE "resumedAt" IS NULL) AS "isObserveOnly"`;
  if (row === undefined) throw new TypeError('PostgreSQL answered a SELECT without FROM with no row.');
  return row;
}
