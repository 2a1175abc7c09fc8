import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { parseRecords } from '../../domain/flow/recordedRequest.ts';
import { acknowledge } from '../../ledger/acknowledge.ts';
import { shippedDirectory } from '../domain/flow/shippedFlowFiles.ts';
import { byHand } from '../setup/byHand.ts';
import { flowsProcess } from '../setup/flowsProcess.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';

/**
 * `tenure flows record` on the ledger of an installation that onboarded, denied and rotated under the shipped flows, then
 * `tenure flows simulate` on what it wrote: both as the commands that a security engineer types.
 */

const at = (name: string) => `${name}@tenure.example`;
const production = 'onboarding-production-service-account';
const requests: Record<'onboarded' | 'denied' | 'rotated' | 'unanswered', string> = {
  onboarded: '',
  denied: '',
  rotated: '',
  unanswered: '',
};
let installation: TestInstallation;
let home: string;

beforeAll(async () => {
  installation = await testInstallation({ leaseMs: 60_000 });
  const hand = byHand(installation);
  const asked = () => hand.open(onboardingOrder({ environment: 'production' }));

  const { requestId, identityId } = await asked();
  await hand.decide({ requestId, by: at('security-1') });
  await hand.decide({ requestId, by: at('security-2') });
  await hand.carryOutAll(requestId);
  requests.onboarded = requestId;

  const denied = await asked();
  await hand.decide({ requestId: denied.requestId, by: at('security-1') });
  await hand.decide({ requestId: denied.requestId, by: at('security-2'), verdict: 'deny' });
  requests.denied = denied.requestId;

  requests.unanswered = (await asked()).requestId;

  const rotation = await hand.open(openOrder('rotation', { identityId }));
  await hand.decide({ requestId: rotation.requestId, by: at('security-1') });
  await hand.carryOutAll(rotation.requestId);
  await acknowledge(installation.ledger, { identityId, epoch: 2, consumer: 'pipeline:deploy' });
  await hand.carryOutAll(rotation.requestId);
  for (const [requestId, state] of [
    [requests.onboarded, 'completed'],
    [requests.denied, 'denied'],
    [requests.unanswered, 'awaiting-approval'],
    [rotation.requestId, 'completed'],
  ] as const)
    expect(await hand.stateOf(requestId)).toMatchObject({ state });
  requests.rotated = rotation.requestId;

  home = mkdtempSync(join(tmpdir(), 'tenure-record-'));
  writeFileSync(join(home, 'tenure.yaml'), 'keys: {directory: keys}\noidc: []\n');
}, 60_000);
afterAll(async () => {
  rmSync(home, { recursive: true });
  await installation.close();
});

const tenure = (...args: string[]) => flowsProcess({ cwd: home, databaseUrl: installation.databaseUrl }, [...args]);

const Report = z.object({
  played: z.int(),
  others: z.int(),
  changed: z.array(z.looseObject({ id: z.string(), why: z.array(z.string()) })),
  unlike: z.array(z.unknown()),
});

async function simulated(flow: string, change: (source: string) => string, file: string) {
  const shipped = join(shippedDirectory, `${flow}.flow.yaml`);
  const changed = join(home, `changed-${flow}.flow.yaml`);
  writeFileSync(changed, change(readFileSync(shipped, 'utf8')));
  const { output, error, exitCode } = await tenure('simulate', shipped, changed, '--requests', file, '--json');
  if (output === '') throw new Error(error);
  return { exitCode, ...Report.parse(JSON.parse(output)) };
}

const unchanged = (source: string) => source;

test('what the ledger recorded plays to the same end under the same flow, and a changed flow changes what it should', async () => {
  const recorded = await tenure('record', '--config', join(home, 'tenure.yaml'));
  expect({ ...recorded, output: '' }).toEqual({ output: '', error: '', exitCode: 0 });
  const parsed = parseRecords(recorded.output);
  if (!parsed.ok) throw new Error(parsed.mistakes.map(({ line, reason }) => `${line}: ${reason}`).join('\n'));
  expect(parsed.requests.map(({ id }) => id).sort()).toEqual(Object.values(requests).sort());
  const file = join(home, 'requests.jsonl');
  writeFileSync(file, recorded.output);

  expect(await simulated(production, unchanged, file)).toEqual({
    exitCode: 0,
    played: 3,
    others: 1,
    changed: [],
    unlike: [],
  });
  expect(await simulated('rotation-default', unchanged, file)).toMatchObject({
    exitCode: 0,
    played: 1,
    changed: [],
    unlike: [],
  });

  // Stricter: three people. Who had two has not enough; what nobody agreed to waits as before, or was denied anyway.
  const stricter = await simulated(production, (source) => withoutTests(source).replace('count: 2', 'count: 3'), file);
  expect(stricter).toMatchObject({ exitCode: 1, changed: [{ id: requests.onboarded }] });
  expect(stricter.changed[0]?.why[0]).toMatch(/^completed before, waiting at \S+ now$/);

  // Weaker: one. The denial comes too late to be asked for.
  const weaker = await simulated(production, (source) => withoutTests(source).replace('count: 2', 'count: 1'), file);
  expect(weaker.changed.map(({ id }) => id).sort()).toEqual([requests.onboarded, requests.denied].sort());

  // Another person must agree to the rotation, and nobody did.
  const asking = await simulated(
    'rotation-default',
    (source) => withoutTests(source).replace('count: 1', 'count: 2'),
    file,
  );
  expect(asking).toMatchObject({ exitCode: 1, changed: [{ id: requests.rotated }] });
});

test('only the requests of the flow that was named are recorded', async () => {
  const { output, exitCode } = await tenure(
    'record',
    '--flow',
    'rotation-default',
    '--config',
    join(home, 'tenure.yaml'),
  );
  expect(exitCode).toBe(0);
  const parsed = parseRecords(output);
  expect(parsed).toMatchObject({ ok: true, requests: [{ id: requests.rotated }] });
});

function withoutTests(source: string): string {
  return source.replace(/^tests:[\s\S]*/m, '');
}
