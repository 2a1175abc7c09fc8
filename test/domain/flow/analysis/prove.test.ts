import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Invariant, parseInvariants } from '../../../../domain/flow/analysis/invariants.ts';
import { proveInvariants, violationInWords } from '../../../../domain/flow/analysis/prove.ts';
import type { ApprovalStage, Flow, FlowException, Stage, StepUpStage } from '../../../../domain/flow/language.ts';
import { flowOf, issue, ownership, revoke, security } from '../playedRequest.ts';
import { shippedDirectory, shippedFlows } from '../shippedFlowFiles.ts';

const shipped = invariantsOf(readFileSync(join(shippedDirectory, 'invariants.yaml'), 'utf8'));

function invariantsOf(source: string): readonly Invariant[] {
  const parsed = parseInvariants(source, 'invariants.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return parsed.invariants;
}

const broken = (of: readonly Flow[], invariants: readonly Invariant[] = shipped): readonly string[] =>
  proveInvariants(of, invariants)
    .filter(({ violations }) => violations.length > 0)
    .map(({ invariant }) => invariant.id);

test('every shipped invariant holds on every path of the shipped flows, and speaks of some', () => {
  const proofs = proveInvariants(shippedFlows, shipped);
  expect(proofs.flatMap(({ violations }) => violations)).toEqual([]);
  expect(proofs.filter(({ paths }) => paths === 0)).toEqual([]);
});

/** The shipped flows with one stage of one of them changed. */
function changed(name: string, id: string, change: (stage: Stage) => readonly Stage[]): readonly Flow[] {
  return shippedFlows.map((flow) =>
    flow.metadata.name === name
      ? { ...flow, stages: flow.stages.flatMap((stage) => (stage.id === id ? change(stage) : [stage])) }
      : flow,
  );
}

function approvalWith(stage: Stage, change: Partial<ApprovalStage['approval']>): readonly Stage[] {
  if (!('approval' in stage)) throw new Error(`${stage.id} is no approval`);
  return [{ ...stage, approval: { ...stage.approval, ...change } }];
}

const keepingOwner = (stage: Stage) => approvalWith(stage, { separation: ['requester', 'onBehalfOf'] });

const usual = 'onboarding-default';
const oneOfSecurity = { require: [{ from: 'group:security', count: 1 }] };

test.each([
  [
    'one approver fewer',
    changed(usual, 'security', (stage) => approvalWith(stage, oneOfSecurity)),
    'production-needs-two',
  ],
  [
    'owners who may approve',
    changed(usual, 'security', (stage) => approvalWith(stage, { separation: ['requester'] })),
    'production-needs-two',
  ],
  [
    'an escalation to everybody',
    changed(usual, 'security', (stage) => approvalWith(stage, { escalate: { after: 'PT4H', to: 'group:all' } })),
    'production-needs-two',
  ],
  [
    'an approval that does not always apply',
    changed(usual, 'security', (stage) => [
      { ...stage, when: 'subject.environment == "production" && risk.score > 0' },
    ]),
    'production-needs-two',
  ],
  [
    'a check left out',
    changed('onboarding-production-service-account', 'expiry', () => []),
    'nothing-issues-unverified',
  ],
  [
    'a check that owners who left can pass',
    changed(usual, 'ownership', (stage) =>
      'verify' in stage ? [{ ...stage, verify: { ...stage.verify, that: 'owner.active || risk.score < 1' } }] : [],
    ),
    'nothing-issues-unverified',
  ],
  [
    'a deployment that asks nobody',
    changed('rotation-default', 'security', (stage) => [
      { ...stage, when: 'request.trigger == "person" && subject.environment == "production"' },
    ]),
    'rotation-after-deployment-needs-approval',
  ],
  [
    'a schedule that waits',
    changed('rotation-default', 'security', ({ when: _when, ...stage }) => [stage]),
    'scheduled-rotation-waits-for-nobody',
  ],
  [
    'an agent that its owner lets in',
    changed('onboarding-agent', 'policy', keepingOwner),
    'agents-are-let-in-by-security',
  ],
  ['one that nobody looks at', changed('onboarding-agent', 'policy', () => []), 'agents-are-let-in-by-security'],
  [
    'a key of an agent that its owner agrees to',
    changed('rotation-agent', 'key', keepingOwner),
    'agents-keys-are-agreed-to',
  ],
  [
    'a key of an agent below production that nobody agrees to',
    changed('rotation-agent', 'key', (stage) => [{ ...stage, when: 'subject.environment == "production"' }]),
    'agents-keys-are-agreed-to',
  ],
  ['a review without its owner', changed('review-default', 'attest', () => []), 'review-needs-owner-and-security'],
])('%s breaks the invariant against it', (_what, weakened, id) => {
  expect(broken(weakened)).toContain(id);
});

test('a flow beside the others that is more specific cannot slip through', () => {
  const agents: Flow = {
    ...flowOf('onboarding', [issue]),
    subject: { kind: 'agent', where: 'subject.name == "mine"' },
  };
  expect(broken([...shippedFlows, agents])).toEqual([
    'nothing-issues-unverified',
    'production-needs-two',
    'agents-are-let-in-by-security',
  ]);
});

const stating = (require: string, where = 'true'): readonly Invariant[] =>
  invariantsOf(`apiVersion: tenure/v1
kind: Invariants
invariants:
  - {id: stated, title: for a test, on: onboarding, where: '${where}', require: [${require}]}
`);

test('what guards say in other words is verified all the same, and what they nearly say is not', () => {
  const stage: Stage = {
    id: 'env',
    verify: { that: '!(subject.environment != "a" && subject.environment != "b")', otherwise: 'no' },
  };
  const flow = flowOf('onboarding', [stage, issue]);
  expect(broken([flow], stating(`{verified: 'subject.environment in ["b", "a", "c"]'}`))).toEqual([]);
  expect(broken([flow], stating(`{verified: 'subject.environment == "a"'}`))).toEqual(['stated']);
});

test('what was verified before people were waited for still holds at an issue, and need not at a revocation', () => {
  const verified: Invariant['require'] = [{ verified: 'owner.active' }];
  const on = (operation: Flow['on']): readonly Invariant[] => [
    { id: 'active', title: 'active', on: operation, require: verified },
  ];
  expect(broken([flowOf('onboarding', [ownership, security, issue])], on('onboarding'))).toEqual([]);
  expect(broken([flowOf('revocation', [security, ownership, revoke])], on('revocation'))).toEqual(['active']);
});

test('two approvals are two people only within one stage', () => {
  const single: Stage = { ...security, approval: { ...security.approval, ...oneOfSecurity } };
  const require = '{approvals: {from: [group:security, group:lead], atLeast: 2}}';
  expect(broken([flowOf('onboarding', [single, { ...single, id: 'again' }, issue])], stating(require))).toEqual([
    'stated',
  ]);
  const both = {
    require: [
      { from: 'group:security', count: 1 },
      { from: 'group:lead', count: 1 },
    ],
  };
  const together: Stage = { ...security, approval: { ...security.approval, ...both } };
  expect(broken([flowOf('onboarding', [together, issue])], stating(require))).toEqual([]);
});

const coolOff: Stage = { id: 'cool-off', wait: { for: 'PT1H' } };

test('waits are proved to last so long together, on every path', () => {
  const invariants = invariantsOf(`apiVersion: tenure/v1
kind: Invariants
invariants:
  - {id: cooled, title: every issue can be objected to for two hours, on: onboarding, require: [{waited: PT2H}]}
`);
  const again: Stage = { ...coolOff, id: 'again' };
  expect(broken([flowOf('onboarding', [coolOff, security, again, issue])], invariants)).toEqual([]);
  const sometimes: Stage = { ...again, when: 'risk.score > 5' };
  const [proof] = proveInvariants([flowOf('onboarding', [coolOff, sometimes, issue])], invariants);
  expect(proof?.violations.map(({ missing }) => missing)).toEqual(['its waits do not last 2 hours']);
});

describe('an exception', () => {
  const exception: FlowException = {
    id: 'migration',
    subject: { name: 'payments-bot', environment: 'production' },
    stages: ['ownership', 'security', 'cool-off'],
    until: '2027-01-31T00:00:00Z',
    because: 'for a month',
  };
  const excepting = { ...flowOf('onboarding', [ownership, security, coolOff, issue]), exceptions: [exception] };
  const require = ['verified: owner.active', 'approvals: {from: group:security, atLeast: 2}', 'waited: PT1H'];
  const invariants = (rest = '') =>
    invariantsOf(`apiVersion: tenure/v1
kind: Invariants
invariants:
${require.map((one, index) => `  - {id: i${index}, title: t, on: onboarding, require: [{${one.replace('group:security', "'group:security', 'group:lead'").replace('from: ', 'from: [').replace(', atLeast', '], atLeast')}}]${rest}}`).join('\n')}
`);

  test('breaks every invariant that its stages kept, and is named with its subject and end', () => {
    const proofs = proveInvariants([excepting], invariants());
    expect(proofs.map(({ violations }) => violations.length)).toEqual([1, 1, 1]);
    for (const { violations } of proofs) {
      const words = violations.flatMap(violationInWords).join('\n');
      expect(words).toContain('waived for payments-bot in production until 2027-01-31T00:00:00Z');
      expect(words).toContain('it is before 2027-01-31T00:00:00.000Z');
    }
  });

  test('leaves them to everybody else, and to those that may be waived', () => {
    expect(broken([{ ...excepting, exceptions: [] }], invariants())).toEqual([]);
    const proofs = proveInvariants([excepting], invariants(', mayBeWaived: true'));
    expect(proofs.map(({ violations }) => violations.length)).toEqual([0, 0, 0]);
    for (const { paths } of proofs) expect(paths).toBeGreaterThan(0);
  });

  test('breaks nothing where the invariant speaks of others', () => {
    const [first] = invariants();
    if (first === undefined) throw new Error('there are invariants');
    const elsewhere = { ...first, where: 'subject.environment == "staging"' };
    expect(broken([excepting], [elsewhere])).toEqual([]);
    expect(broken([excepting], [{ ...first, where: 'subject.name == "payments-bot"' }])).toEqual(['i0']);
  });
});

test('a violation shows the shortest path that breaks it, in words', () => {
  const weakened = changed(usual, 'security', (stage) => approvalWith(stage, oneOfSecurity));
  const [violation] = proveInvariants(weakened, shipped).flatMap(({ violations }) => violations);
  if (violation === undefined) throw new Error('nothing was violated');
  const [missing, path, when] = violationInWords(violation);
  expect(missing).toMatch(/^no stage of it has the approval of 2 of group:security or group:security-lead/);
  expect(path).toMatch(
    /of onboarding-default: ownership: verified → .* → security: approved by 1 of group:security \(not/,
  );
  expect(when).toContain('the environment is production');
});

test('an invariant that speaks of no path says so', () => {
  const [proof] = proveInvariants([flowOf('onboarding', [issue])], stating('{verified: owner.active}', 'false'));
  expect(proof).toMatchObject({ paths: 0, violations: [] });
});

test('invariants of another version of the language are refused by its name alone', () => {
  const parsed = parseInvariants(
    'apiVersion: tenure/v2\nkind: Invariants\ninvariants: all of them\n',
    'invariants.yaml',
  );
  expect(parsed.ok ? [] : parsed.errors).toEqual([
    expect.objectContaining({ path: 'apiVersion', reason: expect.stringContaining('tenure/v1, not tenure/v2') }),
  ]);
});

test('mistakes in a file of invariants stand at their places, all at once', () => {
  const source = `apiVersion: tenure/v1
kind: Invariants
invariants:
  - {id: one, title: t, on: onbording, require: [{verified: owner.actve}]}
  - {id: one, title: t, on: onboarding, requires: [], require: [{verified: owner.active, asks: nobody}]}
  - {id: two, title: t, on: onboarding, require: [{approvals: {from: security, atLeast: 0}}]}
`;
  const parsed = parseInvariants(source, 'invariants.yaml');
  if (parsed.ok) throw new Error('the file has mistakes');
  expect(parsed.errors.map(({ line, reason }) => `${line}: ${reason}`)).toEqual([
    '4: must be one of onboarding, step-up, rotation, revocation, review, invocation, publication',
    expect.stringMatching(/^4: guard: owner has no field 'actve'/),
    "5: there is an invariant 'one' already",
    "5: there is no 'requires' here; known are id, title, on, where, require, mayBeWaived",
    '5: a requirement has exactly one of verified, approvals, stepUp, waited, asks',
    '6: write owner or group:<name>, in lower-case ASCII, or a list of those',
    '6: must be at least 1',
  ]);
});

const granting = (...stages: readonly Stage[]): Flow => ({
  ...flowOf('step-up', [...stages, { id: 'grant', effect: 'grant' }]),
  on: 'step-up',
  risk: {
    weights: [
      { when: 'subject.environment == "production"', add: 30, because: 'production' },
      { when: 'subject.scopes.exists(s, s == "admin")', add: 40, because: 'admin scope' },
    ],
  },
});
const confirm = (change: Partial<StepUpStage['stepUp']> = {}, when = 'risk.score >= 60'): Stage => ({
  id: 'confirm',
  when,
  stepUp: { method: 'session', by: 'onBehalfOf', maxAge: 'PT5M', ...change },
});

test('high-risk access of agents without a step-up breaks the shipped invariant, however the flow says it', () => {
  const kept = [confirm(), confirm({ by: 'requester', maxAge: 'PT1M' }), confirm({}, 'risk.score > 0')];
  for (const stage of kept) expect(broken([granting(stage)])).toEqual([]);
  const both = 'subject.environment == "production" && subject.scopes.exists(s, s == "admin")';
  expect(broken([granting(confirm({}, both))])).toEqual([]);
  const lax = [confirm({ by: 'owner' }), confirm({ maxAge: 'PT6M' }), confirm({}, 'risk.score > 70'), security];
  for (const stage of lax) expect(broken([granting(stage)])).toEqual(['high-risk-agents-step-up']);
});

test('a violation says whose proof is missing', () => {
  const [violation] = proveInvariants([granting()], shipped).flatMap(({ violations }) => violations);
  if (violation === undefined) throw new Error('nothing was violated');
  expect(violationInWords(violation)).toEqual([
    'no stage of it has the proof of the requester or the person it acts for (signed in at most 5 minutes ago)',
    expect.stringContaining('grant: access is granted → completed'),
    expect.stringContaining('the risk score is at least 60'),
  ]);
});

test('a proof is asked of somebody: where nobody is to be asked, it breaks the invariant', () => {
  expect(broken([flowOf('onboarding', [confirm({}, 'true'), issue])], stating('{asks: nobody}'))).toEqual(['stated']);
});
