import { expect, test } from 'vitest';
import { advance } from '../../../domain/flow/advance.ts';
import { failed, flowOf, PlayedRequest, revoke, rotate, secondMs, security } from './playedRequest.ts';

/** Revocation, DESIGN section 5, step by step. */

const flow = flowOf('revocation', [security, revoke]);
const atOnce = () => new PlayedRequest(flow, { atOnce: true });
const changesOf = (played: PlayedRequest) => played.last.result.changes.map(({ change }) => change);
/** The lease of the served credential still runs: a late creation may land. */
const withinLease = () => {
  const played = new PlayedRequest(flow);
  played.edit((facts) => ({
    ...facts,
    credentials: facts.credentials.map((credential) => ({
      ...credential,
      leaseEndsAt: new Date(Date.parse(facts.guardFacts.now) + 60 * secondMs).toISOString(),
    })),
  }));
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  return played;
};

test('a responder’s revocation is done in its first transaction, whatever stages its flow has', () => {
  const played = atOnce();
  expect(changesOf(played)).toEqual(['begin-revocation']);
  expect(played.facts.identity).toMatchObject({ state: 'revoking', epoch: 2 });
  expect(played.credentials).toEqual(['v1 destroying']);
  expect(played.last.result.audit).toContainEqual({
    kind: 'request.stages-passed-by-responder',
    data: { stages: ['security'] },
  });
});

test('anybody else’s waits for the flow, and nothing is touched before', () => {
  const played = new PlayedRequest(flow);
  expect(changesOf(played)).toEqual([]);
  expect(played.facts.identity.state).toBe('active');
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  expect(changesOf(played)).toContain('begin-revocation');
});

test('quarantine and destroys run at the same time: a store that is away keeps no credential alive', () => {
  const played = atOnce();
  expect([...played.ordered].sort()).toEqual(['destroy-v1', 'quarantine-e2']);
  played.answer('quarantine-e2', failed('StoreUnavailable'));
  expect(played.ordered).toEqual(['destroy-v1']);
  played.answer('destroy-v1', 'done');
  expect(played.credentials).toEqual([]);
  expect(played.facts.identity.state).toBe('revoking');
  played.fireTimer();
  played.answer('quarantine-e2', 'done');
  expect(played.facts.identity.state).toBe('revoked');
  expect(played.plan).toMatchObject({ state: 'completed', done: true });
});

test('nothing is revoked before every lease has ended and one more look has found nothing', () => {
  const played = withinLease();
  played.settle();
  expect(played.credentials).toEqual(['v1 destroying']);
  expect(played.plan).toMatchObject({ state: 'executing', effects: [], timer: { delayMs: 60 * secondMs } });
  played.fireTimer();
  expect(played.ordered).toEqual(['sweep-v1']);
  played.answer('sweep-v1', failed('IssuerUnavailable'));
  expect(played.facts.identity.state).toBe('revoking');
  played.fireTimer();
  played.answer('sweep-v1', 'done');
  expect(played.facts.identity.state).toBe('revoked');
});

test('destroys are repeated without end, stuck and visible, until the issuer confirms', () => {
  const played = atOnce();
  played.answer('quarantine-e2', 'done');
  for (let failure = 0; failure < 20; failure += 1) {
    played.answer('destroy-v1', failed('IssuerUnavailable'));
    played.fireTimer();
  }
  expect(played.plan.state).toBe('stuck');
  played.answer('destroy-v1', 'done');
  expect(played.facts.identity.state).toBe('revoked');
});

test('a person may vouch for what the issuer cannot confirm; the receipt names what may still be used, and until when', () => {
  const played = atOnce();
  played.answer('destroy-v1', failed('IssuerUnavailable'));
  played.command({ do: 'resolve', version: 1, by: 'lea', reason: 'decommissioned' });
  expect(played.last.result.changes[0]).toMatchObject({
    receipt: { method: 'unverifiable', stillUsable: [{ until: played.facts.guardFacts.subject.expiresAt }] },
  });
});

test('holds change nothing about a revocation that has begun', () => {
  const played = atOnce();
  played.hold('freeze', 'ida');
  played.hold('pause', 'ida');
  played.nudge();
  expect(played.plan.state).toBe('executing');
  played.settle();
  expect(played.facts.identity.state).toBe('revoked');
});

test('the revocation of an identity that was only requested rejects it and destroys its mint', () => {
  const played = new PlayedRequest(flow);
  played.edit((facts) => ({
    ...facts,
    identity: { ...facts.identity, state: 'requested', epoch: 0 },
    credentials: [
      { version: 1, state: 'minting', requestId: 'onboarding', leaseEndsAt: facts.guardFacts.now, hasReceipt: false },
    ],
  }));
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  expect(played.facts.identity.state).toBe('rejected');
  expect(played.credentials).toEqual(['v1 destroying']);
  played.settle();
  expect(played.facts).toMatchObject({
    identity: { state: 'rejected' },
    credentials: [],
    request: { state: 'completed' },
  });
});

test('a rotation that a revocation ended does nothing more: the destroys are the revocation’s', () => {
  const played = new PlayedRequest(flowOf('rotation', [rotate]));
  const [create] = played.plan.effects;
  played.edit((facts) => ({
    ...facts,
    request: { ...facts.request, state: 'cancelled', reason: 'revoking' },
    identity: { ...facts.identity, state: 'revoking', epoch: 2 },
    credentials: facts.credentials.map((credential) => ({ ...credential, state: 'destroying' })),
  }));
  if (create === undefined) throw new Error('create is ordered');
  played.answerOrder(create, 'done');
  expect(changesOf(played)).toEqual([]);
  expect(played.plan).toMatchObject({ state: 'cancelled', done: true, effects: [] });
});

test('beginning twice is beginning once: a repeated first event changes nothing', () => {
  const played = atOnce();
  const { facts, state, flow: same } = played;
  const again = advance({ flow: same, state, facts, event: { kind: 'opened', id: 'opened-at-once', atOnce: true } });
  expect(again.changes).toEqual([]);
  expect(again.next.effects.map(({ id }) => id)).toEqual(played.plan.effects.map(({ id }) => id));
});
