import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiClient, approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { proveEvidence } from '../../embedded/demo/evidenceProof.ts';
import { login, type ServedSecret } from '../../embedded/demo/loginLoop.ts';
import { applyMigrations } from '../../ledger/migrate.ts';
import { deploymentVersion } from '../../worker/deploymentVersion.ts';
import { viewDeployment } from '../../worker/deploymentView.ts';
import { eventually } from '../setup/eventually.ts';
import { accountRequest } from '../stories/embedded.ts';
import { columnsOf, narrowings } from './columns.ts';
import { type Estate, openEstate, type Running } from './estate.ts';
import { present, previousRelease, type Release } from './release.ts';

/**
 * The upgrade that users make: the release recorded beside this file hands over to this one and takes back, with requests
 * at every kind of wait. The tests are its steps, in their order. The installation's tenure.yaml is the older one
 * throughout: what became mandatory since must lock nobody out.
 */

let estate: Estate;
let previous: Awaited<ReturnType<typeof previousRelease>>;
let previousWorker: Running;
let previousApi: Running;
let presentWorker: Running;
let presentApi: Running;
let requester: ApiClient;
let responder: ApiClient;
let pipeline: ApiClient;

/** Requests that the previous release opened and left where they wait. */
const waiting: Record<'approval' | 'pause' | 'freeze' | 'consumers' | 'review' | 'creation' | 'revocation', string> = {
  approval: '',
  pause: '',
  freeze: '',
  consumers: '',
  review: '',
  creation: '',
  revocation: '',
};
let freezeId = '';
let compromised: ServedSecret;

beforeAll(async () => {
  [estate, previous] = [await openEstate(), await previousRelease()];
  previousWorker = await estate.start(previous.worker);
  previousApi = await estate.start(previous.api);
  [requester, responder, pipeline] = [
    await estate.as('requester'),
    await estate.as('responder'),
    await estate.pipeline(),
  ];
}, 240_000);
afterAll(async () => {
  await estate?.close();
  previous?.remove();
});

const asked = (change: object) => requester.post<RequestView>('/v1/identities', accountRequest(change));
const requestNow = (id: string) => requester.get<RequestView>(`/v1/requests/${id}`);
const secretOf = (identityId: string) => pipeline.get<ServedSecret>(`/v1/identities/${identityId}/secret`);
const identityOf = async (requestId: string) => (await requestNow(requestId)).identityId;
const rotate = (identityId: string) =>
  requester.post<RequestView>(`/v1/identities/${identityId}/rotations`, { justification: 'after the deployment' });
const revoke = (identityId: string) =>
  responder.post<RequestView>(`/v1/identities/${identityId}/revocation`, { justification: 'compromised' });

/** Below production nothing is asked. */
async function onboarded(change: { name: string; integration?: string; issuer?: string }): Promise<string> {
  const request = await asked({ environment: 'staging', ...change });
  await waitFor(requester, request.id, ['completed']);
  return request.identityId;
}

async function approved(requestId: string, ...people: readonly string[]): Promise<void> {
  for (const person of people) await approve(await estate.as(person), requestId);
}

async function cutOver(requestId: string): Promise<void> {
  await waitFor(requester, requestId, ['awaiting-consumers']);
  const identityId = await identityOf(requestId);
  const { epoch } = await secretOf(identityId);
  await pipeline.post(`/v1/identities/${identityId}/acknowledgements`, { epoch });
  await waitFor(requester, requestId, ['completed']);
}

async function tenure(release: Release, ...args: string[]): Promise<void> {
  const command = [join(release.directory, 'cli/tenure.js'), ...args, '--config', estate.configurationFile];
  await promisify(execFile)(process.execPath, command);
}

/** Every login that the issuers have for it, past Tenure. */
async function loginsAtIssuer(identityId: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: estate.databaseUrl });
  await client.connect();
  const { rows } = await client.query<{ rolname: string }>(
    'SELECT rolname FROM pg_roles WHERE rolcanlogin AND strpos(rolname, $1) > 0',
    [identityId],
  );
  await client.end();
  return rows.map(({ rolname }) => rolname);
}

/** What is served is accepted, and nothing else of it exists. */
async function expectInService(identityId: string): Promise<void> {
  const secret = await secretOf(identityId);
  await login(estate.databaseUrl, secret);
  expect(await loginsAtIssuer(identityId)).toEqual([secret.login]);
}

const migrationsOf = ({ directory }: Release): string[] =>
  readdirSync(join(directory, 'prisma/migrations'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();

test('the previous release leaves a request at each kind of wait', { timeout: 120_000 }, async () => {
  const approval = await asked({ name: 'approval' });
  await approved(approval.id, 'security-1');
  const pause = await asked({ name: 'pause' });
  await requester.post(`/v1/requests/${pause.id}/pause`, { reason: 'not before Monday' });
  const consumers = await rotate(await onboarded({ name: 'consumers' }));
  await waitFor(requester, consumers.id, ['awaiting-consumers']);
  const review = await responder.post<RequestView>(`/v1/identities/${await onboarded({ name: 'review' })}/reviews`, {
    justification: 'its owner changed teams',
  });
  await approved(review.id, 'owner');
  const frozen = await onboarded({ name: 'freeze', integration: 'search' });
  ({ id: freezeId } = await responder.post<{ id: string }>('/v1/freezes', {
    integrations: ['search'],
    reason: 'a leaked token in search',
  }));
  const freeze = await rotate(frozen);
  const lost = await onboarded({ name: 'revocation', issuer: 'far-db' });
  compromised = await secretOf(lost);
  estate.gate.shut();
  const revocation = await revoke(lost);
  const creation = await asked({ name: 'creation', environment: 'staging', issuer: 'far-db' });
  await waitFor(requester, creation.id, ['executing']);

  Object.assign(waiting, {
    ...{ approval: approval.id, pause: pause.id, freeze: freeze.id, consumers: consumers.id, review: review.id },
    ...{ creation: creation.id, revocation: revocation.id },
  });
  expect(await statesOfWaiting()).toEqual({
    approval: 'awaiting-approval',
    pause: 'held',
    freeze: 'held',
    consumers: 'awaiting-consumers',
    review: 'awaiting-approval',
    creation: expect.stringMatching(/executing|stuck/),
    revocation: expect.stringMatching(/executing|stuck/),
  });
});

async function statesOfWaiting(): Promise<Record<string, string>> {
  const states = Object.entries(waiting).map(async ([name, id]) => [name, (await requestNow(id)).state] as const);
  return Object.fromEntries(await Promise.all(states));
}

/** What the release before cannot read, and meets only where somebody used what is new: docs/operating.md, "Changing keys". */
const borne = ['evidence_log.restoreId may be null now, which its readers do not expect'];

test('this release migrates the schema under it, and takes nothing away that it uses', async () => {
  const { databaseUrl } = estate;
  const known = await columnsOf(databaseUrl);
  const applied = migrationsOf(previous);
  const unapplied = migrationsOf(present).filter((name) => !applied.includes(name));
  expect(await applyMigrations({ databaseUrl })).toEqual(unapplied);
  expect(Object.keys(known).length).toBeGreaterThan(100);
  expect(narrowings(known, await columnsOf(databaseUrl))).toEqual(borne);
});

test('it goes on working on the newer schema: opens, decides, rotates, revokes', { timeout: 120_000 }, async () => {
  const opened = await asked({ name: 'during' });
  await approved(opened.id, 'security-1', 'security-2');
  await waitFor(requester, opened.id, ['completed']);
  const rotated = await onboarded({ name: 'rotated-during' });
  await cutOver((await rotate(rotated)).id);
  await expectInService(rotated);
  await waitFor(requester, (await revoke(rotated)).id, ['completed']);
  expect(await loginsAtIssuer(rotated)).toEqual([]);
});

test('a worker of this release beside it takes nothing before an operator says so, and then everything', {
  timeout: 120_000,
}, async () => {
  presentWorker = await estate.start(present.worker);
  const beside = await viewDeployment(estate.deployment);
  const before = beside.currentBuildId;
  expect(beside.unversionedPollers).toBe(0);
  expect(before).not.toBe(deploymentVersion('tenure').buildId);
  expect(beside.versions).toMatchObject([{ status: 'inactive' }, { status: 'current', buildId: before }]);
  const opened = await asked({ name: 'before-the-move' });

  await tenure(present, 'deployment', 'make-current');
  expect(await viewDeployment(estate.deployment)).toMatchObject({
    currentBuildId: deploymentVersion('tenure').buildId,
  });
  await approved(opened.id, 'security-1');
  await previousWorker.stop();
  await previousApi.stop();
  presentApi = await estate.start(present.api);
  await approved(opened.id, 'security-2');
  await waitFor(requester, opened.id, ['completed']);
  await expectInService(opened.identityId);
});

test('every request that waited goes on to its end, and everything is as it should be from outside', {
  timeout: 180_000,
}, async () => {
  await approved(waiting.approval, 'security-2');
  await requester.post(`/v1/requests/${waiting.pause}/resume`, { reason: 'it is Monday' });
  await approved(waiting.pause, 'security-1', 'security-2');
  const responder2 = await estate.as('responder-2');
  await responder2.post(`/v1/freezes/${freezeId}/lift`, { reason: 'the token is revoked', override: true });
  await approved(waiting.review, 'security-1');
  estate.gate.open();

  await cutOver(waiting.consumers);
  await cutOver(waiting.freeze);
  const issued = [waiting.approval, waiting.pause, waiting.creation, waiting.review];
  for (const id of [...issued, waiting.revocation]) await waitFor(requester, id, ['completed']);
  for (const id of [...issued, waiting.consumers, waiting.freeze]) await expectInService(await identityOf(id));

  const revoked = await identityOf(waiting.revocation);
  expect(await requester.get(`/v1/identities/${revoked}`)).toMatchObject({ state: 'revoked' });
  expect(await loginsAtIssuer(revoked)).toEqual([]);
  await expect(login(estate.databaseUrl, compromised)).rejects.toMatchObject({ code: '28P01' });
  await expectWholeEvidence('taken-over');
});

test('the previous release, started again on the newer schema, takes back what this one opened', {
  timeout: 180_000,
}, async () => {
  const opened = await asked({ name: 'opened-by-this-release' });
  await approved(opened.id, 'security-1');
  const rotation = await rotate(await onboarded({ name: 'rotated-by-this-release' }));
  await waitFor(requester, rotation.id, ['awaiting-consumers']);

  previousWorker = await estate.start(previous.worker);
  await tenure(previous, 'deployment', 'make-current');
  await presentWorker.stop();
  await presentApi.stop();
  previousApi = await estate.start(previous.api);

  await approved(opened.id, 'security-2');
  await waitFor(requester, opened.id, ['completed']);
  await cutOver(rotation.id);
  for (const { identityId } of [opened, rotation]) await expectInService(identityId);
  const again = await rotate(rotation.identityId);
  await cutOver(again.id);
  await waitFor(requester, (await revoke(rotation.identityId)).id, ['completed']);
  expect(await loginsAtIssuer(rotation.identityId)).toEqual([]);
  await expectWholeEvidence('taken-back');
});

/** Sealed within a second or so; then exported and verified as an auditor does. */
async function expectWholeEvidence(name: string): Promise<void> {
  const auditor = { url: estate.apiUrl, token: await estate.token('auditor') };
  const { intact } = await eventually(() => proveEvidence(join(estate.directory, name), auditor));
  expect(intact).toMatch(/^Verified: \d+ entries/);
}
