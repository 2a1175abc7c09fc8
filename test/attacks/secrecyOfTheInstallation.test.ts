import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exportEvidence } from '../../cli/evidenceExport.ts';
import { type ApiClient, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import type { ServedSecret } from '../../embedded/demo/loginLoop.ts';
import { freePort } from '../../embedded/ports.ts';
import { type Collector, startCollector } from '../observability/collector.ts';
import { eventually } from '../setup/eventually.ts';
import { accountRequest, openStage, type StoryStage } from '../stories/embedded.ts';
import { formsFound } from './forms.ts';

/** Words of people: they belong in the ledger, and nowhere in Temporal or in Tenure's own logs. */
const words = {
  justification: 'canary-justification-41c2d0',
  rotation: 'canary-rotation-9e77ab',
  comment: 'canary-comment-03fd5b',
  pause: 'canary-pause-d1c9e4',
  resume: 'canary-resume-77b1e9',
  revocation: 'canary-revocation-6a20f8',
};

let stage: StoryStage;
let exported: string;
let collector: Collector;
let metricsPort: number;
beforeAll(async () => {
  exported = mkdtempSync(join(tmpdir(), 'tenure-export-'));
  collector = await startCollector();
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.endpoint;
  stage = await openStage();
  await watchEverything();
}, 180_000);
afterAll(async () => {
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  await stage?.close();
  await collector?.close();
  rmSync(exported, { recursive: true, force: true });
});

/**
 * Every statement in PostgreSQL's log, as an administrator might switch it on looking for something else; values of
 * parameters included, which is its default. And metrics and traces on.
 */
async function watchEverything(): Promise<void> {
  const { postgres, service, configurationFile } = stage.runtime;
  await query(postgres.superuserUrl(), "ALTER DATABASE tenure SET log_statement = 'all'");
  await query(postgres.superuserUrl(), "ALTER DATABASE app SET log_statement = 'all'");
  metricsPort = await freePort();
  appendFileSync(configurationFile, `\nmetrics: {api: '127.0.0.1:${metricsPort}'}\n`);
  for (const name of ['API', 'worker']) await service(name).stop();
  for (const name of ['worker', 'API']) await service(name).start();
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

interface Life {
  readonly identityId: string;
  /** What opens something: every value that was served, and every token that was shown. */
  readonly secrets: readonly string[];
}

/** Paused, onboarded, rotated and revoked, over HTTP alone. */
async function wholeLife(): Promise<Life> {
  const { runtime } = stage;
  const [requester, responder, consumer] = [
    await stage.as('requester'),
    await stage.as('responder'),
    await stage.asPipeline('deploy'),
  ];
  const onboarding = await requester.post<RequestView>(
    '/v1/identities',
    accountRequest({ justification: words.justification }),
  );
  await requester.post(`/v1/requests/${onboarding.id}/pause`, { reason: words.pause });
  await requester.post(`/v1/requests/${onboarding.id}/resume`, { reason: words.resume });
  await approveByTwo(onboarding.id);
  await waitFor(requester, onboarding.id, ['completed']);
  const { identityId } = onboarding;
  const first = await consumer.get<ServedSecret>(`/v1/identities/${identityId}/secret`);

  const rotation = await consumer.post<RequestView>(`/v1/identities/${identityId}/rotations`, {
    justification: words.rotation,
  });
  await approveByTwo(rotation.id, 1);
  await waitFor(consumer, rotation.id, ['awaiting-consumers']);
  const second = await consumer.get<ServedSecret>(`/v1/identities/${identityId}/secret`);
  await consumer.post(`/v1/identities/${identityId}/acknowledgements`, { epoch: second.epoch });
  await waitFor(consumer, rotation.id, ['completed']);

  const revocation = await responder.post<RequestView>(`/v1/identities/${identityId}/revocation`, {
    justification: words.revocation,
  });
  await waitFor(responder, revocation.id, ['completed']);
  const tokens = [await runtime.token('requester'), await runtime.token('responder')];
  return { identityId, secrets: [first.value, second.value, ...tokens.map(signatureOf)] };
}

/** A token's header and claims repeat from token to token; its last part is what nobody else can make. */
const signatureOf = (token: string) => token.slice(token.lastIndexOf('.') + 1);

async function approveByTwo(requestId: string, count = 2): Promise<void> {
  for (const name of ['security-1', 'security-2'].slice(0, count)) await approve(await stage.as(name), requestId);
}

async function approve(client: ApiClient, requestId: string): Promise<void> {
  const { revision, digest } = await client.get<RequestView>(`/v1/requests/${requestId}`);
  const decision = { verdict: 'approve', revision, digest, comment: words.comment };
  await client.post(`/v1/requests/${requestId}/decisions`, decision);
}

const filesIn = (directory: string): Buffer =>
  Buffer.concat(
    readdirSync(directory, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name))),
  );

async function everyRowOfTheLedger(): Promise<Buffer> {
  const url = stage.runtime.postgres.superuserUrl('tenure');
  const tables = await query(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
  const rows = [];
  for (const { tablename } of tables)
    rows.push(...(await query(url, `SELECT row_to_json(t)::text AS row FROM public."${tablename}" t`)));
  return Buffer.from(rows.map(({ row }) => row).join('\n'));
}

async function everythingKept({ identityId }: Life): Promise<Record<string, Buffer>> {
  const state = dirname(stage.runtime.configurationFile);
  const token = await stage.runtime.token('auditor');
  const directory = join(exported, 'evidence');
  // Sealed within a second: the export ends with the newest checkpoint.
  await eventually(async () => {
    rmSync(directory, { recursive: true, force: true });
    await exportEvidence({ url: stage.runtime.apiUrl, token, directory });
    expect(filesIn(directory).includes('identity.revoked')).toBe(true);
  });
  const auditor = await stage.as('auditor');
  const log = (name: string) => readFileSync(join(state, 'logs', `${name}.log`));
  return {
    'the ledger': await everyRowOfTheLedger(),
    "PostgreSQL's log": log('postgresql'),
    "the worker's log": log('worker'),
    "the API's log": log('api'),
    "Temporal's log": log('temporal'),
    "Temporal's database": filesIn(join(state, 'temporal')),
    'the exported evidence': filesIn(directory),
    metrics: Buffer.from(await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()),
    traces: Buffer.from(collector.sent()),
    'what the API shows': Buffer.from(
      JSON.stringify([
        await auditor.get(`/v1/identities/${identityId}`),
        await auditor.get(`/v1/identities/${identityId}/credentials`),
        await auditor.get(`/v1/identities/${identityId}/timeline`),
        await auditor.get('/v1/requests'),
      ]),
    ),
  };
}

const speakOfTheIdentity = [
  'the ledger',
  "PostgreSQL's log",
  "the API's log",
  "Temporal's database",
  'the exported evidence',
  'traces',
  'what the API shows',
];
const takeNoWords = ["the worker's log", "the API's log", "Temporal's log", "Temporal's database", 'metrics', 'traces'];
const nameNobody = ["Temporal's log", "Temporal's database", 'the exported evidence', 'metrics', 'traces'];

test('a secret is in no log, table, history, trace, metric, evidence or answer; words stay in the ledger', {
  timeout: 180_000,
}, async () => {
  const life = await wholeLife();
  const kept = await everythingKept(life);
  const found = (where: string, text: string) => formsFound(kept[where] ?? Buffer.alloc(0), text);

  for (const where of speakOfTheIdentity)
    expect(found(where, life.identityId), `the search in ${where}`).not.toEqual([]);
  for (const word of Object.values(words)) {
    expect(found('the ledger', word), `${word} in the ledger`).toContain('plain');
    expect(found("PostgreSQL's log", word), 'every statement is logged').toContain('plain');
    for (const where of takeNoWords) expect(found(where, word), `${word} in ${where}`).toEqual([]);
  }
  for (const where of nameNobody)
    for (const person of ['requester@tenure.example', 'security-1@tenure.example', 'responder@tenure.example'])
      expect(found(where, person), `${person} in ${where}`).toEqual([]);

  expect(life.secrets).toHaveLength(4);
  for (const where of Object.keys(kept))
    for (const secret of [...life.secrets, ...ownSecrets()])
      expect(found(where, secret), `a secret in ${where}`).toEqual([]);
});

/** Keys of the installation and its passwords at PostgreSQL, as their files hold them. */
function ownSecrets(): string[] {
  const state = dirname(stage.runtime.configurationFile);
  const files = [
    ...readdirSync(join(state, 'keys'))
      .filter((file) => file.endsWith('.key'))
      .map((file) => join('keys', file)),
    join('databases', 'tenure-password'),
    join('databases', 'tenure_issuer-password'),
    'sealed-store.key',
  ];
  return files.map((file) => readFileSync(join(state, file), 'utf8').trim());
}
