import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiClient, approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { login, type ServedSecret } from '../../embedded/demo/loginLoop.ts';
import { eventually } from '../setup/eventually.ts';
import { accountRequest, openStage, problemOf, type StoryStage } from './embedded.ts';
import { seedActiveIdentities } from './frozenSubjects.ts';

/** In an incident, issuance for a compromised integration stops at once, until ownership and scope are revalidated. */

let stage: StoryStage;
let responder: ApiClient;
let responder2: ApiClient;
let requester: ApiClient;

beforeAll(async () => {
  stage = await openStage();
  [responder, responder2, requester] = [
    await stage.as('responder'),
    await stage.as('responder-2'),
    await stage.as('requester'),
  ];
}, 120_000);
afterAll(() => stage?.close());

interface FreezeView {
  readonly id: string;
  readonly liftedBy: string | null;
  readonly liftOverride: boolean;
  readonly counts: Readonly<Record<'subjects' | 'unreviewed' | 'thawed' | 'held' | 'refused' | 'usable', number>>;
}
interface FreezeReviewsView {
  readonly missing: readonly { readonly identityId: string; readonly standing: string; readonly requestId: string }[];
}
interface Preview {
  readonly matches: string;
  readonly matching: number;
  readonly live: number;
}

const freezeNow = (id: string) => responder.get<FreezeView>(`/v1/freezes/${id}`);
const rotate = (identityId: string) =>
  requester.post<RequestView>(`/v1/identities/${identityId}/rotations`, { justification: 'after the deployment' });
const secretOf = async (identityId: string) =>
  (await stage.asPipeline('deploy')).get<ServedSecret>(`/v1/identities/${identityId}/secret`);

/** Below production nothing is asked, so that the story is about the incident. */
async function onboarded(change: object): Promise<string> {
  const request = await requester.post<RequestView>(
    '/v1/identities',
    accountRequest({ environment: 'staging', ...change }),
  );
  await waitFor(requester, request.id, ['completed']);
  return request.identityId;
}

async function reviewed(identityId: string, body: object): Promise<RequestView> {
  const request = await responder.post<RequestView>(`/v1/identities/${identityId}/reviews`, {
    justification: 'after the incident',
    ...body,
  });
  expect(request.state).toBe('awaiting-approval');
  expect(await problemOf(approve(await stage.as('security-1'), request.id))).toBe('not-eligible');
  await approve(await stage.as('owner'), request.id);
  expect(await problemOf(approve(await stage.as('owner'), request.id))).toMatch(/self-approval|not-eligible/);
  await approve(await stage.as('security-1'), request.id);
  return waitFor(responder, request.id, ['completed']);
}

const subjects: string[] = [];
let bystander = '';

test('a frozen integration issues nothing from then on, until each subject’s owner attests and security approves it again', {
  timeout: 240_000,
}, async () => {
  for (const name of ['orders', 'refunds', 'ledger']) subjects.push(await onboarded({ name }));
  const [first = '', second = '', third = ''] = subjects;
  bystander = await onboarded({ name: 'newsletter', integration: 'mail' });

  expect(await responder.get<Preview>('/v1/freezes/preview?integrations=payments')).toMatchObject({
    matches: 'some',
    matching: 3,
    live: 4,
  });
  const { id: freezeId } = await responder.post<FreezeView>('/v1/freezes', {
    integrations: ['payments'],
    reason: 'a leaked token in payments, ticket 4711',
    escalateAfter: 'PT4H',
  });

  const [held, alsoHeld] = [await rotate(first), await rotate(third)];
  for (const request of [held, alsoHeld]) {
    expect(request.state).toBe('held');
    expect(request.heldBy).toMatchObject([{ kind: 'freeze', by: 'responder@tenure.example' }]);
  }
  const late = await requester.post<RequestView>(
    '/v1/identities',
    accountRequest({ name: 'late', environment: 'staging' }),
  );
  expect(late.state).toBe('held');
  await waitFor(requester, (await rotate(bystander)).id, ['awaiting-consumers']);
  for (const identityId of subjects) expect(await stage.loginsAtIssuer(identityId)).toHaveLength(1);
  expect(await stage.loginsAtIssuer(late.identityId)).toEqual([]);
  expect((await freezeNow(freezeId)).counts).toMatchObject({ subjects: 4, held: 3, refused: 3, usable: 3 });

  await reviewed(first, { freezeId });
  await waitFor(requester, held.id, ['awaiting-consumers']);
  await login(stage.runtime.postgres.issuerUrl, await secretOf(first));
  expect(await stage.loginsAtIssuer(first)).toHaveLength(2);

  // With re-issue, the credential of before the incident is replaced without anybody asking again.
  await reviewed(second, { freezeId, reissue: true });
  await eventually(async () => expect(await stage.loginsAtIssuer(second)).toHaveLength(2), 30_000);

  expect(await stage.loginsAtIssuer(third)).toHaveLength(1);
  expect((await requester.get<RequestView>(`/v1/requests/${alsoHeld.id}`)).state).toBe('held');
  expect((await freezeNow(freezeId)).counts).toMatchObject({ thawed: 2, unreviewed: 1, held: 2 });

  const lift = { reason: 'the token is revoked, ticket 4711' };
  expect(await problemOf(responder.post(`/v1/freezes/${freezeId}/lift`, { ...lift, override: true }))).toBe(
    'second-responder',
  );
  expect(await problemOf(responder2.post(`/v1/freezes/${freezeId}/lift`, lift))).toBe('exit-criteria-open');

  // Whoever is left is asked with one command; the lifecycle opens their reviews within a minute.
  await responder.post(`/v1/freezes/${freezeId}/reviews`, { reason: 'the build host is rebuilt, ticket 4711' });
  const asked = await eventually(async () => {
    const { missing } = await responder.get<FreezeReviewsView>(`/v1/freezes/${freezeId}/reviews`);
    expect(missing).toMatchObject([{ identityId: third, standing: 'open' }]);
    return missing[0]?.requestId ?? '';
  }, 90_000);
  await approve(await stage.as('owner'), asked);
  await approve(await stage.as('security-1'), asked);
  await waitFor(requester, alsoHeld.id, ['awaiting-consumers']);
  expect((await requester.get<RequestView>(`/v1/requests/${late.id}`)).state).toBe('held');
  const lifted = await responder2.post<FreezeView>(`/v1/freezes/${freezeId}/lift`, lift);
  expect(lifted).toMatchObject({ liftedBy: 'responder-2@tenure.example', liftOverride: false });
  await waitFor(requester, late.id, ['completed']);
});

test('the same with a thousand subjects: one goes on, 999 stay frozen, and what was held goes on when it is lifted', {
  timeout: 300_000,
}, async () => {
  const integration = 'settlement';
  const real = await onboarded({ name: 'settle', integration });
  const seeded = await seedActiveIdentities(stage.runtime.postgres.ledgerUrl, {
    count: 999,
    integration,
    owner: 'owner@tenure.example',
  });
  const { id: freezeId } = await responder.post<FreezeView>('/v1/freezes', {
    integrations: [integration],
    reason: 'a compromised build host',
  });
  expect((await freezeNow(freezeId)).counts).toMatchObject({ subjects: 1_000, unreviewed: 1_000, usable: 1_000 });

  const asked = await Promise.all(seeded.slice(0, 20).map(rotate));
  expect(new Set(asked.map(({ state }) => state))).toEqual(new Set(['held']));
  const held = await rotate(real);
  expect(held.state).toBe('held');

  await reviewed(real, { freezeId });
  await waitFor(requester, held.id, ['awaiting-consumers']);
  await login(stage.runtime.postgres.issuerUrl, await secretOf(real));
  expect((await freezeNow(freezeId)).counts).toMatchObject({ thawed: 1, unreviewed: 999, held: 20, refused: 21 });
  for (const identityId of seeded.slice(0, 20)) expect(await stage.loginsAtIssuer(identityId)).toEqual([]);

  const lift = { reason: 'rebuilt, and its tokens revoked' };
  expect(await problemOf(responder2.post(`/v1/freezes/${freezeId}/lift`, lift))).toBe('exit-criteria-open');
  await responder2.post(`/v1/freezes/${freezeId}/lift`, { ...lift, override: true });
  for (const { id } of asked) await waitFor(requester, id, ['awaiting-consumers']);
  for (const identityId of seeded.slice(0, 20)) expect(await stage.loginsAtIssuer(identityId)).toHaveLength(1);
});
