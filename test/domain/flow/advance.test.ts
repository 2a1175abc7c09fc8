import { expect, test } from 'vitest';
import type { Command } from '../../../domain/flow/events.ts';
import type { Stage } from '../../../domain/flow/language.ts';
import { finalRequestStates, isFinalRequestState, type RequestState } from '../../../domain/states.ts';
import { dayMs, failed, flowOf, issue, ownership, PlayedRequest, revoke, rotate, security } from './playedRequest.ts';

/** Each state of a request, how it is reached and left. */

const asked = () => new PlayedRequest(flowOf('onboarding', [ownership, security, issue]));
const begun = () => new PlayedRequest(flowOf('onboarding', [issue]));
const rotated = () => {
  const played = new PlayedRequest(flowOf('rotation', [rotate]));
  played.settle();
  return played;
};
const command = (played: PlayedRequest, name: 'pause' | 'cancel' | 'rollback' | 'retry', by = 'rui') =>
  played.command({ do: name, by, reason: 'a test' });
const resume = (played: PlayedRequest, by: string, all = false) =>
  played.command({ do: 'resume', by, all, reason: 'a test' });
const approve = (played: PlayedRequest) => {
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
};

/** Where each story leaves the request. */
const stories: readonly [string, () => PlayedRequest, RequestState, string?][] = [
  ['a guard holds and approvals are asked', asked, 'awaiting-approval'],
  ['an amendment waits to be judged with fresh facts', () => played(asked(), amended), 'evaluating'],
  ['the last approval arrives', () => played(asked(), approve), 'executing'],
  ['nothing stands before the effect', begun, 'executing'],
  ['every effect succeeded', () => played(begun(), (request) => request.settle()), 'completed'],
  ['a guard does not hold', () => deniedAt('!owner.active'), 'denied', 'owner-not-valid'],
  ['a guard errors', () => deniedAt('subject.labels.absent == "x"'), 'denied', 'guard-error'],
  ['a condition errors', undecidable, 'denied', 'guard-error'],
  [
    'an approver denies',
    () => played(asked(), (request) => request.decide('sam', 'deny')),
    'denied',
    'denied-by-approver',
  ],
  [
    'people take longer than the request may wait',
    () => played(held('freeze'), (request) => request.fireTimer()),
    'expired',
    'request-timeout',
  ],
  ['it is cancelled', () => played(asked(), (request) => command(request, 'cancel')), 'cancelled', 'a test'],
  ['it is paused', () => held('pause'), 'held'],
  ['a freeze holds what would begin', () => held('freeze'), 'held'],
  ['after its effect a notice cannot be decided on', () => played(unsureWhomToTell(), settled), 'completed'],
  ['a step failed three times', () => played(begun(), failThrice), 'stuck'],
  ['a rotation waits for consumers', rotated, 'awaiting-consumers'],
  [
    'a rotation was rolled back and its grace window passed',
    () => played(rotated(), rollBack),
    'completed',
    'rolled-back',
  ],
];

function played(request: PlayedRequest, ...doings: ((request: PlayedRequest) => unknown)[]): PlayedRequest {
  for (const doing of doings) doing(request);
  return request;
}

function deniedAt(that: string): PlayedRequest {
  const stage: Stage = { id: 'ownership', verify: { that, otherwise: 'owner-not-valid' } };
  return new PlayedRequest(flowOf('onboarding', [stage, issue]));
}

/** Nobody can tell whether the approval is needed. */
function undecidable(): PlayedRequest {
  return new PlayedRequest(flowOf('onboarding', [{ ...security, when: 'subject.labels.absent == "x"' }, issue]));
}

/** It has its credential: nothing is denied for want of a notice. */
function unsureWhomToTell(): PlayedRequest {
  const tell: Stage = { id: 'tell', when: 'subject.labels.absent == "x"', notify: { to: ['owner'] } };
  return new PlayedRequest(flowOf('onboarding', [issue, tell]));
}

const settled = (request: PlayedRequest) => request.settle();

function held(by: 'pause' | 'freeze'): PlayedRequest {
  const request = asked();
  if (by === 'pause') command(request, 'pause');
  else request.hold('freeze', 'ida');
  approve(request);
  return request;
}

function amended(request: PlayedRequest): void {
  request.command({ do: 'amend', by: 'rui', reason: 'a test', subject: { purpose: 'another' } });
}

function failThrice(request: PlayedRequest): void {
  for (let failure = 0; failure < 3; failure += 1) {
    request.answer('create-v1', failed('IssuerUnavailable'));
    if (failure < 2) request.fireTimer();
  }
}

function rollBack(request: PlayedRequest): void {
  command(request, 'rollback');
  request.settle();
  request.fireTimer();
  request.settle();
}

test.each(stories)('when %s, the request is as it says', (_story, tell, state, reason) => {
  const { request } = tell().facts;
  expect(request.state).toBe(state);
  if (reason !== undefined) expect(request.reason).toBe(reason);
});

test('the stories above reach every state that a request of this kind has', () => {
  const told = new Set(stories.map(([, , state]) => state));
  const elsewhere = ['awaiting-proof', 'failed'];
  expect([...told, ...elsewhere].sort()).toEqual([
    'awaiting-approval',
    'awaiting-consumers',
    'awaiting-proof',
    'cancelled',
    'completed',
    'denied',
    'evaluating',
    'executing',
    'expired',
    'failed',
    'held',
    'stuck',
  ]);
});

const finished = stories.filter(([, , state]) => isFinalRequestState(state));

test.each(finished)('when %s, nothing moves the request any more', (_story, tell, state) => {
  const request = tell();
  const commands: readonly Command[] = [
    { do: 'pause', by: 'rui', reason: '' },
    { do: 'resume', by: 'rui', reason: '', all: true },
    { do: 'cancel', by: 'rui', reason: '' },
    { do: 'rollback', by: 'rui', reason: '' },
    { do: 'amend', by: 'rui', reason: '', subject: {} },
  ];
  for (const each of commands) expect(request.command(each)).toMatchObject({ slug: 'request-closed' });
  expect(request.decide('sid', 'approve')).toMatchObject({ slug: 'request-closed' });
  request.passTime(30 * dayMs);
  request.nudge();
  expect(request.facts.request.state).toBe(state);
  expect(request.plan.done).toBe(true);
});

test('the stories end in every final state but failed, which no flow of the main job reaches', () => {
  const reached = new Set(finished.map(([, , state]) => state));
  expect(finalRequestStates.filter((state) => !reached.has(state))).toEqual(['failed']);
});

test('an onboarding that ends without a credential leaves its identity rejected', () => {
  for (const [, tell, state] of finished) {
    const { request, identity } = tell().facts;
    if (request.kind === 'onboarding') expect(identity.state).toBe(state === 'completed' ? 'active' : 'rejected');
  }
});

test('a pause is lifted by whoever paused, a second one holds on, and a responder may lift all', () => {
  const request = held('pause');
  command(request, 'pause', 'lea');
  expect(resume(request, 'sam')).toMatchObject({ slug: 'not-paused' });
  expect(resume(request, 'rui')).toEqual({ accepted: true });
  expect(request.plan.state).toBe('held');
  expect(resume(request, 'sid', true)).toEqual({ accepted: true });
  expect(request.ordered).toEqual(['create-v1']);
});

test('pausing twice is one pause', () => {
  const request = asked();
  command(request, 'pause');
  expect(command(request, 'pause')).toEqual({ accepted: true });
  resume(request, 'rui');
  expect(request.plan.state).toBe('awaiting-approval');
});

test('a freeze is not a pause: no command to the request lifts it', () => {
  const request = held('freeze');
  expect(resume(request, 'rui', true)).toMatchObject({ slug: 'not-paused' });
  expect(request.plan.state).toBe('held');
});

test.each(['pause', 'freeze'] as const)(
  'a %s destroys an uncommitted mint, and the next version begins after it',
  (kind) => {
    const request = begun();
    if (kind === 'pause') command(request, 'pause');
    else {
      request.hold('freeze', 'ida');
      request.nudge();
    }
    expect(request.credentials).toEqual(['v1 destroying']);
    request.settle();
    expect(request.plan).toMatchObject({ state: 'held', effects: [] });
    if (kind === 'pause') resume(request, 'rui');
    else request.thaw();
    request.nudge();
    expect(request.ordered).toEqual(['create-v2']);
  },
);

test('an answer that finds a hold commits nothing: the mint is destroyed', () => {
  const request = begun();
  request.hold('freeze', 'ida');
  request.answer('create-v1', 'done');
  expect(request.credentials).toEqual(['v1 destroying']);
  expect(request.facts.identity).toMatchObject({ state: 'requested', epoch: 0 });
});

test('a pause at a notice holds it back, however often the request is nudged; then it is sent once', () => {
  const request = new PlayedRequest(flowOf('onboarding', [{ id: 'tell', notify: { to: ['owner'] } }, security, issue]));
  command(request, 'pause');
  request.command({ do: 'amend', by: 'rui', reason: 'again', subject: { purpose: 'another' } });
  for (let time = 0; time < 3; time += 1) request.nudge();
  resume(request, 'rui');
  request.nudge();
  const notices = request.steps.flatMap(({ result }) => result.changes.filter(({ change }) => change === 'notify'));
  // One for each revision.
  expect(notices).toHaveLength(2);
});

test('an escalation or deadline that passed without effect is not armed again', () => {
  const request = new PlayedRequest(flowOf('onboarding', [{ ...security, when: 'size(subject.scopes) > 1' }, issue]));
  command(request, 'pause');
  request.command({ do: 'amend', by: 'rui', reason: 'less', subject: { scopes: ['a'] } });
  request.nudge();
  for (let fired = 0; fired < 5; fired += 1) request.fireTimer();
  expect(request.facts.request).toMatchObject({ state: 'expired', reason: 'request-timeout' });
});

test('cancel is taken at every step before the commit, and destroys what was made', () => {
  const before: readonly (() => PlayedRequest)[] = [
    asked,
    begun,
    () => held('pause'),
    () => held('freeze'),
    () => played(begun(), failThrice),
  ];
  for (const tell of before) {
    const request = tell();
    expect(command(request, 'cancel')).toEqual({ accepted: true });
    request.settle();
    expect(request.facts.request.state).toBe('cancelled');
    expect(request.plan.done).toBe(true);
    expect(request.facts.credentials.every(({ state, hasReceipt }) => state === 'destroying' && hasReceipt)).toBe(true);
  }
});

test('after the commit a rotation is rolled back, never cancelled', () => {
  expect(command(rotated(), 'cancel')).toMatchObject({ slug: 'committed' });
  const uncommitted = new PlayedRequest(flowOf('rotation', [rotate]));
  expect(command(uncommitted, 'rollback')).toMatchObject({ slug: 'not-rollbackable' });
});

test('amending is for an onboarding whose effect has not begun', () => {
  const amend = (request: PlayedRequest) =>
    request.command({ do: 'amend', by: 'rui', reason: 'a test', subject: { purpose: 'another' } });
  expect(amend(asked())).toEqual({ accepted: true });
  expect(amend(begun())).toMatchObject({ slug: 'not-amendable' });
  expect(amend(new PlayedRequest(flowOf('rotation', [security, rotate])))).toMatchObject({ slug: 'not-amendable' });
});

test('a stage whose condition does not hold is passed over, and the record says so', () => {
  const request = new PlayedRequest(flowOf('onboarding', [{ ...security, when: 'risk.score > 90' }, issue]));
  expect(request.last.result.audit).toContainEqual({ kind: 'request.stage-skipped', data: { stage: 'security' } });
  expect(request.ordered).toEqual(['create-v1']);
});

test('a revocation is not held by a freeze, and once begun by nothing', () => {
  const request = new PlayedRequest(flowOf('revocation', [security, revoke]));
  request.hold('freeze', 'ida');
  approve(request);
  expect(request.facts.identity.state).toBe('revoking');
  expect(command(request, 'pause')).toMatchObject({ slug: 'not-pausable' });
  expect(command(request, 'cancel')).toMatchObject({ slug: 'not-cancellable' });
});

test('the words for operators name the state, the stage and what runs', () => {
  expect(begun().plan.summary).toBe('executing: stage issue, create');
  expect(asked().plan.summary).toBe('awaiting-approval: stage security');
});
