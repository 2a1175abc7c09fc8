// `npm run demo`: the main job, start to end, on real parts; exit 0 when every step did what it says.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { coloured, printTable } from '../cli/output.ts';
import { type ApiClient, ApiProblem, apiClient, approve, type RequestView, waitFor } from './demo/apiClient.ts';
import { proveEvidence } from './demo/evidenceProof.ts';
import { type LoginLoop, login, type ServedSecret, startLoginLoop } from './demo/loginLoop.ts';
import { freePort } from './ports.ts';
import { type EmbeddedRuntime, startEmbedded } from './runtime.ts';

const startedMs = Date.now();

function say(text: string): void {
  const seconds = ((Date.now() - startedMs) / 1000).toFixed(1).padStart(5);
  console.log(`${coloured('dim', `${seconds} s`)}  ${text}`);
}

function demand(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}

interface Cast {
  readonly requester: ApiClient;
  readonly security1: ApiClient;
  readonly security2: ApiClient;
  readonly responder: ApiClient;
  readonly pipeline: ApiClient;
}

async function castOf(runtime: EmbeddedRuntime): Promise<Cast> {
  const as = async (person: string) => apiClient(runtime.apiUrl, await runtime.token(person));
  return {
    requester: await as('requester'),
    security1: await as('security-1'),
    security2: await as('security-2'),
    responder: await as('responder'),
    pipeline: apiClient(runtime.apiUrl, await runtime.pipelineToken('deploy', { triggeredBy: 'requester' })),
  };
}

async function onboard({ requester, security1, security2 }: Cast): Promise<string> {
  const request = await requester.post<RequestView>('/v1/identities', {
    kind: 'service-account',
    name: 'order-service',
    environment: 'production',
    owner: 'owner@tenure.example',
    purpose: 'Reads and writes orders',
    scopes: ['orders:read', 'orders:write'],
    integration: 'payments',
    consumers: ['pipeline:deploy'],
    expiresAt: new Date(Date.now() + 60 * 86_400_000).toISOString(),
    issuer: 'main-db',
    store: 'sealed',
    justification: 'The order service gets its own account',
  });
  say(`order-service is asked for: ${request.state}; no credential exists yet`);
  const refusal = await refusalOf(approve(requester, request.id));
  demand(refusal === 'self-approval', `The requester's own approval was answered ${refusal}.`);
  say("the requester's own approval is refused: self-approval");
  await approve(security1, request.id);
  await approve(security2, request.id);
  await waitFor(requester, request.id, ['completed']);
  say('two people of security approve; the credential is issued into the store');
  return request.identityId;
}

async function rotateTwiceAndRollBack({ pipeline, security1, responder }: Cast, identityId: string): Promise<void> {
  const first = await pipeline.post<RequestView>(`/v1/identities/${identityId}/rotations`, {
    justification: 'after deployment 1',
  });
  await approve(security1, first.id);
  await waitFor(pipeline, first.id, ['awaiting-consumers']);
  await acknowledge(pipeline, identityId);
  await waitFor(pipeline, first.id, ['completed']);
  say('rotation 1: triggered by the pipeline, approved, cut over, the old credential destroyed');

  const second = await pipeline.post<RequestView>(`/v1/identities/${identityId}/rotations`, {
    justification: 'after deployment 2',
  });
  await approve(security1, second.id);
  await waitFor(pipeline, second.id, ['awaiting-consumers']);
  say('rotation 2: the new credential is served, the old one still accepted');
  await responder.post(`/v1/requests/${second.id}/rollback`, { reason: 'the deployment was withdrawn' });
  await waitFor(pipeline, second.id, ['awaiting-consumers']);
  await acknowledge(pipeline, identityId);
  await waitFor(pipeline, second.id, ['completed']);
  say('rotation 2 is rolled back: the old credential is served again, the new one destroyed');
}

/** The consumer read the secret, uses it, and says so; a promote that is not recorded yet is waited for. */
async function acknowledge(consumer: ApiClient, identityId: string): Promise<void> {
  for (;;) {
    const { epoch } = await consumer.get<ServedSecret>(`/v1/identities/${identityId}/secret`);
    const refusal = await refusalOf(consumer.post(`/v1/identities/${identityId}/acknowledgements`, { epoch }));
    if (refusal === undefined) return;
    demand(refusal === 'wrong-epoch', `The acknowledgement was answered ${refusal}.`);
  }
}

async function freezeAndRevoke({ pipeline, security1, responder }: Cast, identityId: string): Promise<void> {
  await responder.post('/v1/freezes', { integrations: ['payments'], reason: 'a leaked token in payments' });
  const third = await pipeline.post<RequestView>(`/v1/identities/${identityId}/rotations`, {
    justification: 'after deployment 3',
  });
  await approve(security1, third.id);
  const held = await waitFor(pipeline, third.id, ['held']);
  demand(
    held.heldBy.some(({ kind }) => kind === 'freeze'),
    'The third rotation is not held by the freeze.',
  );
  say('payments is frozen: rotation 3, although approved, issues nothing (held by freeze)');
  const revocation = await responder.post<RequestView>(`/v1/identities/${identityId}/revocation`, {
    justification: 'the account is compromised',
  });
  say('revoked by the responder at once; receipts follow when the last lease has ended');
  await waitFor(responder, revocation.id, ['completed']);
}

async function refusalOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof ApiProblem) return error.slug;
    throw error;
  }
}

function demandNoFailure(loop: LoginLoop): void {
  if (loop.failure !== undefined) throw new Error(`A login failed: ${loop.failure.message}`, { cause: loop.failure });
}

async function showReceipts({ responder }: Cast, identityId: string): Promise<void> {
  const { items } = await responder.get<{
    items: { version: number; state: string; receipt: { method: string; because: string } | null }[];
  }>(`/v1/identities/${identityId}/credentials`);
  console.log('\nReceipts');
  printTable(
    ['version', 'state', 'method', 'because'],
    items.map(({ version, state, receipt }) => [`v${version}`, state, receipt?.method ?? '', receipt?.because ?? '']),
  );
  demand(
    items.every(({ state, receipt }) => state === 'destroyed' && receipt !== null),
    'A credential has no receipt.',
  );
}

async function showTimeline(auditor: ApiClient, identityId: string): Promise<void> {
  const { items } = await auditor.get<{ items: { at: string; kind: string; actor: string }[] }>(
    `/v1/identities/${identityId}/timeline?limit=200`,
  );
  const shown = items.filter(({ kind }) => kind !== 'secret.read-allowed');
  console.log('\nTimeline');
  printTable(
    ['at', 'what', 'who'],
    shown.map(({ at, kind, actor }) => [at.slice(11, 23), kind, actor]),
  );
}

async function demo(runtime: EmbeddedRuntime, stateDir: string): Promise<void> {
  const cast = await castOf(runtime);
  const identityId = await onboard(cast);
  const applicationUrl = runtime.postgres.issuerUrl;
  const loop = startLoginLoop(cast.pipeline, identityId, applicationUrl);
  say('a client reads the secret and logs in with it, each 20 ms');
  await rotateTwiceAndRollBack(cast, identityId);
  demandNoFailure(loop);
  await loop.stop();
  demandNoFailure(loop);
  const logins = [...loop.succeeded].map(([version, count]) => `${count} with v${version}`).join(', ');
  say(`the client logged in ${logins}; no login failed`);

  const last = await cast.pipeline.get<ServedSecret>(`/v1/identities/${identityId}/secret`);
  await freezeAndRevoke(cast, identityId);
  const wasRefused = await login(applicationUrl, last).then(
    () => false,
    (error: { code?: string }) => error.code === '28P01' || error.code === '28000',
  );
  demand(wasRefused, 'The revoked credential still logs in.');
  const served = await refusalOf(cast.pipeline.get(`/v1/identities/${identityId}/secret`));
  demand(served === 'revoking', `The secret of a revoked identity was answered ${served ?? 'with a value'}.`);
  say('the last credential is refused by the database, and the store serves it no more');

  await showReceipts(cast, identityId);
  const auditor = await runtime.token('auditor');
  await showTimeline(apiClient(runtime.apiUrl, auditor), identityId);
  const proof = await proveEvidence(join(stateDir, 'evidence'), { url: runtime.apiUrl, token: auditor });
  console.log('');
  say(`evidence: ${proof.intact}`);
  say(`one byte flipped: ${proof.flipped}`);
}

const stateDir = mkdtempSync(join(tmpdir(), 'tenure-demo-'));
say('starting PostgreSQL, Temporal, the identity provider, worker and API');
const runtime = await startEmbedded({
  stateDir,
  leaseSeconds: 15,
  // A demo beside a running `tenure up` disturbs nothing.
  ports: { api: await freePort() },
  onProgress: (line) => say(coloured('dim', line)),
});
try {
  await demo(runtime, stateDir);
  say(coloured('green', 'done: every step did what it says'));
} catch (error) {
  console.error(coloured('red', error instanceof Error ? error.message : String(error)));
  console.error(error);
  process.exitCode = 1;
} finally {
  await runtime.stop();
  rmSync(stateDir, { recursive: true, force: true });
}
