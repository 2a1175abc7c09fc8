import { expect, test } from 'vitest';
import type { StepUpParty } from '../../../domain/flow/language.ts';
import { dayMs, flowOf, issue, ownership, PlayedRequest, proof, review, security } from './playedRequest.ts';

/** What proofs can and cannot bring about, through the same `advance` that runs under the locks. */

const minuteMs = 60_000;
const waiting = () => new PlayedRequest(flowOf('onboarding', [ownership, proof, issue]));
const asking = (by: StepUpParty) =>
  new PlayedRequest(flowOf('onboarding', [{ ...proof, stepUp: { ...proof.stepUp, by } }, issue]));

test('a request waits for its proof, and goes on with it', () => {
  const played = waiting();
  expect(played.plan).toMatchObject({ state: 'awaiting-proof', effects: [], summary: 'awaiting-proof: stage proof' });
  expect(played.confirm('ola')).toEqual({ accepted: true });
  expect(played.ordered).toEqual(['create-v1']);
  expect(played.facts.decisions).toMatchObject([
    { stage: 'proof', verdict: 'confirm', authenticatedAt: expect.stringMatching(/^\d{4}-/) },
  ]);
});

test('whoever is asked proves, and nobody else, whatever their groups', () => {
  for (const id of ['rui', 'ann', 'sam', 'lea', 'stranger'])
    expect(waiting().confirm(id)).toMatchObject({ slug: 'not-eligible' });
  expect(asking('requester').confirm('rui')).toEqual({ accepted: true });
  expect(asking('requester').confirm('ola')).toMatchObject({ slug: 'not-eligible' });
});

test('a proof is good by a sign-in as old as the flow takes, and no older, nor by one that is unknown or yet to come', () => {
  expect(waiting().confirm('ola', 5 * minuteMs)).toEqual({ accepted: true });
  for (const age of [5 * minuteMs + 1, dayMs, -minuteMs])
    expect(waiting().confirm('ola', age)).toMatchObject({ slug: 'insufficient-user-authentication' });
  const played = waiting();
  expect(played.decide('ola', 'confirm')).toMatchObject({ slug: 'insufficient-user-authentication' });
  expect(played.facts.decisions).toEqual([]);
  expect(played.ordered).toEqual([]);
});

test('it is the sign-in when the proof is given that counts: people who are asked later take their time', () => {
  const played = new PlayedRequest(flowOf('onboarding', [proof, security, issue]));
  played.confirm('ola');
  played.passTime(dayMs - 1);
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  expect(played.ordered).toEqual(['create-v1']);
});

test('an approval is no proof, and a proof is no approval', () => {
  const proving = waiting();
  expect(proving.decide('ola', 'approve')).toMatchObject({ slug: 'not-awaiting-approval' });
  const approving = new PlayedRequest(flowOf('onboarding', [security, issue]));
  expect(approving.confirm('sam')).toMatchObject({ slug: 'not-awaiting-proof' });
});

test('a proof for other content, another revision, stage or request is refused, each for its reason', () => {
  const refusals: Readonly<Record<string, object>> = {
    'revision-changed': { revision: 2 },
    'digest-mismatch': { digest: 'ab'.repeat(32) },
    'not-awaiting-proof': { stage: 'ownership' },
    'bad-signature': { requestId: 'another' },
  };
  for (const [slug, change] of Object.entries(refusals))
    expect(waiting().confirm('ola', 0, change), slug).toMatchObject({ slug });
});

test('the instant of the sign-in is signed with the rest: nobody freshens it afterwards', () => {
  const played = waiting();
  played.confirm('ola', dayMs);
  const { event } = played.last;
  if (event.kind !== 'decision') throw new Error('the last event was a proof');
  const forged = { ...event.decision, id: 'forged', authenticatedAt: played.facts.guardFacts.now };
  expect(played.take({ kind: 'decision', id: 'decision:forged', decision: forged })).toMatchObject({
    slug: 'bad-signature',
  });
  expect(played.ordered).toEqual([]);
});

test('a paused request takes the proof and does not move on; until it does, the proof may be withdrawn', () => {
  const played = waiting();
  played.command({ do: 'pause', by: 'sam', reason: 'a look first' });
  expect(played.confirm('ola')).toEqual({ accepted: true });
  expect(played.plan).toMatchObject({ state: 'held', effects: [] });
  expect(played.confirm('ola')).toMatchObject({ slug: 'already-decided' });
  expect(played.decide('ola', 'withdraw')).toEqual({ accepted: true });
  expect(played.last.result.changes).toContainEqual(
    expect.objectContaining({ change: 'withdraw-decision', what: 'proof', decisionId: 'd1' }),
  );
  played.command({ do: 'resume', by: 'sam', all: false, reason: 'seen' });
  expect(played.plan.state).toBe('awaiting-proof');
  expect(played.decide('ola', 'withdraw')).toMatchObject({ slug: 'nothing-to-withdraw' });
  played.confirm('ola');
  expect(played.ordered).toEqual(['create-v1']);
  expect(played.decide('ola', 'withdraw', { stage: 'proof' })).toMatchObject({ slug: 'not-awaiting-approval' });
});

test('an amendment voids the proof: it was of something else', () => {
  const played = new PlayedRequest(flowOf('onboarding', [proof, security, issue]));
  played.confirm('ola');
  expect(played.plan.state).toBe('awaiting-approval');
  played.command({ do: 'amend', by: 'rui', subject: { scopes: ['more'] }, reason: 'more' });
  played.nudge();
  expect(played.plan.state).toBe('awaiting-proof');
});

test.each<[string, (played: PlayedRequest) => void]>([
  ['has left', (played) => played.person('ola', { active: false })],
  [
    'owns it no more',
    (played) => played.edit((facts) => ({ ...facts, parties: { ...facts.parties, ownerId: 'sid' } })),
  ],
])('a proof of somebody who %s counts no more at begin, and is asked for again', (_what, happens) => {
  const played = new PlayedRequest(flowOf('onboarding', [proof, security, issue]));
  played.confirm('ola');
  played.decide('sam', 'approve');
  happens(played);
  played.decide('sue', 'approve');
  expect(played.ordered).toEqual([]);
  expect(played.plan.state).toBe('awaiting-proof');
  expect(played.last.result.audit).toContainEqual({ kind: 'request.proof-lost', data: { stage: 'proof' } });
});

test('where nobody is known who could prove, and where nobody does, the request waits until its life ends', () => {
  const played = asking('onBehalfOf');
  for (const id of ['rui', 'ola', 'sam', '']) expect(played.confirm(id)).toMatchObject({ accepted: false });
  expect(played.fireTimer()).toBe(true);
  expect(played.facts.request).toMatchObject({ state: 'expired', reason: 'request-timeout' });
  expect(played.confirm('ola')).toMatchObject({ slug: 'request-closed' });
});

test('a proof that arrives at the deadline is late', () => {
  const played = waiting();
  played.passTime(3 * dayMs);
  expect(played.confirm('ola')).toMatchObject({ slug: 'request-closed' });
  expect(played.facts.request.state).toBe('expired');
});

test('separation keeps nobody from proving: the requester may be asked to prove their own request', () => {
  const played = new PlayedRequest(
    flowOf('review', [{ ...proof, stepUp: { ...proof.stepUp, by: 'requester' } }, security, review]),
  );
  expect(played.confirm('rui')).toEqual({ accepted: true });
  expect(played.decide('rui', 'approve')).toMatchObject({ slug: 'self-approval' });
});
