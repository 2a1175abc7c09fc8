import fc from 'fast-check';
import { expect, test } from 'vitest';
import { diffFlows } from '../../../../domain/flow/analysis/diff.ts';
import type {
  ApprovalStage,
  Flow,
  FlowException,
  RiskWeight,
  Stage,
  StepUpStage,
} from '../../../../domain/flow/language.ts';
import { flowOf, issue, ownership, proof, revoke, security } from '../playedRequest.ts';
import { anyGuard } from './arbitraryGuards.ts';

const flow = flowOf('onboarding', [ownership, security, issue]);

const labels = (before: readonly Flow[], after: readonly Flow[]): readonly string[] =>
  diffFlows(before, after).changes.map(({ label, path }) => `${label} ${path}`);
const pathLabels = (before: readonly Flow[], after: readonly Flow[]): readonly string[] =>
  diffFlows(before, after).paths.map(({ label, because }) => `${label} ${because}`);

function approving(change: Partial<ApprovalStage['approval']>): Flow {
  return flowOf('onboarding', [ownership, { ...security, approval: { ...security.approval, ...change } }, issue]);
}

const verifying = (that: string): Flow =>
  flowOf('onboarding', [{ ...ownership, verify: { that, otherwise: 'owner-not-valid' } }, security, issue]);

test('a flow compared with itself has no change', () => {
  expect(diffFlows([flow], [flow])).toEqual({ changes: [], paths: [], weakens: false });
});

test.each<[string, Flow, string]>([
  [
    'one approver fewer',
    approving({ require: [{ from: 'group:security', count: 1 }] }),
    'stages.security.approval.require group:security',
  ],
  ['an owner who may approve', approving({ separation: ['requester'] }), 'stages.security.approval.separation'],
  [
    'an escalation to more people',
    approving({ escalate: { after: 'PT4H', to: 'group:all' } }),
    'stages.security.approval.escalate',
  ],
  [
    'an escalation that comes sooner',
    approving({ escalate: { after: 'PT1H', to: 'group:lead' } }),
    'stages.security.approval.escalate',
  ],
  [
    'a later time-out',
    approving({ timeout: { after: 'P2D', result: 'deny' } }),
    'stages.security.approval.timeout.after',
  ],
  ['a check that lets more pass', verifying('owner.active || requester.active'), 'stages.ownership.verify.that'],
  ['a check that lets others pass', verifying('requester.active'), 'stages.ownership.verify.that'],
  ['a stage left out', flowOf('onboarding', [security, issue]), 'stages.ownership'],
  [
    'a stage that does not always apply',
    flowOf('onboarding', [ownership, { ...security, when: 'risk.score > 1' }, issue]),
    'stages.security.when',
  ],
  [
    'a longer life of credentials',
    { ...flow, limits: { ...flow.limits, credentialTtl: 'P60D' } },
    'limits.credentialTtl',
  ],
  ['an approval that one person cannot block', approving({ denials: 2 }), 'stages.security.approval.denials'],
])('%s weakens, and the opposite strengthens', (_what, weaker, path) => {
  expect(labels([flow], [weaker])).toContain(`WEAKENS ${path}`);
  expect(diffFlows([flow], [weaker]).weakens).toBe(true);
  if (path.endsWith('escalate') || path.endsWith('that')) return;
  expect(labels([weaker], [flow])).toContain(`STRENGTHENS ${path}`);
  expect(diffFlows([weaker], [flow]).weakens).toBe(false);
});

test.each<[string, Flow]>([
  ['a guard written otherwise', verifying('!(owner.active == false)')],
  ['a role that is a requester anyway', approving({ separation: ['requester', 'owner'] })],
  ['a time-out that expires instead of denying', approving({ timeout: { after: 'P1D', result: 'expire' } })],
  [
    'another reason for a denial',
    flowOf('onboarding', [
      { id: 'ownership', verify: { that: 'owner.active', otherwise: 'gone' } },
      security,
      issue,
      { id: 'tell', notify: { to: ['owner'] } },
    ]),
  ],
  ['another description', { ...flow, metadata: { ...flow.metadata, description: 'other words' } }],
])('%s is neutral', (_what, changed) => {
  expect(diffFlows([flow], [changed])).toMatchObject({ weakens: false });
  expect(labels([flow], [changed]).length).toBeGreaterThan(0);
  expect(labels([flow], [changed]).every((label) => label.startsWith('NEUTRAL'))).toBe(true);
});

const coolingOff = (wait: string, when?: string): Flow =>
  flowOf('onboarding', [
    ownership,
    security,
    { id: 'cool-off', wait: { for: wait }, ...(when === undefined ? {} : { when }) },
    issue,
  ]);

test.each<[string, Flow, Flow, string]>([
  ['a shorter wait', coolingOff('PT2H'), coolingOff('PT1H'), 'stages.cool-off.wait.for'],
  ['a wait left out', coolingOff('PT2H'), flow, 'stages.cool-off'],
  [
    'a wait that does not always apply',
    coolingOff('PT2H'),
    coolingOff('PT2H', 'risk.score > 1'),
    'stages.cool-off.when',
  ],
])('%s weakens, and the opposite strengthens', (_what, stronger, weaker, path) => {
  expect(labels([stronger], [weaker])).toContain(`WEAKENS ${path}`);
  expect(pathLabels([stronger], [weaker])).toContain('WEAKENS it waits for less long');
  expect(labels([weaker], [stronger])).toContain(`STRENGTHENS ${path}`);
  expect(pathLabels([weaker], [stronger])).toContain('STRENGTHENS it waits for longer');
});

test('two waits in the place of one that lasted as long weaken nothing: the paths prove it', () => {
  const split = flowOf('onboarding', [
    ownership,
    security,
    { id: 'first', wait: { for: 'PT1H' } },
    { id: 'second', wait: { for: 'PT1H' } },
    issue,
  ]);
  expect(diffFlows([coolingOff('PT2H')], [split])).toMatchObject({ weakens: false, paths: [] });
});

const excepting = (change: Partial<FlowException> = {}): Flow => ({
  ...flow,
  exceptions: [
    {
      id: 'migration',
      subject: { name: 'payments-bot', environment: 'production' },
      stages: ['security'],
      until: '2027-01-31T00:00:00Z',
      because: 'a test',
      ...change,
    },
  ],
});

test.each<[string, Flow, Flow, RegExp]>([
  ['an exception', flow, excepting(), /^exceptions.migration$/],
  ['an exception that lasts longer', excepting(), excepting({ until: '2027-02-28T00:00:00Z' }), /until$/],
  ['an exception from more', excepting(), excepting({ stages: ['security', 'ownership'] }), /stages$/],
])('%s weakens and names its subject and end, and the opposite strengthens', (_what, before, after, path) => {
  const [weaker] = diffFlows([before], [after]).changes;
  expect(weaker).toMatchObject({ label: 'WEAKENS', path: expect.stringMatching(path) });
  expect(`${weaker?.is} ${weaker?.because}`).toContain('payments-bot in production');
  expect(pathLabels([before], [after])).toContainEqual(expect.stringContaining('WEAKENS'));
  expect(diffFlows([after], [before])).toMatchObject({
    changes: [{ label: 'STRENGTHENS' }],
    weakens: false,
  });
});

test('an exception for another subject weakens, in whichever direction it is changed; its wording does not', () => {
  const other = excepting({ subject: { id: 'qsch47vxnzj47kmpqx6qtfacpi' } });
  expect(labels([excepting()], [other])).toEqual(['WEAKENS exceptions.migration.subject']);
  expect(labels([other], [excepting()])).toEqual(['WEAKENS exceptions.migration.subject']);
  expect(labels([excepting()], [excepting({ because: 'another word' })])).toEqual([
    'NEUTRAL exceptions.migration.because',
  ]);
});

test('a check that another makes as well may go: the paths prove that nothing is easier', () => {
  const twice = flowOf('onboarding', [ownership, { ...ownership, id: 'again' }, security, issue]);
  const [change] = diffFlows([twice], [flow]).changes;
  expect(change).toMatchObject({ label: 'NEUTRAL', path: 'stages.again', because: expect.stringContaining('proved') });
  // A revocation asks nothing again: the second look was one of its own.
  const revocations = [
    [ownership, security, { ...ownership, id: 'again' }, revoke],
    [ownership, security, revoke],
  ];
  const [before, after] = revocations.map((stages) => flowOf('revocation', stages));
  if (before === undefined || after === undefined) throw new Error('two flows are compared');
  expect(diffFlows([before], [after]).weakens).toBe(true);
});

test('a new flow that takes requests from a stricter one is seen by its paths, whatever its own fields', () => {
  const connectors: Flow = {
    ...flowOf('onboarding', [ownership, issue]),
    subject: { kind: 'connector' },
    metadata: { ...flow.metadata, name: 'connectors' },
  };
  const { paths, weakens } = diffFlows([flow], [flow, connectors]);
  expect(weakens).toBe(true);
  expect(paths).toHaveLength(1);
  expect(paths[0]).toMatchObject({
    label: 'WEAKENS',
    because: 'fewer people must agree, or more may',
    conditions: expect.arrayContaining(['the kind is connector']),
    was: expect.stringContaining('issue after 2 of group:security'),
    is: 'issue without any approval (connectors)',
  });
  expect(pathLabels([flow, connectors], [flow])).toEqual(['STRENGTHENS more people must agree, and can block']);
});

test('a flow that names agents takes nothing from one that does not: agents were let in by none', () => {
  const agents: Flow = { ...flow, subject: { kind: 'agent' }, metadata: { ...flow.metadata, name: 'agents' } };
  expect(diffFlows([flow], [flow, agents]).paths).toMatchObject([
    { label: 'WEAKENS', conditions: expect.arrayContaining(['the kind is agent']), was: 'denied: no-flow (no flow)' },
  ]);
});

test('requests that no flow governed and one does now are let through newly', () => {
  const production: Flow = { ...flow, subject: { where: 'subject.environment == "production"' } };
  expect(pathLabels([production], [flow])).toEqual(['WEAKENS it is let through now']);
  expect(pathLabels([flow], [production])).toEqual(['STRENGTHENS it is denied now']);
});

test('whatever a guard becomes, it is called weaker exactly when the paths or its meaning say so, and never both ways', () => {
  fc.assert(
    fc.property(anyGuard, anyGuard, (before, after) => {
      const [was, is] = [verifying(before), verifying(after)];
      const [there, back] = [diffFlows([was], [is]), diffFlows([is], [was])];
      const isWeaker = there.paths.some(({ label }) => label === 'WEAKENS');
      expect(there.weakens).toBe(isWeaker);
      // What is let through newly one way is denied the other.
      expect(back.paths.some(({ label }) => label === 'STRENGTHENS')).toBe(isWeaker);
    }),
    { numRuns: 100 },
  );
});

test('many approvals are compared in the time that they take', () => {
  const many = (length: number): Flow => {
    const { escalate: _escalate, ...approval } = security.approval;
    return flowOf('onboarding', [...Array.from({ length }, (_, index) => ({ id: `s${index}`, approval })), issue]);
  };
  expect(pathLabels([many(28)], [many(27)])).toEqual(['WEAKENS fewer people must agree, or more may']);
});

const proving = (change: Partial<StepUpStage['stepUp']> = {}, rest: Partial<Stage> = {}): Flow =>
  flowOf('onboarding', [
    ownership,
    { ...proof, ...rest, stepUp: { ...proof.stepUp, ...change } } as Stage,
    security,
    issue,
  ]);

test.each<[string, Flow, string, string]>([
  ['a proof left out', flow, 'stages.proof', 'less of it is proven afresh, or by other people'],
  [
    'a longer life of the sign-in',
    proving({ maxAge: 'PT1H' }),
    'stages.proof.stepUp.maxAge',
    'less of it is proven afresh, or by other people',
  ],
  [
    'a proof that is not always asked',
    proving({}, { when: 'size(subject.scopes) > 1' }),
    'stages.proof.when',
    'less of it is proven afresh, or by other people',
  ],
])('%s weakens, and the opposite strengthens', (_what, weaker, path, because) => {
  expect(labels([proving()], [weaker])).toContain(`WEAKENS ${path}`);
  expect(pathLabels([proving()], [weaker])).toContain(`WEAKENS ${because}`);
  expect(labels([weaker], [proving()])).toContain(`STRENGTHENS ${path}`);
  expect(diffFlows([weaker], [proving()]).weakens).toBe(false);
});

test('a proof by somebody else weakens, whoever that is', () => {
  for (const [one, another] of [
    [proving(), proving({ by: 'requester' })],
    [proving({ by: 'requester' }), proving()],
  ] as const)
    expect(labels([one], [another])).toEqual(['WEAKENS stages.proof.stepUp.by']);
});

const production = { when: 'subject.environment == "production"', add: 30, because: 'production' };
const admin = { when: '"admin" in subject.scopes', add: 40, because: 'admin scope' };
const reviewed = { when: 'owner.active', add: -20, because: 'owned' };
const weighing = (when: string, ...weights: readonly RiskWeight[]): Flow => ({
  ...flowOf('onboarding', [{ ...security, when }, issue]),
  risk: { weights },
});
const asking = (...weights: readonly RiskWeight[]): Flow => weighing('risk.score >= 60', ...weights);

test.each<[string, Flow, string]>([
  ['a weight that is gone', asking(production), 'risk admin scope'],
  ['a weight that adds less', asking(production, { ...admin, add: 20 }), 'risk admin scope'],
  [
    'a weight that counts for fewer',
    asking(production, { ...admin, when: `${admin.when} && owner.active` }),
    'risk admin scope',
  ],
  ['a weight that speaks against the risk', asking(production, admin, reviewed), 'risk owned'],
])('%s weakens where a stage asks for the score, and the opposite strengthens', (_what, weaker, path) => {
  const stronger = asking(production, admin);
  expect(labels([stronger], [weaker])).toEqual([`WEAKENS ${path}`]);
  expect(pathLabels([stronger], [weaker])).toEqual(['WEAKENS fewer people must agree, or more may']);
  expect(labels([weaker], [stronger])).toEqual([`STRENGTHENS ${path}`]);
  expect(diffFlows([weaker], [stronger]).weakens).toBe(false);
});

test('a weight that makes no path easier is neutral: nothing asks for it, it means the same, or the paths prove it', () => {
  const unasked = (...weights: readonly RiskWeight[]): Flow => weighing('owner.active', ...weights);
  const neutral: readonly (readonly [Flow, Flow, RegExp])[] = [
    [unasked(production, admin), unasked(production), /only shown/],
    [asking(production, admin), asking(production, { ...admin, when: `!(!(${admin.when}))` }), /means the same/],
    [asking(production, admin), asking({ ...production, add: 25 }, admin), /proved/],
  ];
  for (const [before, after, because] of neutral)
    expect(diffFlows([before], [after])).toMatchObject({
      changes: [{ label: 'NEUTRAL', because: expect.stringMatching(because) }],
      paths: [],
    });
});

test('a higher score weakens where a stage asks for a low one', () => {
  const low = (add: number): Flow => weighing('risk.score < 60', production, { ...admin, add });
  expect(labels([low(20)], [low(40)])).toEqual(['WEAKENS risk admin scope']);
  expect(diffFlows([low(20)], [low(40)]).weakens).toBe(true);
});
