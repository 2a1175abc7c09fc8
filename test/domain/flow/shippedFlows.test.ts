import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Coverage } from '../../../domain/flow/coverage.ts';
import { formatFlowError } from '../../../domain/flow/explain.ts';
import type { Facts, Trigger } from '../../../domain/flow/facts.ts';
import type { ApprovalStage, Flow, RequestKind, Stage } from '../../../domain/flow/language.ts';
import { parseFlow } from '../../../domain/flow/parse.ts';
import { selectFlow } from '../../../domain/flow/select.ts';
import { runFlowTest } from '../../../domain/flow/testing.ts';
import { exampleFacts } from './exampleFacts.ts';

const directory = join(import.meta.dirname, '../../../flows');
const shipped = readdirSync(directory)
  .filter((file) => file.endsWith('.flow.yaml'))
  .map((file) => ({ file, flow: flowOf(file) }));

function flowOf(file: string): Flow {
  const source = readFileSync(join(directory, file), 'utf8');
  const parsed = parseFlow(source, file);
  if (!parsed.ok) throw new Error(parsed.errors.map((error) => formatFlowError(error, source)).join('\n'));
  return parsed.flow;
}

test.each(shipped)('$file is named after its flow, and every test in it passes', ({ file, flow }) => {
  expect(file).toBe(`${flow.metadata.name}.flow.yaml`);
  const failed = flow.tests.flatMap((flowTest) => {
    const result = runFlowTest(flow, flowTest);
    return result.passed ? [] : [{ name: flowTest.name, ...result }];
  });
  expect(failed).toEqual([]);
});

test.each(shipped)('the tests in $file cover every stage, both sides of every guard, and every end', ({ flow }) => {
  const coverage = new Coverage(flow);
  for (const flowTest of flow.tests) runFlowTest(flow, flowTest, coverage);
  expect(coverage.items.filter(({ covered }) => !covered)).toEqual([]);
});

test('the flow that the documentation shows parses, and its test passes', () => {
  const page = readFileSync(join(directory, '../docs/flows.md'), 'utf8');
  const [, source = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  const parsed = parseFlow(source, 'docs/flows.md');
  if (!parsed.ok) throw new Error(parsed.errors.map((error) => formatFlowError(error, source)).join('\n'));
  expect(parsed.flow.tests.map((flowTest) => runFlowTest(parsed.flow, flowTest).passed)).toEqual([true]);
});

/** Each way to make one stage let more through than it does; some test in the file must notice every one of them. */
function weakenings(flow: Flow): { what: string; weakened: Flow }[] {
  const without = flow.stages.flatMap((stage, index) =>
    'verify' in stage || 'approval' in stage
      ? [{ what: `without ${stage.id}`, weakened: { ...flow, stages: flow.stages.toSpliced(index, 1) } }]
      : [],
  );
  const edited = flow.stages.flatMap((stage, index) =>
    editsOf(stage).map(({ what, edit }) => ({
      what: `${stage.id} ${what}`,
      weakened: { ...flow, stages: flow.stages.with(index, edit) },
    })),
  );
  return [...without, ...edited];
}

function editsOf(stage: Stage): { what: string; edit: Stage }[] {
  const never = stage.when === undefined ? [] : [{ what: 'never applies', edit: { ...stage, when: 'false' } }];
  if ('verify' in stage)
    return [...never, { what: 'passes always', edit: { ...stage, verify: { ...stage.verify, that: 'true' } } }];
  if (!('approval' in stage)) return never;
  const { approval } = stage;
  const changed = (what: string, edit: Partial<ApprovalStage['approval']>) => ({
    what,
    edit: { ...stage, approval: { ...approval, ...edit } },
  });
  return [
    ...never,
    ...approval.require.flatMap(({ from, count }, index) => [
      ...(count > 1
        ? [changed('asks one approver fewer', { require: approval.require.with(index, { from, count: count - 1 }) })]
        : []),
      changed('asks another group', { require: approval.require.with(index, { from: 'group:requester', count }) }),
    ]),
    changed('never times out', { timeout: { ...approval.timeout, after: 'P30D' } }),
    changed('separates nobody', { separation: [] }),
  ];
}

test.each(shipped.flatMap(({ file, flow }) => weakenings(flow).map((weakening) => ({ file, ...weakening }))))(
  'the tests in $file notice when $what',
  ({ weakened }) => {
    expect(weakened.tests.some((flowTest) => !runFlowTest(weakened, flowTest).passed)).toBe(true);
  },
);

const environments = ['development', 'test', 'staging', 'production', 'Production', 'elsewhere'];
const kinds = ['service-account', 'api-key', 'certificate', 'agent', 'connector'] as const;

test.each(['onboarding', 'rotation', 'revocation'] as const)(
  'exactly one shipped flow covers the %s of every identity',
  (requested: RequestKind) => {
    for (const kind of kinds) {
      for (const environment of environments) {
        const facts: Facts = {
          ...exampleFacts,
          subject: { ...exampleFacts.subject, kind, environment },
          request: { ...exampleFacts.request, kind: requested },
        };
        expect(selectFlow(shipped, facts)).toHaveProperty('found');
      }
    }
  },
);

test('no production credential comes from one person alone, whatever kind the identity is of', () => {
  const triggers: readonly Trigger[] = ['person', 'pipeline'];
  for (const { flow } of shipped.filter((candidate) => candidate.flow.on === 'onboarding')) {
    for (const kind of flow.subject.kind === undefined
      ? kinds.filter((each) => each !== 'agent')
      : [flow.subject.kind]) {
      for (const trigger of triggers) {
        for (const by of ['requester', 'owner', 'onBehalfOf', 'security-1', 'security-lead', 'bystander']) {
          const given = {
            subject: { kind, environment: 'production' },
            request: { trigger },
            requester: { groups: ['security', 'security-lead'] },
            owner: { groups: ['security', 'security-lead'] },
            onBehalfOf: { id: 'ana', active: true, groups: ['security', 'security-lead'] },
          };
          const events = Array.from({ length: 3 }, () => ({ decision: 'approve', by }) as const);
          const result = runFlowTest(flow, { name: 'alone', given, events, expect: { outcome: 'completed' } });
          expect(result).toMatchObject({ passed: false, got: { outcome: 'waiting' } });
        }
      }
    }
  }
});
