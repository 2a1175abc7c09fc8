import { randomUUID } from 'node:crypto';
import type { FlowEvent } from '../../domain/flow/advance.ts';
import { advance } from '../../domain/flow/advance.ts';
import { identityIn } from '../../domain/flow/state.ts';
import { issuingTransaction, type Ledger } from '../../ledger/client.ts';
import { evidenceInsertion } from '../../ledger/evidence.ts';
import { gatherFacts } from '../../ledger/gatherFacts.ts';
import { openRequest } from '../../ledger/open.ts';
import { Prisma } from '../../prisma/generated/client.ts';
import { onboardingOrder } from '../../test/setup/orders.ts';
import { rounded } from '../finding.ts';
import { benchInstallation } from '../installation.ts';
import { compared, inTurns, perSecond, rounds } from '../rounds.ts';
import type { Row } from '../row.ts';

/**
 * The transaction of one event on a request (locks, facts, `advance`, the request's row, the event's row), with the
 * evidence of two changes and without. Different requests at once, as it is between them that evidence takes no lock. The head
 * of the request's chain is read with the facts, so both have that.
 */
export const evidenceAppend: Row = {
  name: 'evidence-append',
  dependsOnServer: false,
  async run(ground, size) {
    const { count, times, lanes } =
      size === 'full' ? { count: 7, times: 200, lanes: 4 } : { count: 1, times: 4, lanes: 2 };
    const installation = await benchInstallation(ground);
    try {
      const { ledger } = installation;
      const opened = await Promise.all(
        Array.from({ length: lanes * 2 }, () => openRequest(ledger, onboardingOrder({ environment: 'production' }))),
      );
      const requestIds = opened.map((result) => {
        if (!result.opened) throw new Error(result.detail);
        return result.requestId;
      });
      let next = 0;
      const rate = (withEvidence: boolean) => async () => ({
        rate: await perSecond({ times, lanes }, () => {
          next += 1;
          return recordEvent(ledger, requestIds[next % requestIds.length] ?? '', withEvidence);
        }),
      });
      const pairs = await rounds({ count, say: ground.say, what: 'evidence append' }, (index) =>
        inTurns(index, rate(true), rate(false)),
      );
      const { ratio, spread, subject, baseline } = compared(pairs, 'rate');
      return [
        {
          what: 'a transaction of an event, with its evidence',
          value: ratio,
          unit: '×',
          budget: { is: 'at least', value: 0.8 },
          subject: `${rounded(subject)}/s`,
          baseline: `without evidence: ${rounded(baseline)}/s`,
          spread,
        },
      ];
    } finally {
      await installation.close();
    }
  },
};

async function recordEvent(ledger: Ledger, requestId: string, withEvidence: boolean): Promise<void> {
  const event: FlowEvent = { kind: 'timer', id: `timer:bench/${randomUUID()}` };
  await issuingTransaction(ledger, async (tx) => {
    const gathered = await gatherFacts(tx, ledger, { requestId, eventId: event.id, approverId: undefined });
    if (gathered === undefined) throw new Error(`There is no request ${requestId}.`);
    const { flow, state, facts, now, chainHead } = gathered;
    const { next, verdict } = advance({ flow, state, event, facts });
    const sequence = gathered.sequence + 1;
    const record = (told: Prisma.Sql) => tx.$executeRaw`
      WITH "moved" AS (
        UPDATE "request" SET "state" = ${next.state}, "flowState" = ${JSON.stringify(state)}::jsonb, "sequence" = ${sequence}::int,
          "updatedAt" = ${now} WHERE "id" = ${requestId})${told}
      INSERT INTO "request_event" ("requestId", "id", "kind", "verdict", "sequence", "at")
      VALUES (${requestId}, ${event.id}, ${event.kind}, ${JSON.stringify(verdict)}::jsonb, ${sequence}::int, ${now})`;
    if (!withEvidence) return void (await record(Prisma.empty));
    const place = { chain: `request/${requestId}`, actor: 'system:workflow', requestId, at: now };
    const identityId = identityIn(facts).id;
    const drafts = [
      { ...place, identityId, kind: 'credential.staged', data: { version: 1, fingerprint: 'a1b2c3d4' } },
      { ...place, identityId, kind: 'credential.current', data: { version: 1, epoch: 1 } },
    ];
    await record(Prisma.sql`, "told" AS (${evidenceInsertion(ledger.evidence, drafts, [chainHead])})`);
  });
}
