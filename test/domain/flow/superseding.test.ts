import { expect, test } from 'vitest';
import { type Trigger, triggers } from '../../../domain/flow/facts.ts';
import { outranks } from '../../../domain/flow/superseding.ts';
import { flowOf, PlayedRequest, rotate, security } from './playedRequest.ts';

let others = 0;
/** By another request each time: what is known is not judged again. */
function superseded(trigger: Trigger) {
  const requestId = `other-${others++}`;
  return { kind: 'superseded', id: `superseded:${requestId}`, by: 'system:review', requestId, trigger } as const;
}

test('an incident outranks everything else, the schedule nothing, and an equal never supersedes', () => {
  const outranked = triggers.flatMap((one) =>
    triggers.filter((other) => outranks(one, other)).map((other) => `${one} > ${other}`),
  );
  expect(outranked.sort()).toEqual(
    [
      ...['person', 'pipeline', 'owner-change', 'schedule'].map((other) => `incident > ${other}`),
      ...['person', 'pipeline', 'owner-change'].map((one) => `${one} > schedule`),
    ].sort(),
  );
});

test('only a rotation that waits gives way, and what refuses it changes nothing', () => {
  const waits = new PlayedRequest(flowOf('rotation', [security, rotate]));
  expect(waits.take(superseded('person'))).toMatchObject({ slug: 'request-running' });
  expect(waits.plan.state).toBe('awaiting-approval');
  expect(waits.take(superseded('incident'))).toEqual({ accepted: true });
  expect(waits.last.result).toMatchObject({ reason: 'superseded', next: { state: 'cancelled', done: true } });
  expect(waits.last.result.changes).toEqual([{ change: 'notify', to: ['requester'], about: 'superseded' }]);

  const begun = new PlayedRequest(flowOf('rotation', [rotate]));
  expect(begun.plan.effects).toMatchObject([{ activity: 'create' }]);
  expect(begun.take(superseded('incident'))).toMatchObject({ slug: 'request-running' });
  begun.settle();
  expect(begun.take(superseded('incident'))).toMatchObject({ slug: 'request-running' });
  const onboarding = new PlayedRequest(flowOf('onboarding', [security, { id: 'issue', effect: 'issue' }]));
  expect(onboarding.take(superseded('incident'))).toMatchObject({ slug: 'request-running' });
});
