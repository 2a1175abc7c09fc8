import { expect, test } from 'vitest';
import { dayMs, flowOf, hourMs, issue, ownership, PlayedRequest, security } from './playedRequest.ts';

/** What approvers can and cannot bring about, through the same `advance` that runs under the locks. */

const onboarding = flowOf('onboarding', [ownership, security, issue]);
const waiting = () => new PlayedRequest(onboarding);

test('two approvals of two people issue; one, or one twice, do not', () => {
  const played = waiting();
  expect(played.decide('sam', 'approve')).toEqual({ accepted: true });
  expect(played.decide('sam', 'approve')).toMatchObject({ slug: 'already-decided' });
  expect(played.plan).toMatchObject({ state: 'awaiting-approval', effects: [] });
  played.decide('sue', 'approve');
  expect(played.ordered).toEqual(['create-v1']);
});

test('one denial denies, whatever was approved before', () => {
  const played = waiting();
  played.decide('sam', 'approve');
  played.decide('sue', 'deny');
  expect(played.facts.request).toMatchObject({ state: 'denied', reason: 'denied-by-approver' });
  expect(played.facts.identity.state).toBe('rejected');
  expect(played.decide('sid', 'approve')).toMatchObject({ slug: 'request-closed' });
});

const denying = (denials: number, count = 2) =>
  new PlayedRequest(
    flowOf('onboarding', [
      { ...security, approval: { ...security.approval, require: [{ from: 'group:security', count }], denials } },
      issue,
    ]),
  );

test('where two denials end a request, one does not, and whoever denied cannot approve as well', () => {
  const played = denying(2);
  expect(played.decide('sam', 'deny')).toEqual({ accepted: true });
  expect(played.plan.state).toBe('awaiting-approval');
  expect(played.decide('sam', 'approve')).toMatchObject({ slug: 'already-decided' });
  expect(played.decide('sam', 'deny')).toMatchObject({ slug: 'already-decided' });
  played.decide('sue', 'approve');
  expect(played.plan.state).toBe('awaiting-approval');
  played.decide('ann', 'deny');
  expect(played.facts.request).toMatchObject({ state: 'denied', reason: 'denied-by-approver' });
});

test('below the threshold a denial stands beside a quorum of others, and does not stop it', () => {
  const played = denying(2);
  for (const [by, verdict] of [
    ['sam', 'deny'],
    ['sue', 'approve'],
    ['sid', 'approve'],
  ] as const)
    played.decide(by, verdict);
  expect(played.ordered).toEqual(['create-v1']);
});

test('a denial that was withdrawn counts towards no threshold, and its author may approve', () => {
  const played = denying(2);
  played.decide('sam', 'deny');
  played.decide('sam', 'withdraw');
  played.decide('sue', 'deny');
  expect(played.plan.state).toBe('awaiting-approval');
  expect(played.decide('sam', 'approve')).toEqual({ accepted: true });
  played.decide('sid', 'approve');
  expect(played.ordered).toEqual(['create-v1']);
});

test('who may not approve may not deny either, whatever the threshold', () => {
  const played = denying(1);
  expect(played.decide('rui', 'deny')).toMatchObject({ slug: 'self-approval' });
  expect(played.decide('tom', 'deny')).toMatchObject({ slug: 'not-eligible' });
  expect(played.plan.state).toBe('awaiting-approval');
});

test('groups of one stage are asked at the same time, in any order, and one person counts for one of them', () => {
  const stage = {
    ...security,
    approval: {
      ...security.approval,
      require: [
        { from: 'group:security', count: 1 },
        { from: 'group:lead', count: 1 },
      ],
    },
  };
  for (const order of [
    ['sam', 'lea'],
    ['lea', 'sam'],
  ]) {
    const played = new PlayedRequest(flowOf('onboarding', [stage, issue]));
    for (const by of order) {
      expect(played.ordered).toEqual([]);
      expect(played.decide(by, 'approve')).toEqual({ accepted: true });
    }
    expect(played.ordered).toEqual(['create-v1']);
  }
  const both = new PlayedRequest(flowOf('onboarding', [stage, issue]));
  both.person('sam', { groups: ['security', 'lead'] });
  both.decide('sam', 'approve');
  expect(both.plan.state).toBe('awaiting-approval');
  // Whichever place is left, another of either group fills it.
  both.decide('sue', 'approve');
  expect(both.ordered).toEqual(['create-v1']);
});

test('stages are asked in their order: nobody decides on the second before the first has its quorum', () => {
  const lead = {
    ...security,
    id: 'lead',
    approval: { ...security.approval, require: [{ from: 'group:lead', count: 1 }] },
  };
  const played = new PlayedRequest(flowOf('onboarding', [security, lead, issue]));
  expect(played.decide('lea', 'approve', { stage: 'lead' })).toMatchObject({ slug: 'not-awaiting-approval' });
  played.decide('sam', 'approve');
  expect(played.decide('lea', 'approve', { stage: 'lead' })).toMatchObject({ slug: 'not-awaiting-approval' });
  played.decide('sue', 'approve');
  expect(played.decide('sid', 'approve', { stage: 'security' })).toMatchObject({ slug: 'not-awaiting-approval' });
  expect(played.ordered).toEqual([]);
  expect(played.decide('lea', 'approve')).toEqual({ accepted: true });
  expect(played.ordered).toEqual(['create-v1']);
});

test('each stage counts its people anew: one person may agree at two stages, and must at each', () => {
  const once = { ...security, approval: { ...security.approval, require: [{ from: 'group:security', count: 1 }] } };
  const played = new PlayedRequest(flowOf('onboarding', [once, { ...once, id: 'second' }, issue]));
  played.decide('sam', 'approve');
  expect(played.plan.state).toBe('awaiting-approval');
  expect(played.decide('sam', 'approve')).toEqual({ accepted: true });
  expect(played.ordered).toEqual(['create-v1']);
});

test('a decision that was withdrawn counts no more, and its author may decide again', () => {
  const played = waiting();
  expect(played.decide('sam', 'withdraw')).toMatchObject({ slug: 'nothing-to-withdraw' });
  played.decide('sam', 'approve');
  expect(played.decide('sam', 'withdraw')).toEqual({ accepted: true });
  played.decide('sue', 'approve');
  expect(played.plan.state).toBe('awaiting-approval');
  expect(played.decide('sam', 'approve')).toEqual({ accepted: true });
  expect(played.ordered).toEqual(['create-v1']);
});

test.each(['rui', 'ola'])('%s, who asked or owns, cannot decide, although in the group that does', (by) => {
  expect(waiting().decide(by, 'approve')).toMatchObject({ slug: 'self-approval' });
});

test('who joins a request becomes a requester, and an approval given before counts no more', () => {
  const played = waiting();
  played.decide('sam', 'approve');
  played.edit((facts) => ({ ...facts, parties: { ...facts.parties, requesters: ['rui', 'sam'] } }));
  played.decide('sue', 'approve');
  expect(played.plan.state).toBe('awaiting-approval');
  played.decide('sid', 'approve');
  expect(played.ordered).toEqual(['create-v1']);
});

test('whoever left before the quorum was reached does not count towards it', () => {
  const played = waiting();
  played.decide('sam', 'approve');
  played.person('sam', { active: false });
  played.decide('sue', 'approve');
  expect(played.plan.state).toBe('awaiting-approval');
});

test('a decision on other content, another revision, stage, request or key is refused, each for its reason', () => {
  const played = waiting();
  const refusals = {
    'digest-mismatch': { digest: 'another' },
    'revision-changed': { revision: 2 },
    'not-awaiting-approval': { stage: 'ownership' },
  };
  for (const [slug, change] of Object.entries(refusals)) {
    expect(played.decide('sam', 'approve', change)).toMatchObject({ accepted: false, slug });
  }
  for (const change of [{ requestId: 'another' }, { keyId: 'unknown' }]) {
    expect(played.decide('sam', 'approve', change)).toMatchObject({ slug: 'bad-signature' });
  }
  expect(played.facts.decisions).toEqual([]);
});

test('a decision whose signature is another decision’s is refused', () => {
  const played = waiting();
  played.decide('sam', 'approve');
  const event = played.last.event;
  if (event.kind !== 'decision') throw new Error('the last event was a decision');
  const forged = { ...event.decision, id: 'forged', approverId: 'sue' };
  expect(played.take({ kind: 'decision', id: 'decision:forged', decision: forged })).toMatchObject({
    slug: 'bad-signature',
  });
});

test('the same decision event again is answered as it was, and counted once', () => {
  const played = waiting();
  played.decide('sam', 'approve');
  const { event } = played.last;
  expect(played.take(event)).toEqual({ accepted: true });
  expect(played.facts.decisions).toHaveLength(1);
});

test('an amendment voids what was decided: the next revision needs its own approvals', () => {
  const played = waiting();
  played.decide('sam', 'approve');
  expect(played.command({ do: 'amend', by: 'rui', reason: 'fewer', subject: { scopes: ['a'] } })).toEqual({
    accepted: true,
  });
  played.nudge();
  expect(played.facts.request.revision).toBe(2);
  played.decide('sue', 'approve');
  expect(played.plan.state).toBe('awaiting-approval');
  expect(played.decide('sam', 'approve', { revision: 1 })).toMatchObject({ slug: 'revision-changed' });
  played.decide('sam', 'approve');
  expect(played.ordered).toEqual(['create-v1']);
});

test('an amendment that names another owner begins nothing before that owner is verified', () => {
  const needsNobody = { ...security, when: 'size(subject.scopes) > 1' };
  const played = new PlayedRequest(flowOf('onboarding', [ownership, needsNobody, issue]));
  played.person('tom', { active: false });
  played.command({ do: 'amend', by: 'rui', reason: 'less, and his', subject: { ownerId: 'tom', scopes: ['a'] } });
  expect(played.ordered).toEqual([]);
  played.nudge();
  expect(played.facts.request).toMatchObject({ state: 'denied', reason: 'owner-not-valid' });
  expect(played.credentials).toEqual([]);
});

test('after four hours the escalation group is asked and told; before, its people cannot decide', () => {
  const played = waiting();
  expect(played.decide('lea', 'approve')).toMatchObject({ slug: 'not-eligible' });
  expect(played.plan.timer?.delayMs).toBe(4 * hourMs);
  played.fireTimer();
  expect(played.last.result.changes).toEqual([{ change: 'notify', to: ['group:lead'], about: 'escalated:security' }]);
  expect(played.plan.timer?.delayMs).toBe(20 * hourMs);
  played.decide('lea', 'approve');
  played.decide('sam', 'approve');
  expect(played.ordered).toEqual(['create-v1']);
});

test.each(['deny', 'expire'] as const)('without a quorum in time the request ends as the flow says: %s', (result) => {
  const { approval } = security;
  const stage = { ...security, approval: { ...approval, timeout: { after: 'P1D', result } } };
  const played = new PlayedRequest(flowOf('onboarding', [stage, issue]));
  played.decide('sam', 'approve');
  played.fireTimer();
  played.fireTimer();
  expect(played.facts.request).toMatchObject({
    state: result === 'deny' ? 'denied' : 'expired',
    reason: 'approval-timeout',
  });
});

test('the ledger’s clock decides: an approval after the deadline counts for nothing, although its timer has not fired', () => {
  const played = waiting();
  played.decide('sam', 'approve');
  played.passTime(dayMs);
  played.decide('sue', 'approve');
  expect(played.facts.request).toMatchObject({ state: 'denied', reason: 'approval-timeout' });
});

test('the deadline runs on under a pause, also when the quorum was reached', () => {
  const played = waiting();
  played.command({ do: 'pause', by: 'lea', reason: 'a look' });
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  expect(played.plan.state).toBe('held');
  played.fireTimer();
  played.fireTimer();
  expect(played.facts.request).toMatchObject({ state: 'denied', reason: 'approval-timeout' });
});

test('a timer that fires early by the ledger’s clock is not recorded, and armed again', () => {
  const played = waiting();
  const { timer } = played.plan;
  if (timer === undefined) throw new Error('an approval has a deadline');
  played.passTime(timer.delayMs - 5);
  played.take({ kind: 'timer', id: timer.id });
  expect(played.last.result.isRecorded).toBe(false);
  expect(played.plan.timer).toEqual({ ...timer, delayMs: 5 });
  expect(played.fireTimer()).toBe(true);
  expect(played.state.escalated).toBe(true);
});

test('what begins or commits asks every approver’s standing again, however long ago they decided', () => {
  const played = waiting();
  played.hold('freeze', 'ida');
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  expect(played.plan).toMatchObject({ state: 'held', effects: [] });
  played.person('sam', { active: false });
  played.thaw();
  played.nudge();
  expect(played.plan).toMatchObject({ state: 'awaiting-approval', effects: [] });
  played.decide('sid', 'approve');
  expect(played.ordered).toEqual(['create-v1']);
  played.person('sue', { groups: [] });
  played.answer('create-v1', 'done');
  expect(played.plan.state).toBe('awaiting-approval');
  expect(played.credentials).toEqual(['v1 destroying']);
  expect(played.ordered).toEqual(['destroy-v1']);
});
