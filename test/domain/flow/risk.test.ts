import { expect, test } from 'vitest';
import { reviewOf } from '../../../domain/flow/judge.ts';
import type { Flow, RiskWeight } from '../../../domain/flow/language.ts';
import { riskOf } from '../../../domain/flow/risk.ts';
import { exampleFacts } from './exampleFacts.ts';
import { digestOf, flowOf, issue, PlayedRequest, rotate, security } from './playedRequest.ts';

const reads: RiskWeight = { when: '"ledger:read" in subject.scopes', add: 40, because: 'reads the ledger' };
const many: RiskWeight = { when: 'size(subject.scopes) > 2', add: 30, because: 'many scopes' };
const owned: RiskWeight = { when: 'owner.active', add: -15, because: 'somebody owns it' };
const unanswered: RiskWeight = { when: 'subject.labels.absent == "x"', add: 1, because: 'a label' };

const weighing = (flow: Flow, ...weights: readonly RiskWeight[]): Flow => ({ ...flow, risk: { weights } });
const onboarding = weighing(
  flowOf('onboarding', [{ ...security, when: 'risk.score >= 50' }, issue]),
  reads,
  many,
  owned,
);

const assessments = (played: PlayedRequest) =>
  played.steps.flatMap(({ result }) =>
    result.audit.filter(({ kind }) => kind === 'request.risk-assessed').map(({ data }) => data),
  );
const withScopes = (played: PlayedRequest, ...scopes: readonly string[]) =>
  played.edit((facts) => {
    const { guardFacts } = facts;
    if (!('subject' in guardFacts)) throw new Error('of an identity');
    return { ...facts, guardFacts: { ...guardFacts, subject: { ...guardFacts.subject, scopes } } };
  });

test('the score is the sum of the weights that hold, each told with its reason; 0 without weights', () => {
  expect(riskOf(onboarding, exampleFacts)).toEqual({
    score: 25,
    contributions: [
      { add: 40, because: 'reads the ledger' },
      { add: -15, because: 'somebody owns it' },
    ],
  });
  expect(riskOf({}, { ...exampleFacts, risk: { score: 99 } })).toEqual({ score: 0, contributions: [] });
});

test('guards read the score of the weights, whatever else the facts say of the risk', () => {
  const flow = weighing(flowOf('onboarding', [{ ...security, when: 'risk.score == 25' }, issue]), reads, owned);
  expect(new PlayedRequest(flow).plan.state).toBe('awaiting-approval');
  const unweighed = flowOf('onboarding', [{ ...security, when: 'risk.score != 0' }, issue]);
  expect(exampleFacts.risk.score).not.toBe(0);
  expect(new PlayedRequest(unweighed).ordered).toEqual(['create-v1']);
});

test('evidence says what the risk is made of when it is first assessed, and again only when it changes', () => {
  const played = new PlayedRequest(weighing(flowOf('onboarding', [security, issue]), reads, many));
  const first = { score: 40, contributions: [{ add: 40, because: 'reads the ledger' }] };
  expect(assessments(played)).toEqual([first]);
  played.nudge();
  expect(assessments(played)).toEqual([first]);
  withScopes(played, 'ledger:read', 'b', 'c');
  played.nudge();
  const now = { score: 70, contributions: [...first.contributions, { add: 30, because: 'many scopes' }] };
  expect(assessments(played)).toEqual([first, now]);
  expect(played.state.risk).toEqual(now);
});

test('a weight that cannot be evaluated denies, and evidence names it', () => {
  const played = new PlayedRequest(weighing(flowOf('onboarding', [security, issue]), reads, unanswered));
  expect(played.facts.request).toMatchObject({ state: 'denied', reason: 'guard-error' });
  expect(played.last.result.audit).toContainEqual({
    kind: 'request.guard-error',
    data: { weight: 'a label', error: expect.any(String) },
  });
  expect(played.orders.size).toBe(0);
});

test('a weight that fails only at begin or commit denies there, and what was made is destroyed', () => {
  const fragile: RiskWeight = { when: 'subject.labels.team == "payments"', add: 1, because: 'the team' };
  const played = new PlayedRequest(weighing(flowOf('onboarding', [issue]), fragile));
  expect(played.ordered).toEqual(['create-v1']);
  played.edit((facts) => {
    const { guardFacts } = facts;
    if (!('subject' in guardFacts)) throw new Error('of an identity');
    return { ...facts, guardFacts: { ...guardFacts, subject: { ...guardFacts.subject, labels: {} } } };
  });
  played.answer('create-v1', 'done');
  expect(played.facts.request).toMatchObject({ state: 'denied', reason: 'guard-error' });
  expect(played.ordered).toEqual(['destroy-v1']);
});

test('a score that rises while others are asked brings back the stage that was passed over', () => {
  const lead = {
    ...security,
    id: 'lead',
    approval: { ...security.approval, require: [{ from: 'group:lead', count: 1 }] },
  };
  const flow = weighing(flowOf('onboarding', [{ ...security, when: 'risk.score >= 50' }, lead, issue]), reads, many);
  const played = new PlayedRequest(flow);
  expect(played.state.stage).toBe(1);
  withScopes(played, 'ledger:read', 'b', 'c');
  played.nudge();
  played.decide('lea', 'approve');
  expect(played.ordered).toEqual([]);
  expect(played.state.stage).toBe(0);
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  expect(played.ordered).toEqual(['create-v1']);
});

test('a decision on another risk than there is now is refused, and the next look shows the new one', () => {
  const played = new PlayedRequest(weighing(flowOf('onboarding', [security, issue]), reads, many));
  withScopes(played, 'ledger:read', 'b', 'c');
  // The subject itself is shown too: what differs here is the risk alone.
  const stage = security;
  const shown = digestOf(reviewOf({ stage, facts: played.facts, state: played.state }));
  expect(played.decide('sam', 'approve', { digest: shown })).toMatchObject({ slug: 'digest-mismatch' });
  expect(played.decide('sam', 'approve')).toEqual({ accepted: true });
});

test('what an approver is shown holds the risk, and is what it was where a flow weighs none', () => {
  const weighed = new PlayedRequest(weighing(flowOf('onboarding', [security, issue]), reads));
  const plain = new PlayedRequest(flowOf('onboarding', [security, issue]));
  const shownBy = ({ facts, state }: PlayedRequest) => reviewOf({ stage: security, facts, state });
  const { risk, ...rest } = shownBy(weighed);
  expect(risk).toEqual(weighed.state.risk);
  expect(shownBy(plain)).toEqual(rest);
  expect(shownBy(plain)).not.toHaveProperty('risk');
});

test('once the effect has taken effect, the risk stays what it was', () => {
  const tell = { id: 'tell', when: 'risk.score == 40', notify: { to: ['owner'] } };
  const played = new PlayedRequest(weighing(flowOf('rotation', [rotate, tell]), reads, unlessMany()));
  played.answer('create-v2', 'done');
  withScopes(played, 'b', 'c', 'd');
  played.answer('promote-e2', 'done');
  played.edit((facts) => ({ ...facts, acknowledgedBy: exampleFacts.subject.consumers }));
  played.nudge();
  played.settle();
  expect(assessments(played)).toEqual([{ score: 40, contributions: [{ add: 40, because: 'reads the ledger' }] }]);
  expect(played.facts.request.state).toBe('completed');
  expect(played.steps.flatMap(({ result }) => result.changes)).toContainEqual(
    expect.objectContaining({ change: 'notify', about: 'stage:tell' }),
  );
});

/** Fails with more than two scopes: what nobody is asked any more must not be evaluated. */
function unlessMany(): RiskWeight {
  return { when: 'size(subject.scopes) > 2 && subject.labels.absent == "x"', add: 1, because: 'too many' };
}
