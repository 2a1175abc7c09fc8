import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type SarifFinding, sarifReport } from '../../cli/sarif.ts';

const rules = [
  { id: 'first', description: 'The first rule.' },
  { id: 'second', description: 'The second rule.' },
];
const finding: SarifFinding = {
  ruleId: 'second',
  severity: 'warning',
  file: 'flows/a.flow.yaml',
  line: 3,
  column: 7,
  message: 'this is never met',
};
const report = (findings: readonly SarifFinding[]) =>
  sarifReport(findings, { rules, version: '1.2.3', root: '/project' });

test('a finding becomes a result of its rule at its place', () => {
  expect(report([finding])).toEqual({
    $schema: expect.stringContaining('sarif-schema-2.1.0.json'),
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'tenure flows',
            semanticVersion: '1.2.3',
            rules: [
              { id: 'first', shortDescription: { text: 'The first rule.' } },
              { id: 'second', shortDescription: { text: 'The second rule.' } },
            ],
          },
        },
        columnKind: 'utf16CodeUnits',
        results: [
          {
            ruleId: 'second',
            ruleIndex: 1,
            level: 'warning',
            message: { text: 'this is never met' },
            locations: [
              {
                physicalLocation: {
                  artifactLocation: { uri: 'flows/a.flow.yaml' },
                  region: { startLine: 3, startColumn: 7 },
                },
              },
            ],
          },
        ],
      },
    ],
  });
});

test('without findings the run is there all the same: the host then knows that all is well', () => {
  expect(report([]).runs).toMatchObject([{ results: [] }]);
});

test.each([
  ['flows/a.flow.yaml', 'flows/a.flow.yaml'],
  [join('/project', 'flows', 'a b#?%.flow.yaml'), 'flows/a%20b%23%3F%25.flow.yaml'],
  ['../elsewhere/a.flow.yaml', 'file:///elsewhere/a.flow.yaml'],
  ['..a/b.flow.yaml', '..a/b.flow.yaml'],
])('%s is named %s', (file, uri) => {
  const [run] = report([{ ...finding, file }]).runs;
  expect(run?.results[0]?.locations[0]?.physicalLocation.artifactLocation.uri).toBe(uri);
});

test('a finding of a rule that was not declared is a defect, and says so', () => {
  expect(() => report([{ ...finding, ruleId: 'unknown' }])).toThrow(/rule unknown, which is not declared/);
});
