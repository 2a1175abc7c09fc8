import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { decide, onboardingOrder, opened } from '../setup/orders.ts';

/** Proofs through a workflow and its worker; what they are held to in each detail is in test/api and test/domain. */

const flow = `
apiVersion: tenure/v1
kind: Flow
metadata: {name: onboarding-proven, owner: tests, description: "the owner proves it, then it cools off"}
on: onboarding
stages:
  - {id: proof, stepUp: {method: session, by: owner, maxAge: PT5M}}
  - {id: cool-off, wait: {for: PT0.5S}}
  - {id: effect, effect: issue}
`;

let installation: TestInstallation;
let hand: ByHand;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: [flow] });
  hand = byHand(installation);
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();

test('nothing is issued before the one who is asked has proved it afresh, and the wait after it is over', async () => {
  const { requestId, identityId } = await opened(installation, onboardingOrder());
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-proof' });
  const proof = (by: string, authenticatedAt?: string) =>
    decide(installation, {
      requestId,
      by: `${by}@tenure.example`,
      verdict: 'confirm',
      change: authenticatedAt === undefined ? {} : { authenticatedAt },
    });
  const refused = [
    await proof('requester', minutesAgo(1)),
    await proof('owner', minutesAgo(6)),
    await proof('owner'),
    await decide(installation, { requestId, by: 'owner@tenure.example' }),
  ];
  expect(refused.map(({ verdict }) => verdict.accepted)).toEqual([false, false, false, false]);
  expect(await hand.credentialsOf(identityId)).toBe('');

  expect((await proof('owner', minutesAgo(1))).verdict).toEqual({ accepted: true });
  await eventually(async () => expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' }));
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
  const { requestEvent, credential } = installation.ledger.prisma;
  const proven = await requestEvent.findFirstOrThrow({
    where: { requestId, kind: 'decision', verdict: { equals: { accepted: true } } },
  });
  const issued = await credential.findFirstOrThrow({ where: { requestId } });
  expect(issued.createdAt.getTime()).toBeGreaterThanOrEqual(proven.at.getTime() + 500);
});
