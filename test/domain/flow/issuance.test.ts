import { expect, test } from 'vitest';
import { endHolds } from '../../../domain/flow/heldTime.ts';
import {
  dayMs,
  failed,
  flowOf,
  hourMs,
  issue,
  ownership,
  PlayedRequest,
  rotate,
  secondMs,
  security,
} from './playedRequest.ts';

/** Issuance and rotation, DESIGN section 5, step by step. */

const onboarding = () => new PlayedRequest(flowOf('onboarding', [ownership, issue]));
const rotation = () => new PlayedRequest(flowOf('rotation', [rotate]));
const changesOf = (played: PlayedRequest) => played.last.result.changes.map(({ change }) => change);
const order = { by: 'rui', reason: 'a test' };

/** Every registered consumer says that it uses what is served now. */
function acknowledge(played: PlayedRequest, consumers = played.facts.guardFacts.subject.consumers): void {
  played.edit((facts) => ({ ...facts, acknowledgedBy: consumers }));
  played.nudge();
}

test('begin inserts the next version with a lease twice as long as create may take', () => {
  const played = onboarding();
  expect(played.facts.identity.highestVersion).toBe(1);
  expect(played.plan.effects).toMatchObject([{ activity: 'create', input: { version: 1, timeoutMs: 30 * secondMs } }]);
  expect(played.plan.effects[0]?.input).toMatchObject({
    leaseEndsAt: new Date(played.nowMs + 60 * secondMs).toISOString(),
  });
});

test('commit takes the next epoch, activates the identity, and is followed by promote under that epoch', () => {
  const played = onboarding();
  played.answer('create-v1', 'done');
  expect(changesOf(played)).toEqual(['stage', 'make-current', 'activate-identity']);
  expect(played.facts.identity).toMatchObject({ state: 'active', epoch: 1 });
  expect(played.plan.effects).toMatchObject([{ activity: 'promote', input: { version: 1, epoch: 1 } }]);
  played.answer('promote-e1', 'done');
  expect(played.plan).toMatchObject({ state: 'completed', done: true });
});

test('a credential lives as long as its flow says, and never longer than its identity', () => {
  const played = onboarding();
  played.answer('create-v1', 'done');
  expect(Date.parse(played.facts.credentials[0]?.expiresAt ?? '') - played.nowMs).toBe(30 * dayMs);
  const short = onboarding();
  const expiresAt = new Date(short.nowMs + dayMs).toISOString();
  short.edit((facts) => ({
    ...facts,
    guardFacts: { ...facts.guardFacts, subject: { ...facts.guardFacts.subject, expiresAt } },
  }));
  short.answer('create-v1', 'done');
  expect(short.facts.credentials[0]?.expiresAt).toBe(expiresAt);
});

test.each([
  [
    'the owner has left',
    (played: PlayedRequest) => played.person('ola', { active: false }),
    'denied',
    'owner-not-valid',
  ],
  ['the identity has expired', (played: PlayedRequest) => played.passTime(365 * dayMs), 'denied', 'identity-expired'],
] as const)('a commit that finds that %s destroys the mint and denies', (_what, happen, state, reason) => {
  const played = onboarding();
  happen(played);
  played.answer('create-v1', 'done');
  expect(played.facts.request).toMatchObject({ state, reason });
  expect(played.credentials).toEqual(['v1 destroying']);
  expect(played.facts.identity.epoch).toBe(0);
  expect(played.ordered).toEqual(['destroy-v1']);
});

test.each(['revoking', 'revoked', 'rejected'] as const)('nothing begins for an identity that is %s', (state) => {
  const played = new PlayedRequest(flowOf('onboarding', [security, issue]));
  played.hold('freeze', 'ida');
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  played.edit((facts) => ({ ...facts, identity: { ...facts.identity, state }, holds: [] }));
  played.nudge();
  expect(played.facts.request).toMatchObject({ state: 'cancelled', reason: 'revoking' });
  expect(played.ordered).toEqual([]);
});

test('a create that did not end in time is tried again on the same handle, under a renewed lease', () => {
  const played = onboarding();
  played.passTime(30 * secondMs);
  played.answer('create-v1', failed('Timeout'));
  played.fireTimer();
  expect(changesOf(played)).toEqual(['renew-lease']);
  expect(played.plan.effects).toMatchObject([
    { id: 'effect:issue/2/create-v1', input: { leaseEndsAt: new Date(played.nowMs + 60 * secondMs).toISOString() } },
  ]);
});

test('a create whose workflow was lost is ordered again with a lease that outlasts it', () => {
  const played = onboarding();
  played.passTime(hourMs);
  played.nudge();
  expect(changesOf(played)).toEqual(['renew-lease']);
  expect(played.plan.effects).toMatchObject([
    { id: 'effect:issue/1/create-v1', input: { leaseEndsAt: new Date(played.nowMs + 60 * secondMs).toISOString() } },
  ]);
});

test('renewing a lease repeats the checks of begin: whoever may no longer have it gets none', () => {
  const played = onboarding();
  played.passTime(30 * secondMs);
  played.answer('create-v1', failed('Timeout'));
  played.person('ola', { active: false });
  played.fireTimer();
  expect(played.facts.request).toMatchObject({ state: 'denied', reason: 'owner-not-valid' });
  expect(played.ordered).toEqual(['destroy-v1']);
});

test.each(['HandleNotResumable', 'ProofRefused', 'StagedValueDestroyed'])(
  'after %s the handle is destroyed and the next version begins: no handle is made twice',
  (reason) => {
    const played = onboarding();
    played.answer('create-v1', failed(reason));
    expect(played.credentials).toEqual(['v1 destroying', 'v2 minting']);
    expect(played.ordered).toEqual(['destroy-v1', 'create-v2']);
    played.settle();
    expect(played.facts.request.state).toBe('completed');
  },
);

test('after three dead mints in a row the next one waits', () => {
  const played = onboarding();
  for (const version of [1, 2, 3]) played.answer(`create-v${version}`, failed('ProofRefused'));
  expect(played.credentials).toEqual(['v1 destroying', 'v2 destroying', 'v3 destroying']);
  expect(played.plan.timer?.delayMs).toBe(5 * secondMs);
  played.fireTimer();
  expect(played.ordered).toContain('create-v4');
});

test('a promote that fails is repeated for as long as it takes: what is committed is served in the end', () => {
  const played = onboarding();
  played.answer('create-v1', 'done');
  for (let failure = 0; failure < 10; failure += 1) {
    played.answer('promote-e1', failed('StoreUnavailable'));
    played.fireTimer();
  }
  expect(played.plan.state).toBe('stuck');
  played.answer('promote-e1', 'done');
  expect(played.facts.request.state).toBe('completed');
});

test('a store that already carries a higher epoch is a failure that people see, not a promote', () => {
  const played = onboarding();
  played.answer('create-v1', 'done');
  played.answer('promote-e1', { ok: true, result: { outcome: 'superseded' } });
  expect(played.state.effect.retries['promote-e1']).toMatchObject({ reason: 'EpochSuperseded' });
  expect(played.facts.credentials[0]?.promotedEpoch).toBeUndefined();
});

test.each(['pause', 'freeze'] as const)('no %s stops promote after commit', (kind) => {
  const played = onboarding();
  played.answer('create-v1', 'done');
  played.hold(kind, 'ida');
  played.nudge();
  expect(played.plan).toMatchObject({ state: 'executing' });
  expect(played.ordered).toEqual(['promote-e1']);
});

test('in a rotation the old credential retires with the commit, and is served until the new one is', () => {
  const played = rotation();
  expect(played.credentials).toEqual(['v1 current', 'v2 minting']);
  played.answer('create-v2', 'done');
  expect(changesOf(played)).toEqual(['stage', 'retire', 'make-current']);
  expect(played.credentials).toEqual(['v1 retiring', 'v2 current']);
  expect(played.ordered).toEqual(['promote-e2']);
});

test('nothing retires the old credential before the promote is recorded, not even acknowledgements', () => {
  const played = rotation();
  played.answer('create-v2', 'done');
  acknowledge(played);
  played.passTime(30 * dayMs);
  played.nudge();
  expect(played.credentials).toEqual(['v1 retiring', 'v2 current']);
  expect(played.ordered).toEqual(['promote-e2']);
});

test('the old credential is destroyed when every consumer has acknowledged this epoch', () => {
  const played = rotation();
  played.settle();
  expect(played.plan).toMatchObject({ state: 'awaiting-consumers', timer: { delayMs: dayMs } });
  acknowledge(played, []);
  expect(played.ordered).toEqual([]);
  acknowledge(played);
  expect(played.ordered).toEqual(['destroy-v1']);
  played.settle();
  expect(played.facts.request).toMatchObject({ state: 'completed' });
  expect(played.facts.request.reason).toBeUndefined();
});

test('without consumers nobody can acknowledge: the old credential lives to the end of its grace window', () => {
  const played = rotation();
  played.edit((facts) => ({
    ...facts,
    guardFacts: { ...facts.guardFacts, subject: { ...facts.guardFacts.subject, consumers: [] } },
  }));
  played.settle();
  expect(played.credentials).toEqual(['v1 retiring', 'v2 current']);
  played.fireTimer();
  expect(played.ordered).toEqual(['destroy-v1']);
});

test.each(['pause', 'freeze'] as const)(
  'a %s stops the clock of a grace window, which then has what was left',
  (kind) => {
    const played = rotation();
    played.settle();
    played.passTime(10 * hourMs);
    played.hold(kind, 'ida');
    played.nudge();
    expect(played.plan).toMatchObject({ state: 'held', effects: [] });
    expect(played.plan.timer).toBeUndefined();
    played.passTime(7 * dayMs);
    played.nudge();
    expect(played.credentials).toEqual(['v1 retiring', 'v2 current']);
    played.edit((facts) => endHolds(facts, () => true));
    played.nudge();
    expect(played.plan.timer?.delayMs).toBe(14 * hourMs);
  },
);

test('a freeze that no step saw stops the clock of a grace window all the same, and is given back once', () => {
  const played = rotation();
  played.settle();
  played.passTime(10 * hourMs);
  played.hold('freeze', 'ida');
  played.passTime(20 * hourMs);
  played.thaw();
  played.fireTimer();
  expect(played.credentials).toEqual(['v1 retiring', 'v2 current']);
  expect(played.plan.timer?.delayMs).toBe(14 * hourMs);
  played.passTime(hourMs);
  played.nudge();
  expect(played.plan.timer?.delayMs).toBe(13 * hourMs);
  played.fireTimer();
  expect(played.ordered).toEqual(['destroy-v1']);
});

test('under a freeze acknowledged consumers let the old credential retire; under a pause nothing retires', () => {
  for (const [kind, ordered] of [
    ['freeze', ['destroy-v1']],
    ['pause', []],
  ] as const) {
    const played = rotation();
    played.settle();
    played.hold(kind, 'ida');
    acknowledge(played);
    expect(played.ordered).toEqual(ordered);
  }
});

test('a rollback demotes, then re-promotes the old under the next epoch, and restarts the grace window', () => {
  const played = rotation();
  played.settle();
  played.passTime(23 * hourMs);
  expect(played.command({ do: 'rollback', ...order })).toEqual({ accepted: true });
  expect(changesOf(played)).toEqual(['retire', 'make-current']);
  expect(played.credentials).toEqual(['v1 current', 'v2 retiring']);
  expect(played.facts.identity.epoch).toBe(3);
  expect(played.plan.effects).toMatchObject([{ activity: 'promote', input: { version: 1, epoch: 3 } }]);
  played.settle();
  expect(played.plan).toMatchObject({ state: 'awaiting-consumers', timer: { delayMs: dayMs } });
  played.fireTimer();
  expect(played.ordered).toEqual(['destroy-v2']);
  played.settle();
  expect(played.facts.request).toMatchObject({ state: 'completed', reason: 'rolled-back' });
});

test('a rollback is allowed under a freeze, also before the new credential was served', () => {
  const played = rotation();
  played.answer('create-v2', 'done');
  played.hold('freeze', 'ida');
  expect(played.command({ do: 'rollback', ...order })).toEqual({ accepted: true });
  expect(played.ordered).toEqual(['promote-e3']);
});

test('a promote of before the rollback is late: its answer counts for nothing', () => {
  const played = rotation();
  played.answer('create-v2', 'done');
  const [late] = played.plan.effects;
  if (late === undefined) throw new Error('promote is ordered');
  played.command({ do: 'rollback', ...order });
  played.answerOrder(late, 'done');
  expect(changesOf(played)).toEqual([]);
  expect(played.ordered).toEqual(['promote-e3']);
});

test('a rollback is refused once the old credential is being destroyed, and once it has expired', () => {
  const destroying = rotation();
  destroying.settle();
  acknowledge(destroying);
  expect(destroying.command({ do: 'rollback', ...order })).toMatchObject({ slug: 'not-rollbackable' });
  const expired = rotation();
  expired.settle();
  expired.hold('freeze', 'ida');
  expired.passTime(365 * dayMs);
  expect(expired.command({ do: 'rollback', ...order })).toMatchObject({ slug: 'not-rollbackable' });
});

test('a destroy within the lease has its receipt, and is final only after the lease', () => {
  const played = onboarding();
  played.command({ do: 'cancel', ...order });
  played.answer('destroy-v1', 'done');
  expect(changesOf(played)).toEqual(['record-receipt']);
  expect(played.credentials).toEqual(['v1 destroying']);
  const late = onboarding();
  late.command({ do: 'cancel', ...order });
  late.passTime(hourMs);
  late.answer('destroy-v1', 'done');
  expect(changesOf(late)).toEqual(['destroyed']);
  expect(late.credentials).toEqual([]);
});

test('a destroy is repeated without end; a person who vouches ends it, and the receipt says so', () => {
  const played = onboarding();
  const resolve = () => played.command({ do: 'resolve', version: 1, by: 'lea', reason: 'the database is gone' });
  expect(resolve()).toMatchObject({ slug: 'not-stuck' });
  played.command({ do: 'cancel', ...order });
  expect(resolve()).toMatchObject({ slug: 'not-stuck' });
  for (let failure = 0; failure < 20; failure += 1) {
    played.answer('destroy-v1', failed('IssuerUnavailable'));
    expect(played.plan.done).toBe(false);
    played.fireTimer();
  }
  expect(resolve()).toEqual({ accepted: true });
  const [change] = played.last.result.changes;
  expect(change).toMatchObject({
    change: 'destroyed',
    receipt: { method: 'unverifiable', because: 'resolved by a person: the database is gone' },
  });
  expect(played.plan).toMatchObject({ state: 'cancelled', done: true });
});

test('a request destroys what it made or replaced, and never what another one left', () => {
  const played = new PlayedRequest(flowOf('rotation', [rotate]));
  const { leaseEndsAt } = played.facts.credentials[0] ?? { leaseEndsAt: '' };
  played.edit((facts) => ({
    ...facts,
    credentials: [
      ...facts.credentials,
      { version: 9, state: 'destroying', requestId: 'another', leaseEndsAt, hasReceipt: false },
    ],
  }));
  played.nudge();
  expect(played.ordered).toEqual(['create-v2']);
  played.settle();
  acknowledge(played);
  played.settle();
  expect(played.facts.request.state).toBe('completed');
  expect(played.credentials).toContain('v9 destroying');
});
