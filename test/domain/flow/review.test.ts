import { expect, test } from 'vitest';
import { advance } from '../../../domain/flow/advance.ts';
import type { Flow } from '../../../domain/flow/language.ts';
import { type ReviewProposal, reviewBy, reviewOpensAt } from '../../../domain/flow/review.ts';
import { type Hold, initialFlowState } from '../../../domain/flow/state.ts';
import { exampleFacts } from './exampleFacts.ts';
import type { PlayedFacts } from './playedRequest.ts';

const flow: Flow = {
  apiVersion: 'tenure/v1',
  kind: 'Flow',
  metadata: { name: 'review', owner: 'tests', description: 'the effect alone' },
  on: 'review',
  subject: {},
  limits: { credentialTtl: 'P90D', requestTtl: 'P3D', grace: 'PT24H' },
  stages: [{ id: 'review', effect: 'review' }],
  tests: [],
};
const dayMs = 86_400_000;

function reviewed(proposal: ReviewProposal | undefined, edit: Partial<PlayedFacts> = {}) {
  const { now } = exampleFacts;
  const facts: PlayedFacts = {
    request: {
      id: 'r',
      kind: 'review',
      state: 'evaluating',
      revision: 1,
      flowDigest: 'd',
      requesterId: 'rui',
      onBehalfOf: '',
      createdAt: now,
      ...(proposal === undefined ? {} : { proposal }),
    },
    identity: { id: exampleFacts.subject.id, state: 'active', epoch: 1, highestVersion: 1 },
    credentials: [],
    guardFacts: { ...exampleFacts, subject: { ...exampleFacts.subject, scopes: ['read', 'write'] } },
    parties: { requesters: ['rui'], onBehalfOf: [], ownerId: 'ola', flowAuthor: 'ann' },
    decisions: [],
    holds: [],
    endedHolds: [],
    orders: [],
    acknowledgedBy: [],
    reissues: [],
    leaseMs: 60_000,
    ...edit,
  };
  return advance({
    flow,
    state: initialFlowState(now),
    event: { kind: 'opened', id: 'opened', atOnce: false },
    facts,
  });
}

const freeze = (id: string, more: Partial<Extract<Hold, { kind: 'freeze' }>> = {}): Hold => ({
  kind: 'freeze',
  id,
  by: 'ida',
  since: exampleFacts.now,
  ...more,
});

test('a review is complete in one step, with no effect on any issuer or store', () => {
  const result = reviewed(undefined);
  expect(result.next).toMatchObject({ state: 'completed', done: true, effects: [] });
  expect(result.changes).toEqual([
    { change: 'complete-review', thaws: [], reissue: false, reviewBy: reviewBy(flow, Date.parse(exampleFacts.now)) },
  ]);
});

test.each<[string, ReviewProposal, readonly string[]]>([
  ['names none', { reissue: false }, ['missed']],
  ['names one', { freezeId: 'mine', reissue: false }, ['mine', 'missed']],
  ['names one that is gone', { freezeId: 'lifted', reissue: false }, ['missed']],
  ['names a new owner', { newOwner: 'olaf', reissue: false }, ['gone', 'missed']],
])('a review that %s thaws that freeze, and what Tenure froze for want of just this', (_what, proposal, thaws) => {
  const holds = [
    freeze('mine'),
    freeze('other'),
    freeze('gone', { cause: 'owner-gone' }),
    freeze('missed', { cause: 'review-missed' }),
    freeze('ending', { mode: 'cancel' }),
  ];
  const [change] = reviewed(proposal, { holds }).changes;
  expect(change).toMatchObject({ change: 'complete-review', thaws });
});

test('a review of an identity that may no longer be issued to changes nothing', () => {
  const identity = { id: 'i', epoch: 1, highestVersion: 1 };
  for (const state of ['revoking', 'revoked'] as const) {
    const result = reviewed({ reissue: true }, { identity: { ...identity, state } });
    expect(result.next.state).toBe('cancelled');
    expect(result.changes).toEqual([]);
  }
});

test('scopes are what is in both: the proposal never gives back what was taken meanwhile', () => {
  const [change] = reviewed({ scopes: ['write', 'gone-since'], reissue: false }).changes;
  expect(change).toMatchObject({ scopes: ['write'] });
});

test('a new owner who is not active is refused, whatever the flow asks', () => {
  const guardFacts = { ...exampleFacts, owner: { ...exampleFacts.owner, active: false } };
  const result = reviewed({ newOwner: 'olaf', reissue: false }, { guardFacts });
  expect([result.next.state, result.reason, result.changes]).toEqual(['denied', 'owner-not-valid', []]);
});

test('the owner is asked two weeks ahead of the date, or half way when reviews are closer together', () => {
  const now = new Date(0);
  expect(reviewOpensAt(new Date(90 * dayMs), now)).toEqual(new Date(76 * dayMs));
  expect(reviewOpensAt(new Date(7 * dayMs), now)).toEqual(new Date(3.5 * dayMs));
  expect(reviewBy({ ...flow, limits: { ...flow.limits, reviewEvery: 'P7D' } }, 0)).toBe(
    new Date(7 * dayMs).toISOString(),
  );
});
