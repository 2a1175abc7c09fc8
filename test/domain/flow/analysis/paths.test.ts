import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pathConditions } from '../../../../domain/flow/analysis/conditions.ts';
import type { FlowPath } from '../../../../domain/flow/analysis/path.ts';
import { pathLimit, pathsOfFlows } from '../../../../domain/flow/analysis/paths.ts';
import { stepWords } from '../../../../domain/flow/analysis/pathWords.ts';
import { TooComplex } from '../../../../domain/flow/analysis/theory.ts';
import type { IdentityRequestFacts as Facts } from '../../../../domain/flow/facts.ts';
import { type Flow, type Stage, stepUpParties } from '../../../../domain/flow/language.ts';
import { selectFlow } from '../../../../domain/flow/select.ts';
import { proverAt } from '../../../../domain/flow/stages.ts';
import { TestWorld } from '../../../../domain/flow/testWorld.ts';
import { exampleFacts } from '../exampleFacts.ts';
import { flowOf, issue, ownership, proof, revoke, rotate, security } from '../playedRequest.ts';
import { anyFacts, anyGuard, anyGuardBeforeRisk } from './arbitraryGuards.ts';
import { outcomeOn } from './formulaOnFacts.ts';

const effects = { onboarding: issue, rotation: rotate, revocation: revoke } as const;

const anyStage: fc.Arbitrary<Stage> = fc
  .tuple(
    fc.oneof(
      anyGuard.map((that) => ({ verify: { that, otherwise: 'not-so' } })),
      fc.constantFrom('deny' as const, 'expire' as const).map((result) => ({
        approval: { ...security.approval, timeout: { after: 'P1D', result } },
      })),
      fc.constantFrom(...stepUpParties).map((by) => ({ stepUp: { ...proof.stepUp, by } })),
      fc.constant({ notify: { to: ['owner'] } }),
      fc.constant({ wait: { for: 'PT1H' } }),
    ),
    fc.option(anyGuard, { nil: undefined }),
  )
  .map(([what, when]) => ({ id: 'unnamed', ...what, ...(when === undefined ? {} : { when }) }));

function withWeights(flow: Flow, weights: readonly { readonly when: string; readonly add: number }[]): Flow {
  if (weights.length === 0) return flow;
  return { ...flow, risk: { weights: weights.map((weight, index) => ({ ...weight, because: `weight ${index}` })) } };
}

const anyFlow: fc.Arbitrary<Flow> = fc
  .record({
    on: fc.constantFrom('onboarding' as const, 'rotation' as const, 'revocation' as const),
    before: fc.array(anyStage, { maxLength: 3 }),
    notice: fc.option(anyGuard, { nil: undefined }),
    // Long over, or far off: hours do not matter.
    until: fc.constantFrom(undefined, '2020-01-01T00:00:00Z', '2035-01-01T00:00:00Z'),
    environment: fc.constantFrom('production', 'staging'),
    weights: fc.array(fc.record({ when: anyGuardBeforeRisk, add: fc.integer({ min: -40, max: 60 }) }), {
      maxLength: 2,
    }),
  })
  .map(({ on, before, notice, until, environment, weights }) => {
    const named = before.map((stage, index) => ({ ...stage, id: `s${index}` }));
    const tell: Stage[] = notice === undefined ? [] : [{ id: 'tell', when: notice, notify: { to: ['owner'] } }];
    const flow = withWeights(flowOf(on, [...named, effects[on], ...tell]), weights);
    const waivable = named.filter((stage) => !('notify' in stage)).map(({ id }) => id);
    if (until === undefined || waivable.length === 0) return flow;
    const subject = { name: exampleFacts.subject.name, environment };
    return { ...flow, exceptions: [{ id: 'spared', subject, stages: waivable.slice(0, 2), until, because: 'a test' }] };
  });

type Human = 'approve' | 'approve late' | 'deny' | 'wait';
const anyHumans = fc.array(fc.constantFrom<Human>('approve', 'approve late', 'deny', 'wait'), {
  minLength: 3,
  maxLength: 3,
});

const lead = { id: 'lea', active: true, groups: ['lead'] };
const approvers = ['sam', 'sue'].map((id) => ({ id, active: true, groups: ['security'] }));

/** Plays a request to its end, as people act at each approval; everything else succeeds. */
function played(
  flow: Flow,
  facts: Facts,
  humans: readonly Human[],
): { world: TestWorld; approvals: Map<string, boolean> } {
  const world = new TestWorld({ flow, facts, flowAuthor: 'ann' });
  const approvals = new Map<string, boolean>();
  for (let human = 0, step = 0; step < 60; step++) {
    const [order] = world.plan.effects;
    if (order !== undefined) world.succeed(order);
    else if (world.requestState === 'awaiting-approval') {
      act(world, humans[human++] ?? 'approve', approvals);
    } else if (world.requestState === 'awaiting-proof') {
      prove(world, humans[human++] ?? 'approve');
    } else if (!world.fireTimer()) break;
  }
  return { world, approvals };
}

function act(world: TestWorld, how: Human, approvals: Map<string, boolean>): void {
  const at = world.stage ?? '';
  const [first, second] = approvers;
  if (first === undefined || second === undefined) throw new Error('two approvers are needed');
  if (how === 'deny') world.decide(first, 'deny');
  else if (how === 'wait') world.wait(25 * 3_600_000);
  else {
    if (how === 'approve late') world.wait(5 * 3_600_000);
    world.decide(first, 'approve');
    world.decide(how === 'approve late' ? lead : second, 'approve');
    approvals.set(at, how === 'approve late');
  }
}

/** Whoever is asked proves it, or nobody does and the request lives out its time. */
function prove(world: TestWorld, how: Human): void {
  const stage = world.flow.stages.find(({ id }) => id === world.stage);
  const prover = stage !== undefined && 'stepUp' in stage ? proverAt(stage, world.ledgerFacts) : undefined;
  if (how === 'wait' || prover === undefined) world.fireTimer();
  else world.confirm({ id: prover, active: true, groups: [] }, world.nowMs);
}

/** Some generated weights and guards are more entangled than anybody could review: refused, as they are to be. */
function pathsUnlessRefused(flow: Flow): readonly FlowPath[] | undefined {
  try {
    return pathsOfFlows([flow]);
  } catch (error) {
    if (error instanceof TooComplex) return undefined;
    throw error;
  }
}

const isTrueOf = (path: FlowPath, facts: Facts): boolean =>
  path.conditions.every((condition) => outcomeOn(condition, facts) === 'true');

test('whatever happens to a request is one of the enumerated paths, and its conditions are true', () => {
  const ends = new Set<string>();
  fc.assert(
    fc.property(anyFlow, anyFacts, anyHumans, (flow, given, humans) => {
      const facts: Facts = { ...given, request: { ...given.request, kind: flow.on } };
      fc.pre('found' in selectFlow([{ flow }], facts));
      const { world, approvals } = played(flow, facts, humans);
      const paths = pathsUnlessRefused(flow);
      fc.pre(paths !== undefined);
      const possible = paths.filter(
        (path) =>
          path.end.state === world.requestState &&
          path.end.reason === world.reason &&
          (path.end.state === 'completed' || path.steps.at(-1)?.stage.id === world.stage) &&
          path.steps.every(
            ({ stage, outcome }) => outcome.is !== 'approved' || approvals.get(stage.id) === outcome.escalated,
          ),
      );
      // The clock has moved by hours; guards on time may have changed their answers since.
      const isSame = isSteady(facts, given.now);
      expect(possible.length).toBeGreaterThan(0);
      if (isSame) expect(possible.filter((path) => isTrueOf(path, facts))).toHaveLength(1);
      ends.add(`${world.requestState} ${world.reason}`);
    }),
    { numRuns: 200 },
  );
  expect(ends.size).toBeGreaterThan(5);
});

/** Far from every bound that guards compare time with, so that hours do not matter. */
function isSteady(facts: Facts, now: string): boolean {
  const lifeHours = (Date.parse(facts.subject.expiresAt) - Date.parse(now)) / 3_600_000;
  return lifeHours === 2400 || lifeHours < 0;
}

test('of several flows, the paths of exactly one selection are true for any facts', () => {
  const anySubject = fc.record(
    { kind: fc.constantFrom('agent' as const, 'service-account' as const), where: anyGuard },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.array(anySubject, { minLength: 1, maxLength: 4 }), anyFacts, (subjects, given) => {
      const flows = subjects.map((subject, index): Flow => {
        const flow = flowOf('onboarding', [issue]);
        return { ...flow, subject, metadata: { ...flow.metadata, name: `flow-${index}` } };
      });
      const facts: Facts = { ...given, subject: { ...given.subject, expiresAt: '2030-01-01T00:00:00Z' } };
      const selected = selectFlow(
        flows.map((flow) => ({ flow })),
        facts,
      );
      const paths = pathsOfFlows(flows).filter((path) => isTrueOf(path, facts));
      const reasons = new Set(paths.map((path) => path.flow?.metadata.name ?? path.end.reason));
      const expected =
        'found' in selected ? selected.found.flow.metadata.name : 'none' in selected ? selected.none : 'ambiguous-flow';
      expect([...reasons]).toEqual([expected]);
    }),
    { numRuns: 300 },
  );
});

test('an owner who leaves while people decide is on a path of its own', () => {
  const again: Stage = { ...ownership, id: 'again' };
  const paths = pathsOfFlows([flowOf('onboarding', [ownership, security, again, issue])]);
  const refused = paths
    .filter(({ end }) => end.reason === 'owner-not-valid')
    .map(({ steps }) => steps.map(({ outcome }) => outcome.is));
  expect(refused).toContainEqual(['verified', 'approved', 'refused']);
});

test('on a path to an effect, all guards are true at one instant, for all are asked again', () => {
  const gone: Stage = { id: 'gone', verify: { that: '!owner.active', otherwise: 'still-there' } };
  const ends = (on: 'onboarding' | 'revocation') =>
    pathsOfFlows([flowOf(on, [ownership, security, gone, effects[on]])]).map(({ end }) => end.state);
  expect(ends('onboarding')).not.toContain('completed');
  // A revocation asks nothing again.
  expect(ends('revocation')).toContain('completed');
});

test('a request can end before its approval does only where its life is that short', () => {
  const ends = (requestTtl: string) => {
    const flow = flowOf('onboarding', [security, { ...security, id: 'second' }, issue]);
    const paths = pathsOfFlows([{ ...flow, limits: { ...flow.limits, requestTtl } }]);
    return paths
      .filter(({ end }) => end.state !== 'completed' && end.reason?.endsWith('timeout'))
      .map(({ steps, end }) => `${steps.at(-1)?.stage.id}: ${end.reason}`);
  };
  for (const long of ['P3D', 'P2D'])
    expect(new Set(ends(long))).toEqual(new Set(['security: approval-timeout', 'second: approval-timeout']));
  expect(new Set(ends('PT47H'))).toEqual(
    new Set(['security: approval-timeout', 'second: approval-timeout', 'second: request-timeout']),
  );
  expect(new Set(ends('P1D'))).toEqual(new Set(['security: request-timeout', 'second: request-timeout']));
});

test('a wait takes its time: what it leaves too little for expires, and what it leaves none for is not reached', () => {
  const ends = (...waits: readonly string[]) => {
    const stages = waits.map((long, index): Stage => ({ id: `w${index}`, wait: { for: long } }));
    return pathsOfFlows([
      flowOf('onboarding', [...stages, { ...security, when: 'size(subject.scopes) > 1' }, issue]),
    ]).map(({ steps, end }) => `${steps.at(-1)?.stage.id}: ${end.reason ?? end.state}`);
  };
  expect(ends('P1D')).not.toContain('security: request-timeout');
  expect(ends('P2D', 'PT1H')).toContain('security: request-timeout');
  expect(ends('P2D', 'PT1H')).toContain('issue: completed');
  expect(ends('P2D', 'P1D').filter((end) => !end.startsWith('undefined'))).toEqual(['w1: request-timeout']);
});

test('an exception is one more branch: for its subject, before its end, and everybody else is asked', () => {
  const flow: Flow = {
    ...flowOf('onboarding', [security, issue]),
    exceptions: ['one', 'two'].map((id) => ({
      id,
      subject: { name: `bot-${id}`, environment: 'production' },
      stages: ['security'],
      until: '2027-01-31T00:00:00Z',
      because: 'a test',
    })),
  };
  const told = pathsOfFlows([flow])
    .filter(({ end }) => end.state === 'completed')
    .map((path) => [path.steps.map(stepWords), pathConditions(path)]);
  expect(told[0]).toEqual([
    [
      'waived for bot-one in production until 2027-01-31T00:00:00Z or bot-two in production until 2027-01-31T00:00:00Z',
      'the credential is issued',
    ],
    expect.arrayContaining(['the identity has not expired']),
  ]);
  expect(String(told[0]?.[1])).toContain('the name is bot-one');
  expect(String(told[1]?.[0])).toContain('approved by 2 of group:security');
});

test('a hundred exceptions are told in no more paths than one', () => {
  const flow = flowOf('onboarding', [ownership, security, issue]);
  const count = (exceptions: number): number =>
    pathsOfFlows([
      {
        ...flow,
        exceptions: Array.from({ length: exceptions }, (_, index) => ({
          id: `e${index}`,
          subject: { name: `bot ${index}`, environment: index % 2 === 0 ? 'production' : 'staging' },
          stages: ['ownership', 'security'],
          until: new Date(Date.UTC(2027, 0, 1 + index)).toISOString(),
          because: 'a test',
        })),
      },
    ]).length;
  expect(count(100)).toBe(count(1));
});

test('a flow with more paths than anybody reads is refused by name', () => {
  const stages = Array.from(
    { length: 10 },
    (_, index): Stage => ({
      id: `s${index}`,
      when: `"s${index}" in subject.scopes`,
      notify: { to: ['owner'] },
    }),
  );
  expect(() => pathsOfFlows([flowOf('onboarding', [...stages, issue])])).toThrow(TooComplex);
  expect(() => pathsOfFlows([flowOf('onboarding', [...stages, issue])])).toThrow(
    `The paths of flow tested cannot all be told: There are more than ${pathLimit} paths.`,
  );
});
