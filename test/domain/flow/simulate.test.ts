import { expect, test } from 'vitest';
import type { Flow } from '../../../domain/flow/language.ts';
import { parseFlow } from '../../../domain/flow/parse.ts';
import type { RecordedEvent, RecordedRequest } from '../../../domain/flow/recordedRequest.ts';
import { type ChangedRequest, simulate } from '../../../domain/flow/simulate.ts';
import { exampleFacts } from './exampleFacts.ts';
import { flowWith, soundFlow } from './flowSource.ts';
import { approvedBy, atHour, recordedPerson, recordOf } from './recordedRequests.ts';

function flowIn(source: string): Flow {
  const parsed = parseFlow(source, 'f.flow.yaml');
  if (!parsed.ok) throw new Error(parsed.errors.map(({ reason }) => reason).join('\n'));
  return { ...parsed.flow, tests: [] };
}
const sound = flowIn(soundFlow);
const soundWith = (part: string, replacement: string): Flow =>
  flowIn(flowWith(part, replacement).replace(/tests:[\s\S]*(?=risk: \{weights)/, ''));

function changeOf(after: Flow, record: RecordedRequest): ChangedRequest | undefined {
  return simulate(sound, after, [record]).changed[0];
}

const twoApprovals = recordOf('two', [approvedBy('sam', 1), approvedBy('sue', 2)], { ended: { state: 'completed' } });
const oneApproval = recordOf('one', [approvedBy('sam', 1)], { ended: { state: 'denied', reason: 'approval-timeout' } });
const lowRisk = recordOf('low', [], { risk: 0, ended: { state: 'completed' } });
const everything = [twoApprovals, oneApproval, lowRisk];

test('under the same flow nothing changes, and it ends as it really did', () => {
  expect(simulate(sound, sound, everything)).toEqual({ played: 3, others: 0, changed: [], unlike: [] });
});

test('another text, notice or check that everybody passes is no other decision', () => {
  const same = soundWith('description: sound in every part', 'description: said otherwise');
  const noticed = soundWith('  - {id: issue', '  - {id: more, notify: {to: [owner]}}\n  - {id: issue');
  const checked = soundWith(
    '  - id: review',
    '  - {id: more, verify: {that: \'owner.id != ""\', otherwise: no-owner}}\n  - id: review',
  );
  for (const after of [same, noticed, checked]) expect(simulate(sound, after, everything).changed).toEqual([]);
});

test('one approver fewer: who was denied completes, and who completed does so earlier, with a decision less', () => {
  const after = soundWith('count: 2', 'count: 1');
  expect(changeOf(after, oneApproval)).toMatchObject({
    id: 'one',
    subject: exampleFacts.subject.name,
    environment: 'production',
    requester: exampleFacts.requester.id,
    before: { outcome: 'denied', reason: 'approval-timeout', stage: 'review' },
    after: { outcome: 'completed' },
    why: expect.arrayContaining([
      'denied (approval-timeout) at review before, completed now',
      'stage review is newly passed',
    ]),
  });
  expect(changeOf(after, twoApprovals)?.why).toEqual([
    `approve by sue at ${atHour(2)} is not asked for any more`,
    'the effect begins 3600 s earlier',
  ]);
  expect(changeOf(after, lowRisk)).toBeUndefined();
});

test('one approver more: what nobody approved is missing, and is not guessed', () => {
  const after = flowIn(
    flowWith('count: 2', 'count: 3')
      .replace('after: P1D', 'after: P3D')
      .replace(/tests:[\s\S]*(?=risk: \{weights)/, ''),
  );
  expect(changeOf(after, twoApprovals)).toMatchObject({
    before: { outcome: 'completed' },
    after: { outcome: 'waiting', stage: 'review' },
    why: expect.arrayContaining([
      'stage review needs another approver: it asks for 3 of group:security, and has sam, sue',
    ]),
  });
});

test('a stage that applies to fewer is newly skipped, and its decisions are not asked for', () => {
  const change = changeOf(soundWith('risk.score > 10', 'risk.score > 90'), twoApprovals);
  expect(change?.why).toEqual([
    `approve by sam at ${atHour(1)} is not asked for any more`,
    `approve by sue at ${atHour(2)} is not asked for any more`,
    'the effect begins 7200 s earlier',
    'stage review is newly skipped',
  ]);
});

test('a wait that is new goes by, and is told as the time that it takes', () => {
  const after = soundWith('  - {id: issue', '  - {id: cool-off, wait: {for: PT1H}}\n  - {id: issue');
  expect(changeOf(after, twoApprovals)).toMatchObject({
    after: { outcome: 'completed' },
    why: ['the effect begins 3600 s later', 'stage cool-off is newly passed'],
  });
  expect(changeOf(after, oneApproval)).toBeUndefined();
});

test('an exception that is new lets its subject pass earlier, and says so; another’s changes nothing', () => {
  const { name, environment } = exampleFacts.subject;
  const excepting = (of: string): Flow => ({
    ...sound,
    exceptions: [
      {
        id: 'spared',
        subject: { name: of, environment },
        stages: ['review'],
        until: '2027-01-01T00:00:00Z',
        because: 'a test',
      },
    ],
  });
  expect(changeOf(excepting(name), oneApproval)?.why).toEqual(
    expect.arrayContaining([
      'denied (approval-timeout) at review before, completed now',
      'stage review is newly waived',
    ]),
  );
  expect(changeOf(excepting('another'), oneApproval)).toBeUndefined();
});

test('a separation that the old flow lacked refuses the decision of whom it separates', () => {
  const byAuthor = recordOf('author', [approvedBy('ann', 1), approvedBy('sue', 2)]);
  const change = changeOf(soundWith('[requester, owner]', '[requester, owner, flowAuthor]'), byAuthor);
  expect(change?.why).toContain(`approve by ann at ${atHour(1)} is refused now: self-approval`);
  const back = simulate(soundWith('[requester, owner]', '[requester, owner, flowAuthor]'), sound, [byAuthor])
    .changed[0];
  expect(back?.why).toContain(`approve by ann at ${atHour(1)} counts now; before it was refused: self-approval`);
});

test('a stricter check denies what it would have denied at the opening', () => {
  const after = soundWith('owner.active', '\'owner.active && subject.integration != "payments"\'');
  expect(changeOf(after, lowRisk)).toMatchObject({
    after: { outcome: 'denied', reason: 'owner-not-valid', stage: 'ownership' },
    why: expect.arrayContaining(['completed before, denied (owner-not-valid) at ownership now']),
  });
});

test('subjects that the new flow lets go, or takes in, are told', () => {
  const elsewhere = soundWith('"production"', '"staging"');
  expect(changeOf(elsewhere, lowRisk)?.why).toContain('completed before, not-covered now');
  expect(simulate(elsewhere, sound, [lowRisk]).changed[0]?.why).toContain('not-covered before, completed now');
  expect(simulate(elsewhere, elsewhere, [lowRisk])).toMatchObject({ played: 0, others: 1 });
});

test('holds are played where they stood: a freeze from before the opening, a pause, a resume, a cancel', () => {
  const frozen = recordOf('frozen', [
    { at: atHour(-1), freeze: 'f1' },
    ...[approvedBy('sam', 1), approvedBy('sue', 2)],
    { at: atHour(5), thaw: 'f1' },
  ]);
  const after = soundWith('count: 2', 'count: 1');
  // Both begin at the thaw: only the second decision is asked for no more.
  expect(changeOf(after, frozen)?.why).toEqual([`approve by sue at ${atHour(2)} is not asked for any more`]);
  const cancelled = recordOf('cancelled', [approvedBy('sam', 1), { at: atHour(2), cancel: 'rui' }], {
    ended: { state: 'cancelled', reason: 'no longer needed' },
  });
  expect(simulate(sound, sound, [cancelled]).unlike).toEqual([]);
  const paused = recordOf(
    'paused',
    [
      { at: atHour(0.5), pause: 'lea' },
      ...[approvedBy('sam', 1), approvedBy('sue', 2)],
      { at: atHour(3), resume: 'rui', all: true },
    ],
    { ended: { state: 'completed' } },
  );
  expect(simulate(sound, sound, [paused])).toMatchObject({ changed: [], unlike: [] });
});

test('who joined is separated from then on, and a withdrawn decision counts no more', () => {
  const joined = recordOf('joined', [{ at: atHour(1), joined: 'sam' }, approvedBy('sam', 2), approvedBy('sue', 3)]);
  const withdrawn = recordOf('withdrawn', [
    approvedBy('sam', 1),
    { at: atHour(2), decision: 'withdraw', by: recordedPerson('sam') },
    approvedBy('sue', 3),
  ]);
  for (const record of [joined, withdrawn]) {
    const denied = { ...record, ended: { state: 'denied', reason: 'approval-timeout' } } as const;
    expect(simulate(sound, sound, [denied]).unlike).toEqual([]);
  }
});

test('where the old flow itself ends otherwise than the record, that is told and not hidden', () => {
  const failed = recordOf('failed', [approvedBy('sam', 1), approvedBy('sue', 2)], {
    ended: { state: 'failed', reason: 'x' },
  });
  expect(simulate(sound, sound, [failed]).unlike).toEqual([
    { id: 'failed', recorded: { outcome: 'failed', reason: 'x' }, played: { outcome: 'completed' } },
  ]);
});

test('records of other operations are passed over; flows on different operations do not compare', () => {
  const rotation = {
    ...lowRisk,
    facts: { ...lowRisk.facts, request: { ...lowRisk.facts.request, kind: 'rotation' } },
  } as const;
  expect(simulate(sound, sound, [rotation])).toMatchObject({ played: 0, others: 1 });
  expect(() => simulate(sound, { ...sound, on: 'revocation' }, [])).toThrow(/on onboarding, the new one on revocation/);
});

test('a proof is played by its sign-in: fresh enough for one flow, too old for another, and asked of whom it is', () => {
  const proving = (maxAge: string, by = 'owner'): Flow =>
    soundWith(
      '  - id: review',
      `  - {id: proof, stepUp: {method: session, by: ${by}, maxAge: ${maxAge}}}\n  - id: review`,
    );
  const proofAt = (hour: number, signedInHour: number): RecordedEvent => ({
    at: atHour(hour),
    confirm: recordedPerson(exampleFacts.owner.id),
    authenticatedAt: atHour(signedInHour),
  });
  const record = recordOf('proven', [proofAt(1, 0.9), approvedBy('sam', 2), approvedBy('sue', 3)]);
  expect(simulate(proving('PT10M'), proving('PT10M'), [record]).changed).toEqual([]);
  const [stale] = simulate(proving('PT10M'), proving('PT5M'), [record]).changed;
  expect(stale).toMatchObject({ after: { outcome: 'waiting', stage: 'proof' } });
  expect(stale?.why).toContain(
    `proof by ${exampleFacts.owner.id} at ${atHour(1)} is refused now: insufficient-user-authentication`,
  );
  const [other] = simulate(proving('PT10M'), proving('PT10M', 'requester'), [record]).changed;
  expect(other?.why).toContain(`stage proof needs a proof: it asks for requester, who is ${exampleFacts.requester.id}`);
});

test('the risk of a record is what the weights of each flow make of its facts', () => {
  const heavier = soundWith('add: 50', 'add: 5');
  const [change] = simulate(sound, heavier, [oneApproval]).changed;
  expect(change).toMatchObject({ after: { outcome: 'completed' } });
  expect(change?.why).toContain('stage review is newly skipped');
});
