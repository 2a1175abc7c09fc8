import { expect, test } from 'vitest';
import { parseFlow } from '../../../domain/flow/parse.ts';
import { soundFlow } from './flowSource.ts';

/** What is said of a flow with these exceptions, with the part of the file that it is said of. */
function mistakesIn(...exceptions: readonly string[]): readonly string[] {
  const source = `${soundFlow}exceptions:\n${exceptions.map((one) => `  - ${one}\n`).join('')}`;
  const parsed = parseFlow(source, 'f.flow.yaml');
  return parsed.ok ? [] : parsed.errors.map(({ path, reason, suggestion = '' }) => `${path}: ${reason} ${suggestion}`);
}

function exception(change: Readonly<Record<string, string>> = {}): string {
  const fields = {
    id: 'one',
    subject: '{name: payments-bot, environment: production}',
    stages: '[review]',
    until: '2027-01-31T00:00:00Z',
    because: 'a test',
    ...change,
  };
  return `{${Object.entries(fields)
    .map(([key, value]) => `${key}: ${value}`)
    .join(', ')}}`;
}

test('a sound exception is part of the flow, and of its digest', () => {
  const [without, withOne, withLonger] = ['', exception(), exception({ until: '2027-02-28T00:00:00Z' })].map((one) => {
    const parsed = parseFlow(one === '' ? soundFlow : `${soundFlow}exceptions: [${one}]`, 'f.flow.yaml');
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
    return parsed;
  });
  expect(withOne?.flow.exceptions).toEqual([
    {
      id: 'one',
      subject: { name: 'payments-bot', environment: 'production' },
      stages: ['review'],
      until: '2027-01-31T00:00:00Z',
      because: 'a test',
    },
  ]);
  expect(new Set([without, withOne, withLonger].map((parsed) => parsed?.digest)).size).toBe(3);
});

test.each<[string, Readonly<Record<string, string>>, RegExp]>([
  ['a stage that is not there', { stages: '[reviews]' }, /stages\[0\]: there is no stage 'reviews' review/],
  ['the effect', { stages: '[issue]' }, /stages\[0\]: the effect is what the flow is for: it cannot be waived/],
  ['a notice', { stages: '[review, tell]' }, /stages\[1\]: a notice keeps nobody out/],
  ['a stage twice', { stages: '[review, review]' }, /stages\[1\]: 'review' is here twice/],
  ['no stage', { stages: '[]' }, /must name a stage/],
  ['no end', { until: '2027-01-31' }, /until: write an RFC 3339 instant/],
  ['an end without an offset', { until: '2027-01-31T00:00:00' }, /until: write an RFC 3339 instant/],
  ['an end that never comes', { until: '"9999-99-99T00:00:00Z"' }, /until: write an RFC 3339 instant/],
  ['no reason', { because: '""' }, /because: must not be empty/],
  [
    'a name without its environment',
    { subject: '{name: payments-bot}' },
    /subject.environment: 'environment' is missing/,
  ],
  ['a name and an id', { subject: '{name: a, environment: b, id: c}' }, /exactly one of name, id, not name and id/],
  ['everybody', { subject: '{environment: production}' }, /exactly one of name, id/],
  [
    'a name that no identity has',
    { subject: '{name: "p\u0430yments-bot", environment: p}' },
    /no identity has this name: it mixes/,
  ],
  ['a name that is not composed', { subject: '{name: "re\u0301seau", environment: p}' }, /composed characters \(NFC\)/],
  ['a key that is not known', { stage: '[review]' }, /there is no 'stage' here; known are .* stages/],
])('%s is refused where it stands', (_what, change, mistake) => {
  expect(mistakesIn(exception(change))).toContainEqual(expect.stringMatching(mistake));
});

test('two exceptions of one id are refused, and two for names that look alike', () => {
  expect(mistakesIn(exception(), exception())).toEqual([
    "exceptions[1].id: there is an exception 'one' already: ids tell exceptions apart in evidence ",
  ]);
  const alike = exception({ id: 'two', subject: '{name: payrnents-bot, environment: staging}' });
  expect(mistakesIn(exception(), alike)).toEqual([
    "exceptions[1].subject.name: this looks like 'payments-bot' of exception 'one', and is another name ",
  ]);
  const elsewhere = exception({ id: 'two', subject: '{name: payments-bot, environment: staging}' });
  expect(mistakesIn(exception(), elsewhere)).toEqual([]);
});

test('a flow on publications excepts nobody: they are about no identity', () => {
  const source = `apiVersion: tenure/v1
kind: Flow
metadata: {name: publication, owner: security, description: for a test}
on: publication
stages:
  - id: review
    approval: {require: [{from: 'group:security', count: 1}], separation: [], timeout: {after: P1D, result: deny}}
  - {id: publish, effect: publish}
exceptions: [${exception()}]
`;
  const parsed = parseFlow(source, 'f.flow.yaml');
  expect(parsed.ok ? [] : parsed.errors.map(({ path, reason }) => `${path}: ${reason}`)).toEqual([
    'exceptions[0]: an exception is for an identity, and a publication is about none',
  ]);
});

test('a hundred exceptions are read, one more is not', () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => exception({ id: `e${index}` }));
  expect(mistakesIn(...many(100))).toEqual([]);
  expect(mistakesIn(...many(101))).toEqual([expect.stringContaining('has at most 100 exceptions')]);
});
