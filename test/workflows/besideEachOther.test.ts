import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { giveCommand } from '../../ledger/commands.ts';
import { plainFlows } from '../protocols/flows.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { onboardingOrder, opened, openOrder } from '../setup/orders.ts';

const faults = interruptions();
let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  const { wrapIssuer, wrapStore } = faults;
  installation = await testInstallation({ flows: plainFlows, leaseMs: 4_000, wrapIssuer, wrapStore });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

const stateOf = async (id: string) => {
  const { state, owesDestroys } = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id } });
  return owesDestroys ? `${state}, owes destroys` : state;
};

test('a rotation issues while a cancelled one before it still owes a destroy that the issuer refuses', async () => {
  const onboarding = onboardingOrder();
  const { identityId } = onboarding;
  await opened(installation, onboarding);
  await eventually(async () => expect(await stateOf(onboarding.requestId)).toBe('completed'));

  const mend = faults.fail('before destroy', identityId, new Error('the issuer drops nothing today'));
  const creating = faults.hold('before create', identityId);
  const first = openOrder('rotation', { identityId });
  await opened(installation, first);
  await creating.reached;
  const command = { do: 'cancel', by: first.principal, reason: 'the wrong one' } as const;
  await giveCommand(installation.ledger, { requestId: first.requestId, commandId: randomUUID(), command });
  await creating.release();
  await eventually(async () => expect(await stateOf(first.requestId)).toBe('cancelled, owes destroys'));

  const second = openOrder('rotation', { identityId });
  await opened(installation, second);
  await eventually(async () => expect(await stateOf(second.requestId)).toBe('awaiting-consumers'));
  const live = await installation.store.read({ identityId });
  if (live?.kind !== 'value') throw new Error('nothing is served');
  expect(await installation.issuer.prove({ handle: `${identityId}-v${live.version}`, secret: live.value })).toBe(
    'accepted',
  );
  expect(await stateOf(first.requestId)).toBe('cancelled, owes destroys');

  mend();
  await eventually(async () => expect(await stateOf(first.requestId)).toBe('cancelled'), 30_000);
  const handles = (await installation.issuer.list({ identityId })).map(({ handle }) => handle).sort();
  expect(handles).toEqual([`${identityId}-v1`, `${identityId}-v${live.version}`]);
});
