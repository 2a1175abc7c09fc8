import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { ApplicationFailure, defaultPayloadConverter, type ProtoFailure } from '@temporalio/common';
import {
  decodeOptionalFailureToOptionalError,
  loadDataConverter,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import proto from '@temporalio/proto';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Issuer } from '../../activities/issuers/issuer.ts';
import { dataConverter } from '../../configuration/dataConverter.ts';
import { payloadCodec } from '../../configuration/payloadCodec.ts';
import { nudgeSignal, taskQueue } from '../../contracts/names.ts';
import { freePort } from '../../embedded/ports.ts';
import { startTemporal, type TemporalServer } from '../../embedded/temporal.ts';
import { giveCommand } from '../../ledger/commands.ts';
import { workflowBundle } from '../../worker/bundle.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { decide, onboardingOrder, opened, openOrder } from '../setup/orders.ts';
import { encodingOf, payloadsIn, plainHistory, type History as RawHistory } from '../setup/plainHistory.ts';
import { formsFound } from './forms.ts';

const { History } = proto.temporal.api.history.v1;

/** Everything that a request can say, one word each: said in it, and nowhere to be found at Temporal. */
const canaries = {
  justification: 'canary-justification-8b1f0c',
  purpose: 'canary-purpose-52d7aa',
  comment: 'canary-comment-e0914d',
  retriedFailure: 'canary-retried-failure-77c3',
  finalFailure: 'canary-final-failure-f2a6',
  failureDetails: 'canary-failure-details-19be',
  ledgerFailure: 'canary-ledger-failure-c40d',
};
const people = ['requester@tenure.example', 'security-1@tenure.example', 'owner@tenure.example'];

let directory: string;
let temporal: TemporalServer;
let installation: TestInstallation;
/** Somebody with access to Temporal and without the key. */
let outsider: Client;
let outsiderConnection: Connection;
let stopWorker: () => Promise<void>;
const secrets = new Set<string>();

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tenure-secrecy-'));
  temporal = await startTemporal({
    binary: inject('temporalBinary'),
    port: await freePort(),
    databaseFile: join(directory, 'temporal.db'),
  });
  installation = await testInstallation({
    temporalAddress: temporal.address,
    leaseMs: 4_000,
    wrapIssuer: faulty,
    wrapLedgerActivities: (activities) => ({
      ...activities,
      async open(order) {
        if (order.justification === canaries.ledgerFailure)
          throw ApplicationFailure.nonRetryable(`the ledger says ${canaries.ledgerFailure}`, 'LedgerBroken');
        return activities.open(order);
      },
    }),
  });
  stopWorker = await installation.startWorker();
  outsiderConnection = await Connection.connect({ address: temporal.address });
  outsider = new Client({ connection: outsiderConnection, namespace: installation.namespace });
});
afterAll(async () => {
  await outsiderConnection?.close();
  await stopWorker?.();
  await installation?.close();
  await temporal?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Remembers every secret; its first creation fails in passing, its second for good. */
function faulty(issuer: Issuer): Issuer {
  let creations = 0;
  return {
    ...issuer,
    async generateSecret(order) {
      const secret = await issuer.generateSecret(order);
      secrets.add(secret);
      return secret;
    },
    async create(order) {
      creations += 1;
      if (creations === 1) throw new Error(`the issuer said ${canaries.retriedFailure}`);
      if (creations === 2)
        throw ApplicationFailure.nonRetryable(`the issuer said ${canaries.finalFailure}`, 'IssuerRefused', {
          answer: canaries.failureDetails,
        });
      return issuer.create(order);
    },
  };
}

/** A whole life: asked for, decided, issued after two failures, rotated, revoked; and an ask that the ledger refuses. */
async function wholeLife(): Promise<string> {
  const { justification, purpose, comment, ledgerFailure } = canaries;
  const order = onboardingOrder({ environment: 'production', purpose }, { justification });
  const { requestId } = await opened(installation, order);
  await decide(installation, { requestId, by: 'security-1@tenure.example', change: { comment } });
  await decide(installation, { requestId, by: 'security-2@tenure.example', change: { comment } });
  await untilState(requestId, 'completed');
  const { identityId } = order;
  const refused = installation.gateway.open(openOrder('rotation', { identityId, justification: ledgerFailure }));
  await expect(refused).rejects.toMatchObject({ cause: { message: expect.stringContaining(ledgerFailure) } });
  return identityId;
}

async function untilState(requestId: string, state: string): Promise<void> {
  await eventually(async () => {
    const request = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
    expect(request.state).toBe(state);
  }, 30_000);
}

async function histories(): Promise<{ workflowId: string; history: RawHistory }[]> {
  const { client } = installation;
  const found = [];
  for await (const { workflowId, runId } of client.workflow.list())
    found.push({ workflowId, history: await client.workflow.getHandle(workflowId, runId).fetchHistory() });
  return found;
}

const bytesOf = (history: RawHistory) => Buffer.from(History.encode(history).finish());

function databaseBytes(): Buffer {
  const files = readdirSync(directory).map((file) => readFileSync(join(directory, file)));
  return Buffer.concat(files);
}

test('nothing that a request says, no secret and no failure is to be found at Temporal', async () => {
  const identityId = await wholeLife();
  const found = await histories();
  const codec = payloadCodec(installation.keys.payload);
  const plain = await Promise.all(
    found.map(async ({ workflowId, history }) => bytesOf(await plainHistory(history, codec, workflowId))),
  );
  const hidden = Buffer.concat(plain);
  const shown = {
    history: Buffer.concat(found.map(({ history }) => bytesOf(history))),
    database: databaseBytes(),
  };

  expect(secrets.size).toBeGreaterThan(0);
  for (const [name, canary] of Object.entries(canaries))
    expect(formsFound(hidden, canary), `${name} is in the histories, for whoever has the key`).toContain('plain');
  for (const secret of secrets) expect(formsFound(hidden, secret), 'a secret, even for them').toEqual([]);

  for (const [where, bytes] of Object.entries(shown)) {
    expect(formsFound(bytes, identityId), `the search works in the ${where}`).toContain('plain');
    for (const canary of [...Object.values(canaries), ...people, ...secrets])
      expect(formsFound(bytes, canary), `${canary} in the ${where}`).toEqual([]);
  }
});

/** Ends of paths of what Temporal's core notes about a local activity: its number, type and times. */
const coreNote = /\.markerRecordedEventAttributes\.details\.data\.payloads\.\d+$/;

test('every payload is encrypted, but for no value at all and what Temporal notes of its own', async () => {
  for (const { workflowId, history } of await histories()) {
    for (const { path, payload } of payloadsIn(history)) {
      if (coreNote.test(path)) {
        const note: unknown = JSON.parse(Buffer.from(payload.data ?? []).toString());
        expect(Object.keys(note ?? {}).sort()).toEqual(notedByCore);
      } else expect(['binary/encrypted', 'binary/null'], `${workflowId}${path}`).toContain(encodingOf(payload));
    }
  }
});
const notedByCore = [
  'activity_id',
  'activity_type',
  'attempt',
  'backoff',
  'complete_time',
  'original_schedule_time',
  'seq',
];

test('what the Temporal UI shows of a waiting request is encrypted too, and names nobody', async () => {
  const order = onboardingOrder({ environment: 'production' });
  const { requestId, plan } = await opened(installation, order);
  const workflowId = `onboarding/${order.identityId}`;
  const handle = outsider.workflow.getHandle(workflowId);
  const raw = await outsider.workflowService.queryWorkflow({
    namespace: installation.namespace,
    execution: { workflowId },
    query: { queryType: '__temporal_workflow_metadata' },
  });
  expect(payloadsIn(raw.queryResult).map(({ payload }) => encodingOf(payload))).toEqual(['binary/encrypted']);
  const { currentDetails } = await installation.client.workflow
    .getHandle(workflowId)
    .query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(currentDetails).toBe(plan.summary);

  const history = await eventually(async () => {
    const fetched = await handle.fetchHistory();
    expect(fetched.events?.some(({ timerStartedEventAttributes }) => timerStartedEventAttributes)).toBe(true);
    return fetched;
  });
  const plain = await plainHistory(history, payloadCodec(installation.keys.payload), workflowId);
  const summaries = payloadsIn(plain)
    .filter(({ path }) => path.includes('.userMetadata.'))
    .map(({ payload }) => String(defaultPayloadConverter.fromPayload(payload)));
  expect(summaries.length).toBeGreaterThan(0);
  for (const text of [currentDetails, ...summaries]) expect(text).not.toMatch(/@|canary|requester|owner/);
  await giveCommand(installation.ledger, {
    requestId,
    commandId: 'end',
    command: { do: 'cancel', by: 'requester@tenure.example', reason: 'the test ends' },
  });
});

test('who can write to Temporal but has no key can neither open a request nor drive one', async () => {
  const order = onboardingOrder();
  const workflowId = `onboarding/${order.identityId}`;
  await outsider.workflow.signalWithStart('onboarding', {
    workflowId,
    taskQueue,
    args: [],
    signal: nudgeSignal,
    signalArgs: [order.requestId],
  });
  const handle = outsider.workflow.getHandle(workflowId);
  const failed = await eventually(async () => {
    const { events } = await handle.fetchHistory();
    const found = events?.find(({ workflowTaskFailedEventAttributes }) => workflowTaskFailedEventAttributes);
    if (found?.workflowTaskFailedEventAttributes === undefined) throw new Error('the run is not refused yet');
    return found.workflowTaskFailedEventAttributes;
  });
  const failure = await failureOf(failed?.failure);
  expect(failure.message).toContain(`workflow ${workflowId} is not encrypted, and refused`);
  expect(await installation.ledger.prisma.request.findUnique({ where: { id: order.requestId } })).toBeNull();
  // A forged run is in nobody's way: terminated, and the honest order goes through.
  await handle.terminate('not ours');
  const { requestId } = await opened(installation, order);
  await untilState(requestId, 'completed');
});

/** What a workflow task failed with belongs to no workflow's payloads, and is encrypted all the same. */
async function failureOf(failure: ProtoFailure | null | undefined): Promise<Error> {
  const converter = loadDataConverter(dataConverter(installation.keys.payload));
  const error = await decodeOptionalFailureToOptionalError(converter, failure);
  if (error === undefined) throw new Error('the workflow task failed without a reason');
  return error;
}

test('a history replays with its key as it is, and decoded without any', async () => {
  const bundle = await workflowBundle();
  const codec = payloadCodec(installation.keys.payload);
  for (const { workflowId, history } of (await histories()).filter(({ history: { events } }) => isWhole(events))) {
    const encrypted = { workflowBundle: bundle, dataConverter: dataConverter(installation.keys.payload) };
    await Worker.runReplayHistory(encrypted, history, workflowId);
    await Worker.runReplayHistory({ workflowBundle: bundle }, await plainHistory(history, codec, workflowId));
    const elsewhere = Worker.runReplayHistory(encrypted, history, `${workflowId}x`);
    await expect(elsewhere).rejects.toThrow();
  }
});

const isWhole = (events: RawHistory['events']) =>
  events?.some(({ workflowExecutionCompletedEventAttributes }) => workflowExecutionCompletedEventAttributes) === true;
