import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { idFromKey } from '../../domain/ids.ts';
import { handleOf } from '../../ledger/applyChange.ts';
import { openFreeze } from '../../ledger/freezes.ts';
import { startMassRevocation } from '../../ledger/massRevocations.ts';
import type { TestInstallation } from '../../test/setup/installation.ts';
import { type Finding, rounded } from '../finding.ts';
import type { Ground } from '../ground.ts';
import { benchInstallation } from '../installation.ts';
import { perSecond } from '../rounds.ts';
import type { Row } from '../row.ts';

const lanes = 8;
const integration = 'incident';
/** What is read after the first tenth of the subjects must be read after the last as well. */
const parts = 10;

/** Where a mass revocation stands. */
interface Reading {
  readonly revoked: number;
  readonly atMs: number;
  /** Of the process, which holds the worker. */
  readonly residentBytes: number;
  /** Rows that PostgreSQL has read so far, in indexes and tables, the server's own among them. */
  readonly rowsRead: number;
}

/** What each revocation cost from one reading to the next. */
interface Part {
  readonly perSecond: number;
  readonly rowsEach: number;
  readonly mebibytes: number;
}

/**
 * What a mass revocation of many subjects costs towards its end, beside its beginning: the rate, the rows that PostgreSQL reads
 * for each, and the memory of the process that holds the worker.
 */
export const massRevocationGrowth: Row = {
  name: 'mass-revocation-growth',
  isOnRequest: true,
  dependsOnServer: false,
  async run(ground, size, { subjects = size === 'full' ? 10_000 : 20 } = {}) {
    const revoked = new Set<string>();
    const installation = await benchInstallation(ground, {
      paceOf: () => ({ concurrency: lanes, perSecond: 10_000 }),
      wrapIssuer: (issuer) => ({
        ...issuer,
        async retireIdentity(order) {
          await issuer.retireIdentity(order);
          revoked.add(order.identityId);
        },
      }),
    });
    try {
      await makeSubjects(installation, ground, subjects);
      const stopWorker = await installation.startWorker();
      try {
        const massRevocationId = await started(installation, subjects);
        const found: Part[] = [];
        // What the first one waits for, the worker pays once.
        while (revoked.size === 0) await wait(20);
        let before = await readingOf(installation, revoked.size);
        while (before.revoked < subjects) {
          const next = Math.min(subjects, before.revoked + subjects / parts);
          while (revoked.size < next) await wait(20);
          const after = await readingOf(installation, revoked.size);
          const between = partBetween(before, after);
          ground.say(`mass revocation: ${after.revoked} of ${subjects}, ${told(between)}`);
          found.push(between);
          before = after;
        }
        await untilClosed(installation, massRevocationId);
        return findingsOf(found, subjects);
      } finally {
        await stopWorker();
      }
    } finally {
      await installation.close();
    }
  },
};

function partBetween(before: Reading, after: Reading): Part {
  const count = after.revoked - before.revoked;
  return {
    perSecond: (count * 1000) / (after.atMs - before.atMs),
    rowsEach: (after.rowsRead - before.rowsRead) / count,
    mebibytes: after.residentBytes / 2 ** 20,
  };
}

function told({ perSecond, rowsEach, mebibytes }: Part): string {
  return `${rounded(perSecond)}/s, ${Math.round(rowsEach)} rows read for each, ${Math.round(mebibytes)} MiB`;
}

/** The last part beside the first; as spread, every part beside it. */
function findingsOf(found: readonly Part[], subjects: number): Finding[] {
  const [first, last] = [found[0], found.at(-1)];
  if (first === undefined || last === undefined) throw new RangeError('All were revoked before the first look.');
  const shown = (what: string, figure: keyof Part, unit: string): Finding => {
    const ratios = found.map((part) => part[figure] / first[figure]);
    return {
      what: `a mass revocation of ${subjects} identities, ${what}: its last tenth beside its first`,
      value: last[figure] / first[figure],
      unit: '×',
      subject: `${rounded(last[figure])}${unit}`,
      baseline: `the first: ${rounded(first[figure])}${unit}`,
      spread: { lowest: Math.min(...ratios), highest: Math.max(...ratios), rounds: ratios.length },
    };
  };
  return [
    shown('how many a second', 'perSecond', '/s'),
    shown('rows that PostgreSQL reads for each', 'rowsEach', ''),
    shown('resident memory of worker and bench', 'mebibytes', ' MiB'),
  ];
}

/** What is of the whole server (roles and their comments) is counted under no database. */
async function readingOf({ ledger }: TestInstallation, revoked: number): Promise<Reading> {
  const [row] = await ledger.prisma.$queryRaw<{ rowsRead: number }[]>`
    SELECT sum("tup_returned")::float8 AS "rowsRead" FROM pg_stat_database
    WHERE "datid" = 0 OR "datname" = current_database()`;
  const residentBytes = process.memoryUsage.rss();
  return { revoked, atMs: performance.now(), residentBytes, rowsRead: row?.rowsRead ?? 0 };
}

/** Active identities of one credential each, as their onboardings leave them: in the ledger, at the issuer and in the store. */
async function makeSubjects({ ledger, issuer, store }: TestInstallation, ground: Ground, count: number): Promise<void> {
  const [flow] = await ledger.prisma.publishedFlow.findMany({ where: { operation: 'onboarding' }, take: 1 });
  if (flow === undefined) throw new TypeError('No flow for onboardings is published.');
  const ids = Array.from({ length: count }, () => idFromKey('identity', { principal: 'bench', key: randomUUID() }));
  const soon = new Date(Date.now() + 86_400_000);
  const before = new Date(Date.now() - 3_600_000);
  for (let from = 0; from < count; from += 1_000) {
    const some = ids.slice(from, from + 1_000);
    await ledger.prisma.identity.createMany({
      data: some.map((id) => ({
        ...{ id, kind: 'service-account', name: id, nameKey: id, environment: 'staging' },
        ...{
          ownerId: 'owner@tenure.example',
          purpose: 'the bench',
          scopes: [],
          integration,
          labels: {},
          consumers: [],
        },
        ...{ expiresAt: soon, issuer: 'main-db', store: 'sealed', state: 'active', epoch: 1, highestVersion: 1 },
      })),
    });
    await ledger.prisma.request.createMany({
      data: some.map((identityId) => ({
        ...{ id: identityId, identityId, kind: 'onboarding', flowDigest: flow.digest, state: 'completed' },
        ...{ trigger: 'person', requesterId: 'requester@tenure.example', requesterKind: 'person', flowState: {} },
        ...{ workflowId: `onboarding/${identityId}`, createdAt: before, finishedAt: before },
      })),
    });
    await ledger.prisma.credential.createMany({
      data: some.map((identityId) => ({
        ...{ handle: handleOf(identityId, 1), identityId, version: 1, requestId: identityId, state: 'minting' },
        leaseEndsAt: before,
      })),
    });
    const made = { identityId: { in: some } };
    await ledger.prisma.credential.updateMany({ where: made, data: { state: 'staged', fingerprint: 'of the bench' } });
    const committed = { epoch: 1, promotedEpoch: 1, expiresAt: soon, committedAt: before, promotedAt: before };
    await ledger.prisma.credential.updateMany({ where: made, data: { state: 'current', ...committed } });
  }
  const left = [...ids];
  let made = 0;
  await perSecond({ times: count, lanes }, async () => {
    const identityId = left.pop();
    if (identityId === undefined) throw new RangeError('Fewer identities were made than are to be issued to.');
    const handle = handleOf(identityId, 1);
    const secret = await store.stage({ identityId, version: 1, value: await issuer.generateSecret({ handle }) });
    await issuer.create({ handle, identityId, secret, scopes: [], validUntil: soon });
    await store.promote({ identityId, version: 1, epoch: 1 });
    made += 1;
    if (made % 1_000 === 0) ground.say(`mass revocation: ${made} of ${count} subjects made`);
  });
}

async function started({ ledger }: TestInstallation, subjects: number): Promise<string> {
  const by = 'responder@tenure.example';
  const freezeId = idFromKey('freeze', { principal: by, key: randomUUID() });
  await openFreeze(ledger, { id: freezeId, integrations: [integration], reason: 'the bench', by });
  const order = { id: randomUUID(), freezeId, by, reason: 'the bench', confirmed: subjects };
  const start = await startMassRevocation(ledger, order);
  if (!start.started) throw new Error(start.detail);
  return order.id;
}

async function untilClosed({ ledger }: TestInstallation, id: string): Promise<void> {
  for (;;) {
    const { closedAt } = await ledger.prisma.massRevocation.findUniqueOrThrow({ where: { id } });
    if (closedAt !== null) return;
    await wait(200);
  }
}
