import { expect, test } from 'vitest';
import type { StepUpParty, StepUpStage } from '../../domain/flow/language.ts';
import { type Asker, isFresh, mayProve, proverOf } from '../../domain/proofs.ts';

const stage = (by: StepUpParty): StepUpStage => ({ id: 'proof', stepUp: { method: 'session', by, maxAge: 'PT5M' } });
const parties = { ownerId: 'ola' };
const person: Asker = { requesterId: 'rui', requesterKind: 'person', onBehalfOf: '' };
const machine: Asker = { requesterId: 'pipeline:deploy', requesterKind: 'pipeline', onBehalfOf: 'pia' };
const schedule: Asker = { requesterId: 'system:lifecycle', requesterKind: 'system', onBehalfOf: '' };

test.each<[StepUpParty, Asker, string | undefined]>([
  ['requester', person, 'rui'],
  ['requester', machine, 'pia'],
  ['requester', schedule, undefined],
  ['onBehalfOf', machine, 'pia'],
  ['onBehalfOf', person, undefined],
  ['owner', schedule, 'ola'],
])('by %s, of a request of %o: the proof is that of %s', (by, asker, prover) => {
  expect(proverOf(stage(by), asker, parties)).toBe(prover);
});

test('of a review that names a new owner, the owner who proves is that person; of a publication there is none', () => {
  expect(proverOf(stage('owner'), person, { ownerId: 'ola', newOwnerId: 'nia' })).toBe('nia');
  expect(proverOf(stage('owner'), person, {})).toBe(undefined);
});

test('only the one who is asked may prove, while active; where nobody is known, nobody may', () => {
  const ola = { id: 'ola', active: true, groups: [] };
  expect(mayProve(ola, stage('owner'), 'ola')).toEqual({ may: true });
  expect(mayProve({ ...ola, active: false }, stage('owner'), 'ola')).toMatchObject({ slug: 'not-eligible' });
  for (const prover of ['rui', undefined])
    expect(mayProve(ola, stage('owner'), prover)).toMatchObject({ may: false, slug: 'not-eligible' });
});

test.each([
  ['just now', 0, true],
  ['exactly as old as it may be', -300_000, true],
  ['a millisecond older', -300_001, false],
  ['a provider whose clock is a little ahead', 10_000, true],
  ['an instant that has not come', 10_001, false],
])('a sign-in of %s is fresh: %s ms, %s', (_what, fromNowMs, expected) => {
  const nowMs = Date.parse('2026-11-05T12:00:00.000Z');
  const authenticatedAt = new Date(nowMs + fromNowMs).toISOString();
  expect(isFresh(authenticatedAt, { maxAge: 'PT5M', nowMs })).toBe(expected);
});

test('a sign-in of which nobody knows when it was is not fresh', () => {
  for (const authenticatedAt of [undefined, 'yesterday'])
    expect(isFresh(authenticatedAt, { maxAge: 'PT5M', nowMs: 0 })).toBe(false);
});
