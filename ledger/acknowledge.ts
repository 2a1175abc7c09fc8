import type { Identity } from '../prisma/generated/client.ts';
import { issuingTransaction, type Ledger } from './client.ts';
import { appendEvidence, requestChain } from './evidence.ts';
import { enqueue } from './outbox.ts';
import { idAmong } from './people.ts';
import { insertNewRow } from './rows.ts';

export type Acknowledged =
  | { readonly acknowledged: true; readonly openRequestId: string | undefined }
  | {
      readonly acknowledged: false;
      readonly slug: 'not-found' | 'not-a-consumer' | 'wrong-epoch' | 'revoking';
      readonly detail: string;
    };

/**
 * Effect: this consumer uses what the store serves under this epoch. Idempotent by (identity, epoch, consumer). Only the
 * epoch that the store is recorded to serve can be acknowledged: an earlier or later one says nothing about cutover.
 */
export async function acknowledge(
  ledger: Ledger,
  { identityId, epoch, consumer }: { identityId: string; epoch: number; consumer: string },
): Promise<Acknowledged> {
  return issuingTransaction(ledger, async (tx): Promise<Acknowledged> => {
    const [identity] = await tx.$queryRaw<Identity[]>`SELECT * FROM "identity" WHERE "id" = ${identityId} FOR UPDATE`;
    if (identity === undefined)
      return { acknowledged: false, slug: 'not-found', detail: `There is no identity ${identityId}.` };
    // By the id that is registered: cutover compares who acknowledged with who is registered.
    const registered = await idAmong(tx, consumer, identity.consumers);
    if (registered === undefined) {
      return {
        acknowledged: false,
        slug: 'not-a-consumer',
        detail: `${consumer} is not a registered consumer of ${identityId}.`,
      };
    }
    if (identity.state !== 'active') {
      return {
        acknowledged: false,
        slug: 'revoking',
        detail: `Identity ${identityId} is ${identity.state}: there is nothing to cut over to.`,
      };
    }
    const [served] = await tx.$queryRaw<{ promotedEpoch: number | null }[]>`
      SELECT "promotedEpoch" FROM "credential" WHERE "identityId" = ${identityId} AND "state" = 'current'`;
    if (epoch !== identity.epoch || served?.promotedEpoch !== epoch) {
      const found = served?.promotedEpoch ?? 'none yet';
      return {
        acknowledged: false,
        slug: 'wrong-epoch',
        detail: `The store serves epoch ${found}, not ${epoch}. Read the secret again, then acknowledge its epoch.`,
      };
    }
    const isNew = await insertNewRow(tx, 'acknowledgement', { identityId, epoch, consumer: registered });
    const [open] = await tx.$queryRaw<{ id: string }[]>`
      SELECT "id" FROM "request" WHERE "identityId" = ${identityId} AND "kind" = 'rotation' AND "finishedAt" IS NULL`;
    if (isNew) {
      await appendEvidence(tx, ledger.evidence, [
        {
          chain: open === undefined ? `identity/${identityId}` : requestChain(open.id),
          kind: 'acknowledgement.recorded',
          actor: consumer,
          ...(open === undefined ? {} : { requestId: open.id }),
          identityId,
          at: new Date(),
          data: { epoch },
        },
      ]);
      if (open !== undefined) await enqueue(tx, { kind: 'nudge', requestId: open.id });
    }
    return { acknowledged: true, openRequestId: open?.id };
  });
}
