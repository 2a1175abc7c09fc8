import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { assertionOf, examplePolicy, insertAgent, newAgentKey } from '../setup/agents.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type InstallationApi, installationApi } from '../setup/installationApi.ts';

/** An installation whose flows are from before there were agents: nobody gets an agent in by them, or a key of one. */

const shipped = (name: string) => readFileSync(new URL(`../../flows/${name}.flow.yaml`, import.meta.url), 'utf8');
const everything = `apiVersion: tenure/v1
kind: Flow
metadata: {name: rotation-everything, owner: security, description: It covers whatever there is.}
on: rotation
subject: {where: 'subject.kind in ["agent", "api-key"]'}
stages: [{id: rotate, effect: rotate}]
`;

let installation: TestInstallation;
let api: InstallationApi;
let stopWorker: () => Promise<void>;
beforeAll(async () => {
  const flows = [...['onboarding-default', 'rotation-default'].map(shipped), everything];
  installation = await testInstallation({ flows });
  stopWorker = await installation.startWorker();
  api = await installationApi(installation);
});
afterAll(async () => {
  await api?.close();
  await stopWorker?.();
  await installation?.close();
});

test('no agent is onboarded by a flow that names no agents, where every other kind is', async () => {
  const { publicKey } = await newAgentKey();
  const order = {
    ...{ environment: 'development', owner: 'requester@tenure.example', purpose: 'tries', integration: 'orders' },
    ...{ store: 'sealed', justification: 'it wants in', expiresAt: new Date(Date.now() + 864e5).toISOString() },
  };
  const agent = { registration: { publicKey }, policy: examplePolicy };
  const asked = api.as('requester', '/v1/identities', { ...order, kind: 'agent', name: 'in', issuer: 'agents', agent });
  await expect(asked).rejects.toThrow(/^422 .*"urn:tenure:problem:no-flow".*covers agents/);
  const other = { ...order, kind: 'connector', name: 'other', issuer: 'main-db', scopes: ['read'], consumers: [] };
  expect(await api.as('requester', '/v1/identities', other)).toHaveProperty('identityId');
});

test('no key of an agent is registered by one either, whoever asks, and the old key stays the only one', async () => {
  const [known, another] = [await newAgentKey(), await newAgentKey()];
  const owner = 'requester@tenure.example';
  const identityId = await insertAgent(installation.ledger, { registration: { publicKey: known.publicKey }, owner });
  const body = { justification: 'mine now', registration: { publicKey: another.publicKey } };
  const asked = api.as('requester', `/v1/identities/${identityId}/rotations`, body);
  await expect(asked).rejects.toThrow(/^422 .*"urn:tenure:problem:no-flow".*covers agents/);
  const statusOf = async (key: typeof known) => {
    const assertion = await assertionOf({ identityId, key, audience: api.publicUrl });
    const authorization = `Bearer ${assertion}`;
    return (await fetch(`${api.address}/v1/identities/${identityId}`, { headers: { authorization } })).status;
  };
  expect([await statusOf(known), await statusOf(another)]).toEqual([200, 401]);
});
