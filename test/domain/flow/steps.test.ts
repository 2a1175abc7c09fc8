import { expect, test } from 'vitest';
import { backoffMs } from '../../../domain/flow/steps.ts';
import { failed, flowOf, issue, PlayedRequest, secondMs } from './playedRequest.ts';

const begun = () => new PlayedRequest(flowOf('onboarding', [issue]));
const unavailable = failed('IssuerUnavailable');

test('waiting doubles from five seconds to five minutes and stays there', () => {
  const seconds = [1, 2, 3, 4, 5, 6, 7, 8, 50].map((failures) => backoffMs(failures) / secondMs);
  expect(seconds).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300]);
});

test('a failed step is ordered again when its wait is over, under the id of its next attempt', () => {
  const played = begun();
  expect(played.plan.effects[0]?.id).toBe('effect:issue/1/create-v1');
  played.answer('create-v1', unavailable);
  expect(played.plan).toMatchObject({ effects: [], timer: { delayMs: 5 * secondMs } });
  played.fireTimer();
  expect(played.plan.effects[0]?.id).toBe('effect:issue/2/create-v1');
});

test('an answer to an attempt that no longer counts changes nothing but the record', () => {
  const played = begun();
  const [first] = played.plan.effects;
  if (first === undefined) throw new Error('create is ordered');
  played.answer('create-v1', unavailable);
  played.fireTimer();
  // Of attempt 1 an answer is known; one of an attempt that never was is late in the same way.
  played.answerOrder({ ...first, id: 'effect:issue/7/create-v1' }, 'done');
  expect(played.last.result.changes).toEqual([]);
  expect(played.last.result.audit.map(({ kind }) => kind)).toEqual(['request.late-answer-ignored']);
  expect(played.credentials).toEqual(['v1 minting']);
});

test('after three failures the request says that it is stuck, and is tried on all the same', () => {
  const played = begun();
  for (const state of ['executing', 'executing', 'stuck', 'stuck']) {
    played.answer('create-v1', unavailable);
    expect(played.plan.state).toBe(state);
    played.fireTimer();
    expect(played.ordered).toEqual(['create-v1']);
  }
  played.answer('create-v1', 'done');
  expect(played.plan.state).toBe('executing');
  played.settle();
  expect(played.plan).toMatchObject({ state: 'completed', done: true });
});

test('a retry by a person does not wait; without a waiting step it is refused', () => {
  const played = begun();
  expect(played.command({ do: 'retry', by: 'lea', reason: 'up again' })).toMatchObject({ slug: 'not-stuck' });
  played.answer('create-v1', unavailable);
  expect(played.command({ do: 'retry', by: 'lea', reason: 'up again' })).toEqual({ accepted: true });
  expect(played.plan.effects[0]?.id).toBe('effect:issue/2/create-v1');
});

test('the record of a failure names step, attempt and reason', () => {
  const played = begun();
  played.answer('create-v1', unavailable);
  expect(played.last.result.audit).toEqual([
    {
      kind: 'request.effect-failed',
      data: { step: 'create-v1', attempt: 1, reason: 'IssuerUnavailable', message: 'a test' },
    },
  ]);
});
