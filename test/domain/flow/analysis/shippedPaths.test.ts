import { expect, test } from 'vitest';
import type { Approver } from '../../../../domain/decisions.ts';
import { pathConditions } from '../../../../domain/flow/analysis/conditions.ts';
import { atomsOf, type Formula } from '../../../../domain/flow/analysis/formula.ts';
import type { FlowPath } from '../../../../domain/flow/analysis/path.ts';
import { pathPicture } from '../../../../domain/flow/analysis/pathPicture.ts';
import { pathsOfFlows } from '../../../../domain/flow/analysis/paths.ts';
import { pathInWords } from '../../../../domain/flow/analysis/pathWords.ts';
import { durationMs } from '../../../../domain/flow/duration.ts';
import { type Facts, identityFactsOf, triggers } from '../../../../domain/flow/facts.ts';
import type { ApprovalStage, Flow } from '../../../../domain/flow/language.ts';
import { factsOfTest } from '../../../../domain/flow/testFacts.ts';
import { TestWorld } from '../../../../domain/flow/testWorld.ts';
import { flowOf, issue, security } from '../playedRequest.ts';
import { shippedFlows } from '../shippedFlowFiles.ts';
import { outcomeOn } from './formulaOnFacts.ts';

const paths = pathsOfFlows(shippedFlows);
const told = paths.map((path) => ({ path, words: `${path.flow?.metadata.name}: ${pathInWords(path)}` }));

test.each(told)('a request can go this path: $words', ({ path }) => {
  const { flow } = path;
  if (flow === undefined) throw new Error('every request is governed by a shipped flow');
  const facts = factsFor(flow, path);
  const world = new TestWorld({ flow, facts, flowAuthor: 'ann' });
  if (path.steps.some(({ outcome }) => outcome.is === 'published-meanwhile')) world.publishMeanwhile();
  const lifeMs = durationMs(flow.limits.requestTtl);
  const isAtEndOfLife = path.steps.some(({ outcome }) => outcome.is === 'request-timed-out');
  for (const { stage, outcome } of path.steps) {
    if ('stepUp' in stage && outcome.is === 'request-timed-out') world.wait(lifeMs);
    if ('stepUp' in stage && outcome.is === 'proven') {
      if (isAtEndOfLife) world.wait(lifeMs - 1);
      expect(stage.stepUp.by).toBe('onBehalfOf');
      world.confirm(facts.onBehalfOf, world.nowMs);
    }
    if (!('approval' in stage)) continue;
    expect(outcome.is === 'skipped' || outcome.is === 'passed-over' || world.stage === stage.id).toBe(true);
    const { escalate, timeout } = stage.approval;
    switch (outcome.is) {
      case 'approved':
        if (isAtEndOfLife) world.wait(durationMs(timeout.after) - 1);
        if (outcome.escalated && escalate !== undefined) world.wait(durationMs(escalate.after));
        for (const approver of approversOf(stage, facts, outcome.escalated)) world.decide(approver, 'approve');
        break;
      case 'denied-by-approver':
        for (const approver of approversOf(stage, facts, false)) world.decide(approver, 'deny');
        break;
      case 'timed-out':
      case 'request-timed-out':
        world.wait(durationMs(timeout.after));
        break;
      default:
        break;
    }
  }
  for (let step = 0; step < 50; step++) {
    const [order] = world.plan.effects;
    if (order !== undefined) world.succeed(order);
    else if (!world.fireTimer()) break;
  }
  expect({ state: world.requestState, reason: world.reason }).toEqual({ reason: undefined, ...path.end });
});

/** Whoever must decide, all different people; after an escalation one of them is of the wider group. */
function approversOf({ approval }: ApprovalStage, facts: Facts, escalated: boolean): readonly Approver[] {
  const people = approval.require.flatMap(({ from, count }) =>
    from === 'owner'
      ? [identityFactsOf(facts).owner]
      : Array.from({ length: count }, (_, nth) => ({ id: `${from}-${nth}`, active: true, groups: [from.slice(6)] })),
  );
  const [first, ...others] = people;
  const wider = { id: 'wider', active: true, groups: [approval.escalate?.to.slice(6) ?? ''] };
  return first !== undefined && escalated ? [wider, ...others] : people;
}

/** The first of many facts for which the conditions of the path are true. */
function factsFor(flow: Flow, path: FlowPath): Facts {
  const isByResponder = path.steps.some(({ outcome }) => outcome.is === 'passed-over');
  const fits = (facts: Facts): boolean =>
    // What others publish meanwhile is no fact of the request.
    path.conditions.every((condition) => isOfOthers(condition) || outcomeOn(condition, facts) === 'true');
  if (flow.on === 'publication') {
    const found = publicationFacts(flow).find(fits);
    if (found !== undefined) return found;
  }
  if (flow.on === 'step-up') {
    const found = stepUpFacts(flow).find(fits);
    if (found !== undefined) return found;
  }
  for (const trigger of triggers) {
    // The test world takes every incident for a responder's.
    if (flow.on === 'revocation' && (trigger === 'incident') !== isByResponder) continue;
    for (const environment of ['production', 'staging', 'elsewhere']) {
      for (const kind of ['service-account', 'api-key', 'agent'] as const) {
        for (const [active, owner] of [
          [true, 'olga'],
          [false, 'olga'],
          [true, 'rui'],
        ] as const) {
          for (const lifeHours of [-1, 24 * 30, 24 * 100]) {
            for (const labels of [{}, { environment: 'copied' }]) {
              const neutral = identityFactsOf(
                factsOfTest(flow, { request: { trigger }, owner: { active, id: owner } }),
              );
              const expiresAt = new Date(Date.parse(neutral.now) + lifeHours * 3_600_000).toISOString();
              const facts = { ...neutral, subject: { ...neutral.subject, environment, kind, labels, expiresAt } };
              if (fits(facts)) return facts;
            }
          }
        }
      }
    }
  }
  throw new Error(`No facts were found for: ${pathConditions(path).join(' and ')}`);
}

function stepUpFacts(flow: Flow): readonly Facts[] {
  const policies = [3, 2, 1, 0].map((covered) => ({
    coversAction: covered > 0,
    coversResource: covered > 1,
    coversWorkspace: covered > 2,
  }));
  const tools = ['development', 'production/eu'].flatMap((workspace) =>
    ['read', 'write'].map((action) => ({ workspace, action })),
  );
  const people = [{ id: '' }, { id: 'ana', active: true }, { id: 'ana', active: false }];
  const lives = ['2026-06-01T00:00:00Z', '2025-06-01T00:00:00Z'];
  return policies.flatMap((policy) =>
    tools.flatMap((tool) =>
      people.flatMap((onBehalfOf) =>
        [true, false].flatMap((active) =>
          lives.map((expiresAt) =>
            factsOfTest(flow, { policy, tool, onBehalfOf, owner: { active }, subject: { expiresAt } }),
          ),
        ),
      ),
    ),
  );
}

function publicationFacts(flow: Flow): readonly Facts[] {
  return [true, false].flatMap((isRollback) =>
    [0, 1].flatMap((weakens) =>
      [0, 1].flatMap((retires) =>
        [true, false].flatMap((active) =>
          ['person', 'pipeline'].map((kind) =>
            factsOfTest(flow, { publication: { isRollback, weakens, retires }, requester: { active, kind } }),
          ),
        ),
      ),
    ),
  );
}

function isOfOthers(condition: Formula): boolean {
  const atoms = atomsOf(condition);
  return atoms.some((atom) => atom.kind === 'flag' && atom.fact.path === 'other flows were published meanwhile');
}

test('no shipped flow lets a request through to its effect with a guard that could not be evaluated', () => {
  expect(paths.filter(({ end }) => end.reason === 'guard-error')).toEqual([]);
});

test('conditions are told as few and as short as they can be', () => {
  const completed = paths.filter(({ on, end }) => on === 'rotation' && end.state === 'completed').map(pathConditions);
  expect(completed).toContainEqual([
    'the kind is not agent',
    'the trigger is one of incident, schedule',
    'the identity has not expired',
  ]);
});

test('the picture of the same paths has the same bytes, and shows every stage and end', () => {
  const picture = pathPicture(paths);
  expect(pathPicture(pathsOfFlows(shippedFlows))).toBe(picture);
  for (const flow of shippedFlows) for (const { id } of flow.stages) expect(picture).toContain(`>${id}</text>`);
  for (const { end } of paths.filter(({ end }) => end.state === 'denied')) expect(picture).toContain(end.reason);
  expect(picture).toMatch(/^<svg [^>]*role="img" aria-labelledby="title description"/);
  expect(picture).not.toMatch(/<script|href|url\((?!#head)|@import|@font-face/);
});

test('a picture shows waits, how many must deny, and for whom a stage is waived', () => {
  const flow = flowOf('onboarding', [
    { ...security, approval: { ...security.approval, denials: 2 } },
    { id: 'cool-off', wait: { for: 'PT90M' } },
    issue,
  ]);
  const subject = { name: 'a<b', environment: 'production' };
  const exception = { id: 'spared', subject, stages: ['security'], until: '2027-01-31T00:00:00Z', because: 'a test' };
  const picture = pathPicture(pathsOfFlows([{ ...flow, exceptions: [exception] }]));
  expect(picture).toContain('wait 90 minutes');
  expect(picture).toContain('denied only by 2');
  expect(picture).toContain('denied by 2 of those who may');
  expect(picture).toContain('waived for a&lt;b in production until');
});

test('what a flow says cannot break out of its picture', () => {
  const [flow] = shippedFlows;
  if (flow === undefined) throw new Error('no flow is shipped');
  const named = { ...flow, metadata: { ...flow.metadata, name: '</text><script>"&' } };
  expect(pathPicture(pathsOfFlows([named]))).not.toContain('<script');
});
