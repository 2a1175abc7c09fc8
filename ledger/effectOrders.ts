import { randomBytes } from 'node:crypto';
import type { OrderBook } from '../domain/flow/orders.ts';
import type {
  CreateInput,
  DestroyInput,
  EffectOrder,
  EffectOutcome,
  PromoteInput,
  QuarantineInput,
} from '../domain/flow/plan.ts';
import { Prisma } from '../prisma/generated/client.ts';
import type { Ledger } from './client.ts';
import { type LockedRequest, lockRequest } from './lockedRequest.ts';
import type { Statements } from './statements.ts';

/** Orders of effects and their answers: DESIGN section 5, Outcomes. */

type Activity = EffectOrder['activity'];
type Reads = Pick<Ledger, 'direct'>;

/** Inputs as an order keeps them. */
export interface OrderInputs {
  create: CreateInput;
  promote: PromoteInput;
  quarantine: QuarantineInput;
  destroy: DestroyInput;
}

/** An order as an attempt of its activity finds it. */
export interface BegunOrder<A extends Activity = Activity> {
  readonly nonce: string;
  readonly requestId: string;
  readonly activity: A;
  readonly input: OrderInputs[A];
  /** The database's clock. */
  readonly begunAt: Date;
  /** An earlier attempt has recorded how it ended: there is nothing left to do. */
  readonly isAnswered: boolean;
}

/** 128 bits: nobody names an order that was not issued. */
export function freshNonce(): string {
  return randomBytes(16).toString('hex');
}

/** Of one step: closes and issues what the order book says. Under the request's lock; asked for in one go. */
export async function writeOrders(
  tx: Statements,
  { requestId, now }: { readonly requestId: string; readonly now: Date },
  { issued, closed }: Pick<OrderBook, 'issued' | 'closed'>,
): Promise<void> {
  await Promise.all([
    closed.length === 0
      ? undefined
      : tx.$executeRaw`UPDATE "effect_order" SET "closedAt" = ${now} WHERE "nonce" = ANY(${[...closed]}::text[]) AND "closedAt" IS NULL`,
    issued.length === 0
      ? undefined
      : tx.$executeRaw`
          INSERT INTO "effect_order" ("nonce", "requestId", "effectId", "activity", "input", "issuedAt")
          SELECT o."nonce", ${requestId}, o."id", o."activity", o."input", ${now}
          FROM jsonb_to_recordset(${JSON.stringify(issued)}::jsonb) AS o("nonce" text, "id" text, "activity" text, "input" jsonb)`,
  ]);
}

/**
 * What an activity is to do, read before it does anything.
 * @returns undefined when no open order of this activity has this nonce: it is told of, replaced, or was never issued
 */
export async function beginOrder<A extends Activity>(
  { direct }: Reads,
  activity: A,
  nonce: string | undefined,
): Promise<BegunOrder<A> | undefined> {
  if (nonce === undefined) return undefined;
  const [row] = await direct.$queryRaw<
    { requestId: string; input: OrderInputs[A]; begunAt: Date; isAnswered: boolean }[]
  >`
    SELECT "requestId", "input", "outcome" IS NOT NULL AS "isAnswered", clock_timestamp() AS "begunAt" FROM "effect_order"
    WHERE "nonce" = ${nonce} AND "activity" = ${activity} AND "closedAt" IS NULL`;
  return row === undefined ? undefined : { nonce, activity, ...row };
}

const answering = `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL transaction_timeout = '2s'`;

/**
 * Effect: the answer of an order, under the locks of its identity, request and credentials, and only while the order is open
 * and what it is about (state, lease, epoch) is as it was ordered. Idempotent: the first answer stays.
 * @returns false when it no longer counts: nothing was recorded
 */
export async function recordOutcome({ direct }: Reads, order: BegunOrder, outcome: EffectOutcome): Promise<boolean> {
  return direct.transaction(answering, async (tx) => {
    const [locked, [clock]] = await Promise.all([
      lockRequest(tx, order.requestId),
      tx.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS "now"`,
    ]);
    if (locked === undefined || clock === undefined || !isCurrent(order, locked, clock.now)) return false;
    const answered = await tx.$executeRaw`
      UPDATE "effect_order" SET "outcome" = ${JSON.stringify(outcome)}::jsonb, "begunAt" = ${order.begunAt}, "recordedAt" = ${clock.now}
      WHERE "nonce" = ${order.nonce} AND "closedAt" IS NULL AND "outcome" IS NULL`;
    if (answered === 1) return true;
    const [known] = await tx.$queryRaw<{ isAnswered: boolean }[]>`
      SELECT "outcome" IS NOT NULL AND "closedAt" IS NULL AS "isAnswered" FROM "effect_order" WHERE "nonce" = ${order.nonce}`;
    return known?.isAnswered ?? false;
  });
}

/** Effect: why the last try failed, for people; an order that is answered or closed keeps what it has. */
export async function recordTry(
  { direct }: Reads,
  { nonce }: Pick<BegunOrder, 'nonce'>,
  failure: { readonly reason: string; readonly message: string },
): Promise<void> {
  await direct.$executeRaw(Prisma.sql`
    UPDATE "effect_order" SET "lastFailure" = ${JSON.stringify(failure)}::jsonb
    WHERE "nonce" = ${nonce} AND "closedAt" IS NULL AND "outcome" IS NULL`);
}

/** Whether what was ordered is still what the ledger wants, now that everything is locked. */
function isCurrent(order: BegunOrder, { identity, credentials }: LockedRequest, now: Date): boolean {
  const rules: { readonly [A in Activity]: (input: OrderInputs[A]) => boolean } = {
    create: ({ version, leaseEndsAt }) =>
      credentials.some(
        (mint) =>
          mint.version === version &&
          mint.state === 'minting' &&
          Date.parse(mint.leaseEndsAt) === Date.parse(leaseEndsAt) &&
          Date.parse(leaseEndsAt) > now.getTime(),
      ),
    promote: ({ version, epoch }) =>
      identity.state === 'active' &&
      identity.epoch === epoch &&
      credentials.some((credential) => credential.version === version && credential.state === 'current'),
    quarantine: ({ epoch }) => identity.epoch === epoch,
    destroy: ({ version }) =>
      credentials.some((credential) => credential.version === version && credential.state === 'destroying'),
  };
  return (rules[order.activity] as (input: OrderInputs[Activity]) => boolean)(order.input);
}
