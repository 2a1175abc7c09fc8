import { expect, test } from 'vitest';
import type { Flow } from '../../../domain/flow/language.ts';
import { flowOf, hourMs, PlayedRequest, rotate, secondMs } from './playedRequest.ts';

const silent: Flow = { ...flowOf('rotation', [rotate]), limits: { ...flowOf('rotation', []).limits, silence: 'PT1H' } };

/** The new credential is served, and the old one waits to be retired. */
function rotated(flow = silent): PlayedRequest {
  const played = new PlayedRequest(flow);
  played.settle();
  expect(played.credentials).toEqual(['v1 retiring', 'v2 current']);
  return played;
}

function use(played: PlayedRequest): void {
  const lastUsedAt = new Date(played.nowMs).toISOString();
  played.edit((facts) => ({
    ...facts,
    credentials: facts.credentials.map((one) => (one.version === 1 ? { ...one, lastUsedAt } : one)),
  }));
}

function acknowledge(played: PlayedRequest): void {
  played.edit((facts) => ({ ...facts, acknowledgedBy: facts.guardFacts.subject.consumers }));
  played.nudge();
}

const heardUpToMs = hourMs + 30 * secondMs;

test('an old credential that somebody uses lives until it was silent, although everybody has acknowledged the new one', () => {
  const played = rotated();
  use(played);
  acknowledge(played);
  expect(played.ordered).toEqual([]);
  expect(played.plan).toMatchObject({ state: 'awaiting-consumers', timer: { delayMs: heardUpToMs } });
  played.passTime(hourMs / 2);
  use(played);
  played.fireTimer();
  expect(played.ordered).toEqual([]);
  expect(played.plan.timer?.delayMs).toBe(heardUpToMs - hourMs / 2 - 30 * secondMs);
  played.fireTimer();
  expect(played.ordered).toEqual(['destroy-v1']);
});

test('the end of the grace window waits for silence too', () => {
  const played = rotated();
  played.passTime(23.5 * hourMs);
  use(played);
  played.fireTimer();
  expect(played.ordered).toEqual([]);
  expect(played.plan.timer?.delayMs).toBe(heardUpToMs - hourMs / 2);
  played.fireTimer();
  expect(played.ordered).toEqual(['destroy-v1']);
});

test('a use that never ends keeps it no longer than its own expiry', () => {
  const played = rotated();
  for (let step = 0; played.ordered.length === 0; step += 1) {
    expect(step).toBeLessThan(2_000);
    played.passTime((played.plan.timer?.delayMs ?? 0) - secondMs);
    use(played);
    played.fireTimer();
  }
  const expiresAt = played.last.facts.credentials.find(({ version }) => version === 1)?.expiresAt ?? '';
  expect(played.nowMs).toBeGreaterThanOrEqual(Date.parse(expiresAt));
});

test('without a flow that asks for silence, and where no use is known, nothing is waited for', () => {
  const unasked = rotated(flowOf('rotation', [rotate]));
  use(unasked);
  acknowledge(unasked);
  expect(unasked.ordered).toEqual(['destroy-v1']);
  const unused = rotated();
  acknowledge(unused);
  expect(unused.ordered).toEqual(['destroy-v1']);
});

test('silence is waited for under a freeze as well, since a freeze does not stop what was acknowledged', () => {
  const played = rotated();
  use(played);
  played.hold('freeze', 'ida');
  acknowledge(played);
  expect(played.ordered).toEqual([]);
  played.fireTimer();
  expect(played.ordered).toEqual(['destroy-v1']);
});

test('a version that a review ordered to be replaced is not kept alive by whoever uses it', () => {
  const played = rotated();
  played.edit((facts) => ({ ...facts, reissues: [{ id: 'a-review', highestVersion: 1, isOwed: false }] }));
  use(played);
  acknowledge(played);
  expect(played.ordered).toEqual(['destroy-v1']);
});
