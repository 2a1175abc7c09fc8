import { expect, test } from 'vitest';
import { type LintedFlow, lintFlows } from '../../../../domain/flow/analysis/lint.ts';
import { parseFlow } from '../../../../domain/flow/parse.ts';
import { flowWith, soundFlow } from '../flowSource.ts';

function linted(source: string, file = 'sound.flow.yaml'): LintedFlow {
  const parsed = parseFlow(source, file);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return { file, source, flow: parsed.flow, tests: parsed.flow.tests };
}

/** A flow on onboarding with these stages, an effect, and nothing else. */
function flowOf(stages: string, { name = 'sound', subject = '', risk = '' } = {}): LintedFlow {
  return linted(
    `apiVersion: tenure/v1
kind: Flow
metadata: {name: ${name}, owner: security, description: for a test}
on: onboarding
${subject}
stages:
${stages}
  - {id: issue, effect: issue}
${risk}
`,
    `${name}.flow.yaml`,
  );
}

const rulesOf = (...flows: readonly LintedFlow[]): readonly string[] =>
  lintFlows(flows)
    .filter(({ rule }) => rule !== 'stage-without-denying-test')
    .map(({ rule, path, line }) => `${rule} ${path} line ${line}`);

const weight = (when: string, add: number, because: string): string =>
  `{when: '${when}', add: ${add}, because: ${because}}`;

const verify = (id: string, that: string): string => `  - {id: ${id}, verify: {that: '${that}', otherwise: not-so}}`;

test.each([
  [
    'a check that holds whatever the facts',
    verify('kind', 'request.kind == "onboarding"'),
    'guard-always-true stages[0].verify.that line 7',
  ],
  [
    'a check that nothing passes',
    verify('trigger', 'request.trigger == "pipelines"'),
    'guard-always-false stages[0].verify.that line 7',
  ],
  [
    'a condition that an earlier check rules out',
    `${verify('low', 'risk.score < 50')}\n  - {id: high, when: 'risk.score >= 60', notify: {to: [owner]}}`,
    'guard-always-false stages[1].when line 8',
  ],
  [
    'a condition that an earlier check grants',
    `${verify('low', 'risk.score < 50')}\n  - {id: any, when: 'risk.score < 60', notify: {to: [owner]}}`,
    'guard-always-true stages[1].when line 8',
  ],
  [
    'a check that can fail for want of a label',
    verify('team', 'subject.labels.team == "payments"'),
    'guard-can-fail stages[0].verify.that line 7',
  ],
])('%s is found', (_what, stages, finding) => {
  expect(rulesOf(flowOf(stages))).toContain(finding);
});

const approvalOf = (rest: string, after = 'P1D'): string =>
  `  - {id: ask-${after.toLowerCase()}, approval: {require: [{from: 'group:security', count: 1}], separation: [], timeout: {after: ${after}, result: deny}${rest}}}`;

test('waits and time-outs that together outlast the request are an error, where the limit is passed', () => {
  const stages = [approvalOf('', 'P2D'), '  - {id: cool-off, wait: {for: P1D}}', '  - {id: more, wait: {for: PT1S}}'];
  expect(rulesOf(flowOf(stages.slice(0, 2).join('\n')))).toEqual([]);
  expect(rulesOf(flowOf(stages.join('\n')))).toEqual(['life-too-short stages[2].wait.for line 9']);
  expect(rulesOf(flowOf([stages[0], approvalOf('', 'PT25H')].join('\n')))).toEqual([
    'life-too-short stages[1].approval.timeout.after line 8',
  ]);
});

test('waits that nothing outlasts leave what follows unreachable', () => {
  const waits = ['P1D', 'P1D', 'P1D'].map((long, index) => `  - {id: w${index}, wait: {for: ${long}}}`);
  expect(rulesOf(flowOf(waits.join('\n')))).toEqual(['unreachable-stage stages[3].id line 10']);
});

test('denials that the whole directory cannot bring together are an error', () => {
  const flow = flowOf(approvalOf(', denials: 3'));
  const directory = ['sam', 'sue'].map((id) => ({ id, active: true, groups: ['security'] }));
  const found = (people: typeof directory) =>
    lintFlows([flow], people).flatMap(({ rule, path }) => (rule.startsWith('denials') ? [path] : []));
  expect(found(directory)).toEqual(['stages[0].approval.denials']);
  expect(found([...directory, { id: 'sid', active: true, groups: ['security'] }])).toEqual([]);
  expect(found([...directory, { id: 'sid', active: false, groups: ['security'] }])).toHaveLength(1);
});

test('an exception that is over, that lasts long, or that waives nothing is a warning, each by its clock or paths', () => {
  const exception = (id: string, environment: string, until: string): string =>
    `  - {id: ${id}, subject: {name: bot, environment: ${environment}}, stages: [ask-p1d], until: ${until}, because: a test}`;
  const flow = linted(`apiVersion: tenure/v1
kind: Flow
metadata: {name: sound, owner: security, description: for a test}
on: onboarding
subject: {where: 'subject.environment == "production"'}
stages:
${approvalOf('')}
  - {id: issue, effect: issue}
exceptions:
${exception('over', 'production', '2026-01-01T00:00:00Z')}
${exception('near', 'production', '2026-04-01T00:00:00Z')}
${exception('far', 'production', '2026-04-01T00:00:01Z')}
${exception('nowhere', 'staging', '2026-02-01T00:00:00Z')}
`);
  const found = (now?: string) =>
    lintFlows([flow], undefined, now).flatMap(({ rule, path, severity }) =>
      rule.startsWith('exception') ? [`${severity} ${rule} ${path}`] : [],
    );
  const nowhere = 'warning exception-without-effect exceptions[3].subject';
  expect(found()).toEqual([nowhere]);
  expect(found('2026-01-01T00:00:00Z')).toEqual([
    'warning exception-over exceptions[0].until',
    'warning exception-long exceptions[2].until',
    nowhere,
  ]);
});

test('a check is not called idle because some are spared it', () => {
  const flow = flowOf(verify('owned', 'owner.active'));
  const exceptions = [
    { id: 'spared', subject: { id: 'b' }, stages: ['owned'], until: '2027-01-01T00:00:00Z', because: 'a test' },
  ];
  expect(rulesOf({ ...flow, flow: { ...flow.flow, exceptions } })).toEqual([]);
});

test('a guard is not called constant where only other facts make it so', () => {
  const stages = `${verify('low', 'risk.score < 50')}\n${verify('lower', 'risk.score < 40')}\n${verify('team', '!has(subject.labels.team) || subject.labels.team == "payments"')}`;
  const weights = ['a', 'b'].map((scope, index) => weight(`"${scope}" in subject.scopes`, 45 - 15 * index, scope));
  expect(rulesOf(flowOf(stages, { risk: `risk: {weights: [${weights}]}` }))).toEqual([]);
});

test('after a stage that denies everything, the next is unreachable, told once', () => {
  const stages = [verify('none', 'request.trigger == "pipelines"'), verify('next', 'owner.active')].join('\n');
  expect(rulesOf(flowOf(stages))).toEqual([
    'guard-always-false stages[0].verify.that line 7',
    'unreachable-stage stages[1].id line 8',
  ]);
});

test('a check repeated after people were waited for is not called idle: the owner may have left', () => {
  const approval =
    "  - {id: ask, approval: {require: [{from: 'group:security', count: 1}], separation: [], timeout: {after: P1D, result: deny}}}";
  const stages = [
    verify('first', 'owner.active'),
    verify('again', 'owner.active'),
    approval,
    verify('later', 'owner.active'),
  ].join('\n');
  expect(rulesOf(flowOf(stages))).toEqual(['guard-always-true stages[1].verify.that line 8']);
});

test('two flows that fit the same requests are an error, unless a more specific one takes all of those', () => {
  const production = flowOf('', { name: 'one', subject: 'subject: {where: \'subject.environment == "production"\'}' });
  const agents = flowOf('', { name: 'two', subject: 'subject: {where: \'subject.labels.team == "x"\'}' });
  expect(rulesOf(production, agents)).toEqual([
    'ambiguous-flows subject.where line 5',
    'guard-can-fail subject.where line 5',
  ]);
  const staging = flowOf('', { name: 'two', subject: 'subject: {where: \'subject.environment == "staging"\'}' });
  expect(rulesOf(production, staging)).toEqual([]);
  const kinds = ['service-account', 'api-key', 'certificate', 'agent', 'connector'].map((kind) =>
    flowOf('', { name: kind, subject: `subject: {kind: ${kind}, where: 'subject.environment == "production"'}` }),
  );
  const another = flowOf('', { name: 'three', subject: 'subject: {where: \'"production" == subject.environment\'}' });
  expect(rulesOf(production, another, ...kinds)).toEqual([
    'flow-never-governs subject.where line 5',
    'flow-never-governs subject.where line 5',
  ]);
});

test('two flows of one name are found', () => {
  expect(rulesOf(flowOf(''), flowOf('', { subject: 'subject: {kind: agent}' }))).toEqual([
    'duplicate-flow-name metadata.name line 3',
  ]);
});

test('a stage is only taken for tested when a test ends there, denied or expired', () => {
  const without = lintFlows([linted(soundFlow)]).map(({ rule, path }) => `${rule} ${path}`);
  expect(without).toEqual(['stage-without-denying-test stages[0].id', 'stage-without-denying-test stages[1].id']);
  const withTests = flowWith(
    'tests:\n',
    `tests:
  - name: an owner who left denies
    given: {subject: {environment: production}, owner: {active: false}}
    expect: {outcome: denied}
  - name: time denies
    given: {subject: {environment: production}, risk: {score: 50}}
    events: [{wait: P1D}]
    expect: {outcome: denied}
`,
  );
  expect(lintFlows([linted(withTests)])).toEqual([]);
});

const person = (id: string, ...groups: readonly string[]) => ({ id, active: true, groups });
const approvalRules = (people: Parameters<typeof lintFlows>[1], source = soundFlow): readonly string[] =>
  lintFlows([linted(source)], people)
    .filter(({ rule }) => rule.startsWith('approval'))
    .map(({ severity, rule, path }) => `${severity} ${rule} ${path}`);

test('an approval that the whole directory cannot give is an error; what separation may leave too few for, a warning', () => {
  const [lea, ...others] = [
    person('lea', 'security-lead'),
    ...['sam', 'sue', 'sid', 'sol', 'sol-2'].map((id) => person(id, 'security')),
  ];
  if (lea === undefined) throw new Error('nobody leads');
  const unsatisfiable = ['error approval-unsatisfiable stages[1].approval.require'];
  expect(approvalRules([person('sam', 'security')])).toEqual(unsatisfiable);
  expect(approvalRules([person('sam', 'security'), { ...lea, active: false }])).toEqual(unsatisfiable);
  expect(approvalRules([person('sam', 'security'), lea])).toEqual([
    'warning approval-short-of-people stages[1].approval.require',
  ]);
  expect(approvalRules([lea, ...others])).toEqual([]);
});

test('one person of two groups is not counted for both', () => {
  const both = flowWith(
    '[{from: group:security, count: 2}]',
    '[{from: group:security, count: 1}, {from: group:risk, count: 1}]',
  );
  const alone = both.replace('      escalate: {after: PT4H, to: group:security-lead}\n', '');
  expect(approvalRules([person('sam', 'security', 'risk')], alone)).toContain(
    'error approval-unsatisfiable stages[1].approval.require',
  );
});

test('an owner is not asked where the owner cannot answer', () => {
  const ask = (when: string, separation = '[]'): readonly string[] =>
    rulesOf(
      flowOf(
        `  - {id: ask, when: '${when}', approval: {require: [{from: owner, count: 1}], separation: ${separation}, timeout: {after: P1D, result: deny}}}`,
      ),
    );
  expect(ask('!owner.active')).toEqual(['approval-unsatisfiable stages[0].approval.require line 7']);
  expect(ask('requester.id == owner.id', '[requester]')).toEqual([
    'approval-unsatisfiable stages[0].approval.require line 7',
  ]);
  expect(ask('requester.id == owner.id')).toEqual([]);
});

const stepUp = (by: string, when = 'true'): string =>
  `  - {id: proof, when: '${when}', stepUp: {method: session, by: ${by}, maxAge: PT5M}}`;

test.each([
  ['the person it acts for, where there is none', stepUp('onBehalfOf', 'onBehalfOf.id == ""')],
  ['the owner, who has left', stepUp('owner', '!owner.active')],
  [
    'the requester, a machine that acts for nobody',
    stepUp('requester', 'requester.kind != "person" && !onBehalfOf.active'),
  ],
])('a proof of %s is an error: nobody can give it', (_what, stages) => {
  expect(rulesOf(flowOf(stages))).toContain('step-up-unsatisfiable stages[0].stepUp.by line 7');
});

test('a proof that somebody can give is no finding', () => {
  for (const stage of [
    stepUp('owner', 'owner.active'),
    stepUp('requester', 'size(subject.scopes) > 1'),
    stepUp('onBehalfOf', 'onBehalfOf.active'),
  ])
    expect(rulesOf(flowOf(stage)).filter((rule) => rule.startsWith('step-up'))).toEqual([]);
});

test('a proof is only taken for tested when a test expects a refusal there, or that it is never given', () => {
  const tested = (test: string): readonly string[] => {
    const { flow, ...rest } = flowOf(stepUp('owner', 'owner.active'));
    const source = `${rest.source}tests:\n  - ${test}\n`;
    return lintFlows([linted(source)])
      .map(({ rule }) => rule)
      .filter((rule) => rule === 'stage-without-denying-test');
  };
  expect(tested('{name: given, events: [{confirm: owner}], expect: {outcome: issuing}}')).toHaveLength(1);
  expect(
    tested(
      '{name: refused, events: [{confirm: requester, age: PT1H}], expect: {outcome: waiting, refused: not-eligible}}',
    ),
  ).toEqual([]);
  expect(tested('{name: never, events: [{wait: P3D}], expect: {outcome: expired}}')).toEqual([]);
});

test.each([
  [
    'that never counts',
    weight('subject.kind == "agent" && subject.kind == "connector"', 1, 'never'),
    'guard-always-false',
  ],
  ['that always counts', weight('owner.active || !owner.active', 1, 'always'), 'guard-always-true'],
  ['that cannot be told for some', weight('subject.labels.team == "x"', 1, 'team'), 'guard-can-fail'],
])('a weight %s is found at its place', (_what, one, rule) => {
  const risk = `risk: {weights: [${weight('owner.active', 5, 'owned')}, ${one}]}`;
  expect(rulesOf(flowOf('', { risk }))).toEqual([`${rule} risk.weights[1].when line 9`]);
});

test('a condition on more risk than the weights come to is never true, and on none without weights', () => {
  const asks = (score: number) =>
    `  - {id: high, when: 'risk.score >= ${score}', verify: {that: owner.active, otherwise: no}}`;
  const never = 'guard-always-false stages[0].when line 7';
  expect(rulesOf(flowOf(asks(60)))).toContain(never);
  const risk = `risk: {weights: [${weight('owner.active', 30, 'one')}, ${weight('requester.active', 40, 'two')}]}`;
  expect(rulesOf(flowOf(asks(70), { risk }))).not.toContain(never);
  expect(rulesOf(flowOf(asks(71), { risk }))).toContain(never);
});
