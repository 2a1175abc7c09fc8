import pg from 'pg';
import { expect, test } from 'vitest';
import { FreezeBody } from '../../api/representations/freeze.ts';
import { RequestBody } from '../../api/representations/request.ts';
import { type Answer, type ApiFixture, apiFixture } from '../api/apiFixture.ts';
import { asked, onboarded } from '../api/onboarded.ts';

/** Whatever is under way, of whomever: what stops harm gets through, and so does whoever asks whether the process lives. */

const freeze = (api: ApiFixture) =>
  api.as('responder-1', '/v1/freezes', {
    body: { integrations: ['payments'], confirm: 'everything', reason: 'incident' },
  });

/** All that stops harm, one after the other; and health. @returns the statuses */
async function everySafetyCommand(
  api: ApiFixture,
  { identityId, requestId }: { identityId: string; requestId: string },
) {
  const command = (verb: string, person: 'requester' | 'responder-1' = 'responder-1') =>
    api.as(person, `/v1/requests/${requestId}/${verb}`, { body: { reason: 'incident' } });
  const answers = [
    await api.send(undefined, '/healthz'),
    await api.send(undefined, '/readyz'),
    await api.as('responder-1', '/v1/freezes/preview?integrations=payments'),
    await freeze(api),
    await command('pause'),
    await command('resume'),
    await command('cancel', 'requester'),
    await api.as('responder-1', `/v1/identities/${identityId}/revocation`, { body: { justification: 'incident' } }),
  ];
  const { id } = (answers[3] as (typeof answers)[number]).as(FreezeBody);
  answers.push(await api.as('responder-2', `/v1/freezes/${id}/lift`, { body: { reason: 'over', override: true } }));
  return answers.map(({ status }) => status);
}
const allDone = [200, 200, 200, 201, 200, 200, 200, 202, 200];

async function subjects(api: ApiFixture) {
  const { identityId } = await onboarded(api);
  const { id: requestId } = await asked(api, { name: 'second' });
  return { identityId, requestId };
}

test('with every ordinary connection to the ledger busy, every safety command commits, by people who sign in first', async () => {
  const api = await apiFixture();
  const about = await subjects(api);
  // As many statements as the pools have connections, and more that wait behind them, until the lock is let go.
  const blocker = new pg.Client({ connectionString: api.databaseUrl });
  await blocker.connect();
  await blocker.query('SELECT pg_advisory_lock(4711)');
  const { prisma, direct } = api.ledger;
  const busy = [...Array(10)].flatMap(() => [
    prisma.$queryRaw`SELECT pg_advisory_xact_lock_shared(4711)::text`,
    direct.$queryRaw`SELECT pg_advisory_xact_lock_shared(4711)::text`,
  ]);
  const ended = Promise.allSettled(busy);
  try {
    expect(await everySafetyCommand(api, about)).toEqual(allDone);
  } finally {
    await blocker.end();
    await ended;
  }
});

test('with every place of the ordinary lane taken, every safety command is accepted', async () => {
  const api = await apiFixture({ lanes: { ordinary: { atOnce: 1, perKey: 1, waitingPerKey: 0 } } });
  const about = await subjects(api);
  const { begun, release } = held(api);
  const { revision, digest } = (await api.as('security-1', `/v1/requests/${about.requestId}`)).as(RequestBody);
  const body = { verdict: 'approve', revision, digest };
  const deciding = api.as('security-1', `/v1/requests/${about.requestId}/decisions`, { body });
  await begun;
  const refused = await api.as('owner', '/v1/requests');
  expect([refused.status, refused.slug, refused.headers.get('retry-after')]).toEqual([429, 'too-many-requests', '1']);
  expect(await everySafetyCommand(api, about)).toEqual(allDone);
  release();
  expect((await deciding).slug).toBe('request-closed');
});

/** Decisions stand still until they are released. */
function held({ gateway }: ApiFixture) {
  const [begun, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { decide } = gateway;
  gateway.decide = async (...call) => {
    begun.resolve();
    await released.promise;
    return decide(...call);
  };
  return { begun: begun.promise, release: () => released.resolve() };
}

test('who has used up all that a principal may ask for can still stop harm, and so can everybody at a flooded address', async () => {
  const api = await apiFixture({ limits: { perAddress: 1, perPrincipal: 8 } });
  const about = await subjects(api);
  for (const person of ['responder-1', 'responder-2', 'requester'] as const)
    for (let each = 0; each < 9; each += 1) await api.as(person, '/v1/requests');
  for (let each = 0; each < 2; each += 1) await api.send(undefined, '/v1/requests');
  expect((await api.as('responder-1', '/v1/requests')).slug).toBe('too-many-requests');
  expect((await api.send(undefined, '/v1/requests')).slug).toBe('too-many-requests');
  expect(await everySafetyCommand(api, about)).toEqual(allDone);
});

test('calls without a token, or with forged ones, lock nobody out who signs in from the same address', async () => {
  const api = await apiFixture({ limits: { perAddress: 3 } });
  const forged = `${(await api.tokenOf('owner')).split('.').slice(0, 2).join('.')}.${Buffer.alloc(256, 1).toString('base64url')}`;
  for (let each = 0; each < 5; each += 1) expect((await api.send(forged, '/v1/requests')).status).toBe(401);
  const without = [];
  for (let each = 0; each < 2; each += 1) without.push((await api.send(undefined, '/v1/requests')).status);
  expect(without, 'they are told to wait instead').toEqual([429, 429]);
  for (const open of ['/docs', '/openapi.json', '/.well-known/jwks.json', '/nothing'])
    expect((await api.send(undefined, open)).status).toBe(429);
  expect((await api.as('owner', '/v1/requests')).status).toBe(200);
  for (const health of ['/healthz', '/readyz']) expect((await api.send(undefined, health)).status).toBe(200);
});

test('of 200 forged tokens at once a few are checked at a time, and a genuine one has its turn among them', async () => {
  const api = await apiFixture();
  const [head, claims] = (await api.tokenOf('owner')).split('.');
  const forged = (each: number) => `${head}.${claims}.${Buffer.alloc(256, each).toString('base64url')}`;
  const flood = Array.from({ length: 200 }, (_, each) => api.send(forged(each), '/v1/requests'));
  expect((await api.as('owner', '/v1/requests')).status).toBe(200);
  expect(new Set((await Promise.all(flood)).map(({ status }) => status))).toEqual(new Set([401]));
});

test('one principal has so much under way and waiting, the rest is told to come again, and others are served meanwhile', async () => {
  const api = await apiFixture({ lanes: { ordinary: { atOnce: 10, perKey: 2, waitingPerKey: 3 } } });
  const { id } = await asked(api);
  const { begun, release } = held(api);
  const { revision, digest } = (await api.as('security-1', `/v1/requests/${id}`)).as(RequestBody);
  const body = { verdict: 'approve', revision, digest };
  const calls = Array.from({ length: 9 }, () => api.as('security-1', `/v1/requests/${id}/decisions`, { body }));
  await begun;
  const refused = Promise.withResolvers<void>();
  const told: Answer[] = [];
  for (const call of calls) void call.then((answer) => void (told.push(answer) === 4 && refused.resolve()));
  await refused.promise;
  for (const { status, slug, headers } of told)
    expect([status, slug, headers.get('retry-after')]).toEqual([429, 'too-many-requests', '1']);
  expect((await api.as('owner', '/v1/requests')).status).toBe(200);
  release();
  const statuses = (await Promise.all(calls)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 429)).toHaveLength(4);
  expect(statuses.filter((status) => status === 200)).toHaveLength(1);
});

test('one principal has so many long-polls; they hold no place of what is under way, and others wait as before', async () => {
  const lanes = {
    longPolls: { atOnce: 100, perKey: 3, waitingPerKey: 0 },
    ordinary: { atOnce: 1, perKey: 1, waitingPerKey: 10 },
  };
  const api = await apiFixture({ lanes });
  const { id, sequence } = await asked(api);
  const poll = (person: 'owner' | 'stranger') =>
    api.as(person, `/v1/requests/${id}?waitSeconds=25&afterSequence=${sequence}`);
  const polls = [1, 2, 3, 4, 5].map(() => poll('stranger'));
  const refused = await Promise.race(polls);
  expect([refused.status, refused.slug]).toEqual([429, 'too-many-requests']);
  const ofAnother = poll('owner');
  await api.as('requester', `/v1/requests/${id}/cancel`, { body: { reason: 'over' } });
  const statuses = (await Promise.all(polls)).map(({ status }) => status);
  expect(statuses.sort()).toEqual([200, 200, 200, 429, 429]);
  expect((await ofAnother).as(RequestBody).state).toBe('cancelled');
});

test('all who wait for a change cost the ledger one read at a time, however many they are', async () => {
  const api = await apiFixture();
  const { id, sequence } = await asked(api);
  const { direct } = api.ledger;
  const ask = direct.$queryRaw;
  let [atOnce, most, reads] = [0, 0, 0];
  Object.assign(direct, {
    async $queryRaw(query: TemplateStringsArray, ...values: unknown[]) {
      if (!query.join('').includes('= ANY')) return ask(query, ...values);
      reads += 1;
      atOnce += 1;
      most = Math.max(most, atOnce);
      return ask(query, ...values).finally(() => {
        atOnce -= 1;
      });
    },
  });
  const polls = Array.from({ length: 60 }, () =>
    api.as('owner', `/v1/requests/${id}?waitSeconds=1&afterSequence=${sequence}`),
  );
  expect(new Set((await Promise.all(polls)).map(({ status }) => status))).toEqual(new Set([200]));
  expect(most).toBe(1);
  expect(reads).toBeLessThan(60);
});

test('health is looked at once for all who ask at the same time', async () => {
  const api = await apiFixture();
  const { isReachable } = api.gateway;
  let looks = 0;
  const release = Promise.withResolvers<void>();
  const asking = Promise.withResolvers<void>();
  api.gateway.isReachable = async () => {
    looks += 1;
    asking.resolve();
    await release.promise;
    return isReachable();
  };
  const answers = Array.from({ length: 50 }, () => api.send(undefined, '/readyz'));
  await asking.promise;
  expect((await api.send(undefined, '/healthz')).status).toBe(200);
  release.resolve();
  expect(new Set((await Promise.all(answers)).map(({ status }) => status))).toEqual(new Set([200]));
  expect(looks, 'one under way, and one for those who came meanwhile').toBeLessThan(50);
});
