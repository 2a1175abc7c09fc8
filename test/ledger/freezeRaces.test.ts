import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NewSubject } from '../../contracts/open.ts';
import type { FreezeSelector } from '../../domain/freezeSelector.ts';
import { liftFreeze, openFreeze } from '../../ledger/freezes.ts';
import { startMassRevocation } from '../../ledger/massRevocations.ts';
import { openRequest } from '../../ledger/open.ts';
import { plainFlows } from '../protocols/flows.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';

/** Begin and commit against a freeze of every kind of selector: nothing begins or commits after it, whichever list names it. */

let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({ flows: plainFlows });
  hand = byHand(installation);
});
afterAll(() => installation.close());

interface Raced {
  readonly selector: string;
  /** The subjects of one race, alike in what is selected. */
  readonly subject: (round: string) => Partial<NewSubject>;
  readonly selectorOf: (round: string, identityIds: readonly string[]) => Partial<FreezeSelector>;
}

const digestOf = async (kind: string) =>
  (await installation.ledger.prisma.flowVersion.findFirstOrThrow({ where: { operation: kind } })).digest;

const raced: readonly Raced[] = [
  { selector: 'identity', subject: () => ({}), selectorOf: (_round, identityIds) => ({ identityIds }) },
  {
    selector: 'integration',
    subject: (integration) => ({ integration }),
    selectorOf: (integration) => ({ integrations: [integration] }),
  },
  {
    selector: 'owner',
    subject: (round) => ({ ownerId: `${round}@tenure.example` }),
    selectorOf: (round) => ({ ownerIds: [`${round}@tenure.example`] }),
  },
  { selector: 'issuer', subject: (issuer) => ({ issuer }), selectorOf: (issuer) => ({ issuers: [issuer] }) },
  { selector: 'store', subject: (store) => ({ store }), selectorOf: (store) => ({ stores: [store] }) },
  {
    selector: 'environment',
    subject: (environment) => ({ environment }),
    selectorOf: (environment) => ({ environments: [environment] }),
  },
  {
    selector: 'connector',
    subject: () => ({ kind: 'connector' }),
    selectorOf: (_round, connectorIds) => ({ connectorIds }),
  },
  {
    selector: 'label',
    subject: (round) => ({ labels: { incident: round, team: 'x' } }),
    selectorOf: (round) => ({ labels: [`incident=${round}`] }),
  },
];

const rounds = 3;
const perRound = 3;
const created = { ok: true, result: { fingerprint: 'f'.repeat(32) } } as const;

const times = <T>(make: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: perRound }, (_, index) => make(index)));

/** A transaction that was ended for a freeze, or was too slow, is made again with the same key or event. */
async function repeated<T>(work: () => Promise<T>, attempts = 10): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (attempts === 1) throw error;
    return repeated(work, attempts - 1);
  }
}

/** An onboarding whose `create` has been done and not reported: the report is its commit. */
async function aboutToCommit(subject: Partial<NewSubject>) {
  const order = onboardingOrder(subject);
  const { requestId } = await repeated(() => hand.open(order));
  const create = await repeated(() => hand.orderOf(requestId, 'create'));
  const commit = () => repeated(() => hand.report(requestId, create, created));
  return { identityId: order.identityId, requestId, commit };
}

/** An identity with a served credential: a rotation of it is the next begin. */
async function active(subject: Partial<NewSubject>): Promise<string> {
  const { identityId, requestId, commit } = await aboutToCommit(subject);
  await commit();
  const promote = await repeated(() => hand.orderOf(requestId, 'promote'));
  await repeated(() => hand.report(requestId, promote, { ok: true, result: { outcome: 'served' } }));
  return identityId;
}

async function expectNothingAfter(freezeId: string, identityIds: readonly string[]): Promise<void> {
  const { prisma } = installation.ledger;
  const freeze = await prisma.freeze.findUniqueOrThrow({ where: { id: freezeId } });
  const credentials = await prisma.credential.findMany({ where: { identityId: { in: [...identityIds] } } });
  for (const { handle, createdAt, committedAt } of credentials) {
    expect(createdAt <= freeze.createdAt, `${handle} was begun after the freeze`).toBe(true);
    if (committedAt !== null)
      expect(committedAt <= freeze.createdAt, `${handle} was committed after the freeze`).toBe(true);
  }
  const open = await prisma.request.findMany({ where: { identityId: { in: [...identityIds] }, finishedAt: null } });
  for (const { id } of open) await repeated(() => hand.planOf(id));
  const mints = await prisma.credential.count({
    where: { identityId: { in: [...identityIds] }, state: { in: ['minting', 'staged'] } },
  });
  expect(mints, 'an uncommitted mint is destroyed, never held').toBe(0);
}

async function race(
  { toBegin, toCommit }: { toBegin: readonly string[]; toCommit: Awaited<ReturnType<typeof aboutToCommit>>[] },
  selector: Partial<FreezeSelector>,
  early: number,
): Promise<void> {
  const begin = (identityId: string) =>
    repeated(() => openRequest(installation.ledger, openOrder('rotation', { identityId })));
  const id = randomUUID();
  await Promise.all([
    ...toBegin.slice(0, early).map(begin),
    ...toCommit.slice(0, early).map(({ commit }) => commit()),
    openFreeze(installation.ledger, { id, ...selector, reason: 'a race', by: 'responder@tenure.example' }),
    ...toBegin.slice(early).map(begin),
    ...toCommit.slice(early).map(({ commit }) => commit()),
  ]);
  await expectNothingAfter(id, [...toBegin, ...toCommit.map(({ identityId }) => identityId)]);
  await liftFreeze(installation.ledger, { id, by: 'responder-2@tenure.example', reason: 'the race is over' });
}

test.each(raced)('whatever raced a freeze by $selector: nothing was begun or committed after it', async (given) => {
  for (let round = 0; round < rounds; round += 1) {
    const word = `r${randomUUID().slice(0, 8)}`;
    const subject = given.subject(word);
    if (subject.ownerId !== undefined)
      await installation.ledger.prisma.person.create({ data: { id: subject.ownerId, name: word, source: 'a test' } });
    const [toBegin, toCommit] = await Promise.all([times(() => active(subject)), times(() => aboutToCommit(subject))]);
    const identityIds = [...toBegin, ...toCommit.map(({ identityId }) => identityId)];
    await race({ toBegin, toCommit }, given.selectorOf(word, identityIds), round);
  }
});

test('whatever raced a freeze of a flow version: nothing that it binds was begun or committed after it', async () => {
  for (let round = 0; round < rounds; round += 1) {
    const [toBegin, toCommit] = await Promise.all([times(() => active({})), times(() => aboutToCommit({}))]);
    await race({ toBegin, toCommit }, { flowDigests: [await digestOf('onboarding')] }, round);
  }
});

test('whoever holds a subject may still write what names its freeze while a mass revocation waits for that subject', async () => {
  const integration = `r${randomUUID().slice(0, 8)}`;
  const { identityId, requestId } = await aboutToCommit({ integration });
  const freezeId = randomUUID();
  const responder = 'responder@tenure.example';
  await openFreeze(installation.ledger, { id: freezeId, integrations: [integration], reason: 'a race', by: responder });
  const order = { id: randomUUID(), freezeId, by: responder, reason: 'a race', confirmed: 1 };
  // As a step of the request that meets the freeze: it would wait for the start, which waits for it.
  const starting = await installation.ledger.prisma.$transaction(
    async (tx) => {
      await tx.$queryRaw`SELECT FROM "identity" WHERE "id" = ${identityId} FOR UPDATE`;
      const started = startMassRevocation(installation.ledger, order);
      await eventually(async () => {
        const [waiting] = await tx.$queryRaw<{ count: bigint }[]>`
          SELECT count(*) FROM pg_locks WHERE NOT "granted" AND pg_backend_pid() = ANY (pg_blocking_pids("pid"))`;
        expect(waiting?.count).toBe(1n);
      });
      await tx.freezeStop.create({ data: { freezeId, requestId, what: 'commit', at: new Date() } });
      return { started };
    },
    { timeout: 30_000 },
  );
  expect(await starting.started).toMatchObject({ started: true });
});
