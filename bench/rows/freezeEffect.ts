import { randomUUID } from 'node:crypto';
import { idFromKey } from '../../domain/ids.ts';
import { liftFreeze, openFreeze } from '../../ledger/freezes.ts';
import { findFreeze } from '../../ledger/queries/freezes.ts';
import type { TestInstallation } from '../../test/setup/installation.ts';
import { apiOverHttp } from '../apiOverHttp.ts';
import { type Finding, rounded } from '../finding.ts';
import { benchInstallation, execute } from '../installation.ts';
import { compared, median, rounds, timed } from '../rounds.ts';
import type { Row } from '../row.ts';

const few = 10;

/** From the order to the commit that stops issuance, by how many identities it stops; and the whole call of a responder. */
export const freezeEffect: Row = {
  name: 'freeze',
  dependsOnServer: false,
  async run(ground, size) {
    const { many, count, times } =
      size === 'full' ? { many: 100_000, count: 7, times: 5 } : { many: 1_000, count: 1, times: 1 };
    const installation = await benchInstallation(ground);
    const api = await apiOverHttp(installation);
    try {
      ground.say(`freeze: making ${many + few} identities`);
      await makeIdentities(installation.databaseUrl, { few, many });
      await requireSubjects(installation, { few, many });

      const committed = await rounds({ count, say: ground.say, what: 'freeze, the commit' }, () =>
        alternating(times, (integration) => commitMs(installation, integration)),
      );
      const called = await rounds({ count, say: ground.say, what: 'freeze, the whole call' }, () =>
        alternating(times, (integration) => callMs(installation, api.post, integration)),
      );
      const shown = (what: string, pairs: typeof committed, budget: Finding['budget']): Finding => {
        const { ratio, spread, subject, baseline } = compared(pairs, 'ms');
        return {
          what,
          value: ratio,
          unit: '×',
          ...(budget === undefined ? {} : { budget }),
          subject: `${rounded(subject)} ms`,
          baseline: `${few} subjects: ${rounded(baseline)} ms`,
          spread,
        };
      };
      return [
        // "Flat", with what a commit's own scatter needs.
        shown(`a freeze of ${many} subjects, until it is in force`, committed, { is: 'at most', value: 1.25 }),
        shown(`POST /v1/freezes for ${many} subjects`, called, undefined),
      ];
    } finally {
      await api.close();
      await installation.close();
    }
  },
};

type Measure = (integration: 'few' | 'many') => Promise<number>;

async function alternating(times: number, measure: Measure) {
  const [few, many]: [number[], number[]] = [[], []];
  for (let time = 0; time < times; time += 1) {
    few.push(await measure('few'));
    many.push(await measure('many'));
  }
  return { subject: { ms: median(many) }, baseline: { ms: median(few) } };
}

async function commitMs({ ledger }: TestInstallation, integration: string): Promise<number> {
  const id = newFreezeId();
  const order = { id, integrations: [integration], reason: 'the bench', by: 'responder@tenure.example' };
  const tookMs = await timed(() => openFreeze(ledger, order));
  await lift(ledger, id);
  return tookMs;
}

async function callMs(
  { ledger }: TestInstallation,
  post: (person: string, path: string, body: object) => Promise<unknown>,
  integration: string,
): Promise<number> {
  const body = { integrations: [integration], reason: 'Compromised build host in the bench' };
  const tookMs = await timed(() => post('responder', '/v1/freezes', body));
  const { id } = await ledger.prisma.freeze.findFirstOrThrow({ where: { liftedAt: null } });
  await lift(ledger, id);
  return tookMs;
}

async function lift(ledger: TestInstallation['ledger'], id: string): Promise<void> {
  const lifted = await liftFreeze(ledger, { id, by: 'responder-2@tenure.example', reason: 'the bench' });
  if (!lifted.lifted) throw new Error(lifted.detail);
}

/** The freeze is about as many as it is said to be: otherwise there is nothing to measure. */
async function requireSubjects({ ledger }: TestInstallation, wanted: Record<'few' | 'many', number>): Promise<void> {
  for (const integration of ['few', 'many'] as const) {
    const id = newFreezeId();
    await openFreeze(ledger, { id, integrations: [integration], reason: 'the bench', by: 'responder@tenure.example' });
    const situation = await findFreeze(ledger.prisma, id);
    if (situation?.counts.subjects !== wanted[integration])
      throw new Error(`A freeze of "${integration}" is about ${situation?.counts.subjects} identities instead.`);
    await lift(ledger, id);
  }
}

function newFreezeId(): string {
  return idFromKey('freeze', { principal: 'bench', key: randomUUID() });
}

/** Active identities as rows, plus one that no freeze of the bench selects. */
async function makeIdentities(databaseUrl: string, counts: Record<'few' | 'many', number>): Promise<void> {
  for (const [integration, count] of Object.entries({ ...counts, others: 1 }))
    await execute(
      databaseUrl,
      `INSERT INTO "identity" ("id", "kind", "name", "nameKey", "environment", "ownerId", "purpose", "scopes", "integration",
         "labels", "consumers", "expiresAt", "issuer", "store", "state", "epoch", "highestVersion")
       SELECT '${integration}-' || n, 'service-account', '${integration} ' || n, '${integration} ' || n, 'production',
         'owner@tenure.example', 'the bench', '{}', '${integration}', '{}', '{}', now() + interval '30 days',
         'main-db', 'sealed', 'active', 1, 1
       FROM generate_series(1, ${count}) AS n`,
    );
  await execute(databaseUrl, 'ANALYZE "identity"');
}
