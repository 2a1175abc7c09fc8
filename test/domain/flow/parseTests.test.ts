import { expect, test } from 'vitest';
import { type FlowError, parseFlow, parseFlowTests } from '../../../domain/flow/parse.ts';
import { soundFlow } from './flowSource.ts';

const parsedFlow = parseFlow(soundFlow, 'sound.flow.yaml');
const flows = parsedFlow.ok ? [parsedFlow.flow] : [];

const soundTests = `apiVersion: tenure/v1
kind: FlowTests
flow: sound
tests:
  - name: nobody has decided yet
    given: {risk: {score: 50}, subject: {environment: production}}
    expect: {outcome: waiting, stage: review}
`;

function testsWith(part: string, replacement: string): string {
  if (!soundTests.includes(part)) throw new Error(`The sound tests have no ${JSON.stringify(part)}.`);
  return soundTests.replace(part, () => replacement);
}

function errorsOf(source: string, read = flows): readonly FlowError[] {
  const parsed = parseFlowTests(source, 'sound.flow-tests.yaml', read);
  return parsed.ok ? [] : parsed.errors;
}

test('a file of tests is read as the tests of the flow that it names', () => {
  expect(parseFlowTests(soundTests, 'sound.flow-tests.yaml', flows)).toMatchObject({
    ok: true,
    flow: { metadata: { name: 'sound' } },
    tests: [{ name: 'nobody has decided yet', events: [] }],
  });
});

test.each<[string, string, number, number, RegExp, string?]>([
  ['flow: sound', 'flow: sund', 3, 7, /no flow of this name/, 'sound'],
  ['flow: sound\n', '', 1, 1, /'flow' is missing/],
  ['kind: FlowTests', 'kind: FlowTest', 2, 7, /must be FlowTests/, 'FlowTests'],
  ['stage: review', 'stage: reviews', 7, 39, /no stage 'reviews'/, 'review'],
  ['{score: 50}', '{scor: 50}', 6, 20, /no 'scor' here/, 'score'],
  ['waiting, stage: review', 'waitng', 7, 23, /one of waiting/, 'waiting'],
  ['tests:', 'limits: {}\ntests:', 4, 1, /no 'limits' here/],
  ['waiting, stage: review', 'not-covered, stage: review', 7, 43, /never begins/],
  ['waiting, stage: review}', 'not-covered}\n    events: [{wait: PT1H}]', 8, 13, /never begins/],
])('%j written as %j is refused at line %i, column %i', (...[part, replacement, line, column, reason, suggestion]) => {
  expect(errorsOf(testsWith(part, replacement))).toContainEqual({
    file: 'sound.flow-tests.yaml',
    line,
    column,
    reason: expect.stringMatching(reason),
    path: expect.any(String),
    ...(suggestion !== undefined && { suggestion }),
  });
});

test('two flows of one name leave open which is tested, so neither is', () => {
  expect(errorsOf(soundTests, [...flows, ...flows])).toMatchObject([
    { line: 3, column: 7, reason: expect.stringContaining('several flows of this name') },
  ]);
});

test.each(['tenure/v0', 'tenure/v2', 'tenure/v10'])(
  '%s is refused by its name, and nothing else in it is judged',
  (version) => {
    const expected = [
      { line: 1, column: 13, path: 'apiVersion', reason: expect.stringContaining(`tenure/v1, not ${version}`) },
    ];
    const ofTests = testsWith('tenure/v1', version).replace('flow: sound', 'flows: [sound]');
    expect(errorsOf(ofTests)).toMatchObject(expected);
    const parsed = parseFlow(soundFlow.replace('tenure/v1', version).replace('stages:', 'steps:'), 'f');
    expect(parsed).toMatchObject({ ok: false, errors: expected });
    expect(parsed.ok ? [] : parsed.errors).toHaveLength(1);
  },
);
