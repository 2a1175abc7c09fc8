import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AgentKeyPair, assertionOf, examplePolicy, newAgentKey } from '../setup/agents.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type InstallationApi, installationApi } from '../setup/installationApi.ts';
import { plainAgentFlows, plainFlows } from './flows.ts';

/** The life of an agent: onboarded, rotated, revoked through the API, by real workflows. */

let installation: TestInstallation;
let api: InstallationApi;
let hand: ByHand;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: [...plainFlows, ...plainAgentFlows], leaseMs: 4_000 });
  api = await installationApi(installation);
  hand = byHand(installation);
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await api?.close();
  await installation?.close();
});

interface Opened {
  readonly id: string;
  readonly identityId: string;
}

const inAMonth = () => new Date(Date.now() + 30 * 86_400_000).toISOString();

const expectCredentials = (identityId: string, expected: string) =>
  eventually(async () => expect(await hand.credentialsOf(identityId)).toBe(expected));

async function onboarded(registration: object): Promise<string> {
  const { id, identityId } = await api.as<Opened>('requester', '/v1/identities', {
    ...{
      kind: 'agent',
      name: `agent ${randomUUID().slice(0, 8)}`,
      environment: 'staging',
      owner: 'owner@tenure.example',
    },
    ...{ purpose: 'answers questions about orders', integration: 'orders', expiresAt: inAMonth() },
    ...{
      issuer: 'agents',
      store: 'sealed',
      justification: 'orders are asked about',
      consumers: ['owner@tenure.example'],
    },
    agent: { registration, policy: examplePolicy },
  });
  await eventually(async () => expect(await hand.stateOf(id)).toMatchObject({ state: 'completed' }));
  return identityId;
}

const rotate = (identityId: string, registration?: object) =>
  api.as<Opened>('owner', `/v1/identities/${identityId}/rotations`, {
    justification: 'a new key',
    ...(registration === undefined ? {} : { registration }),
  });

async function statusFor(identityId: string, key: AgentKeyPair): Promise<number> {
  const token = await assertionOf({ identityId, key, audience: api.publicUrl });
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${api.address}/v1/identities/${identityId}`, { headers })).status;
}

test('while a key is rotated both keys count, then the old one retires, and a revocation ends them all', async () => {
  const [old, fresh] = [await newAgentKey(), await newAgentKey()];
  const identityId = await onboarded({ publicKey: old.publicKey });
  expect([await statusFor(identityId, old), await statusFor(identityId, fresh)]).toEqual([200, 401]);

  const { id } = await rotate(identityId, { publicKey: fresh.publicKey });
  await eventually(async () => expect(await hand.stateOf(id)).toMatchObject({ state: 'awaiting-consumers' }));
  expect([await statusFor(identityId, old), await statusFor(identityId, fresh)]).toEqual([200, 200]);

  const { epoch } = await api.as<{ epoch: number }>('owner', `/v1/identities/${identityId}`);
  await api.as('owner', `/v1/identities/${identityId}/acknowledgements`, { epoch });
  await eventually(async () => expect(await hand.stateOf(id)).toMatchObject({ state: 'completed' }));
  expect([await statusFor(identityId, old), await statusFor(identityId, fresh)]).toEqual([401, 200]);

  const { id: revocation } = await api.as<Opened>('responder', `/v1/identities/${identityId}/revocation`, {
    justification: 'its host was compromised',
  });
  expect([await statusFor(identityId, old), await statusFor(identityId, fresh)]).toEqual([401, 401]);
  await eventually(async () => {
    const rows = await installation.ledger.prisma.agentKey.count({ where: { identityId } });
    expect(rows).toBe(0);
  });
  expect(await hand.stateOf(revocation)).not.toMatchObject({ state: 'failed' });
});

test('a public key is not rotated without a new one: not by a person, and by schedule the owner is told', async () => {
  const key = await newAgentKey();
  const identityId = await onboarded({ publicKey: key.publicKey });
  await expect(rotate(identityId)).rejects.toThrow('registration-required');
  await expect(rotate(identityId, { publicKey: key.publicKey })).rejects.toThrow('registration-required');

  const { prisma } = installation.ledger;
  const kind_subjectId = { kind: 'rotation', subjectId: identityId };
  await prisma.dueWork.update({ where: { kind_subjectId }, data: { dueAt: new Date(Date.now() - 1_000) } });
  await installation.activities.runDueWork();
  const told = await prisma.outboxMessage.findMany({ where: { kind: 'notify' } });
  expect(told.map(({ payload }) => payload)).toContainEqual(
    expect.objectContaining({ to: ['owner@tenure.example'], about: 'registration-required' }),
  );
  expect(await prisma.dueWork.count({ where: kind_subjectId })).toBe(1);
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
  expect(await statusFor(identityId, key)).toBe(200);
});

test("a workload's subject is registered again by schedule, and is one agent's alone", async () => {
  const oidc = { provider: 'workloads', subject: `spiffe://example.com/${randomUUID()}` };
  const identityId = await onboarded({ oidc });
  await expect(onboarded({ oidc })).rejects.toThrow('registration-taken');

  const kind_subjectId = { kind: 'rotation', subjectId: identityId };
  const { prisma } = installation.ledger;
  await prisma.dueWork.update({ where: { kind_subjectId }, data: { dueAt: new Date(Date.now() - 1_000) } });
  await installation.activities.runDueWork();
  await expectCredentials(identityId, 'v1 retiring, v2 current');
  const rows = await prisma.agentKey.findMany({ where: { identityId } });
  expect(rows.map(({ registration }) => registration)).toEqual([{ oidc }, { oidc }]);
});

test('two rotations at once to different keys are two, and the second waits for the first', async () => {
  const identityId = await onboarded({ publicKey: (await newAgentKey()).publicKey });
  await rotate(identityId, { publicKey: (await newAgentKey()).publicKey });
  await expect(rotate(identityId, { publicKey: (await newAgentKey()).publicKey })).rejects.toThrow('request-running');
});
