import { expect, test } from 'vitest';
import { junitReport } from '../../cli/junit.ts';

test('results become one document: suites with their totals, failures and errors with what happened', () => {
  const report = junitReport([
    {
      name: 'sound',
      file: 'flows/sound.flow.yaml',
      cases: [
        { name: 'passes', seconds: 0.5 },
        { name: 'fails', seconds: 0.25, problem: { kind: 'failure', message: 'expected a; got b', details: 'a line' } },
        { name: 'is read', seconds: 0, problem: { kind: 'error', message: '1 mistake', details: '' } },
      ],
    },
  ]);
  expect(report).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="tenure flows" tests="3" failures="1" errors="1" skipped="0" time="0.750000">
  <testsuite name="sound" file="flows/sound.flow.yaml" tests="3" failures="1" errors="1" skipped="0" time="0.750000">
    <testcase name="passes" classname="sound" file="flows/sound.flow.yaml" time="0.500000"/>
    <testcase name="fails" classname="sound" file="flows/sound.flow.yaml" time="0.250000">
      <failure message="expected a; got b" type="failure">a line</failure>
    </testcase>
    <testcase name="is read" classname="sound" file="flows/sound.flow.yaml" time="0.000000">
      <error message="1 mistake" type="error"></error>
    </testcase>
  </testsuite>
</testsuites>
`);
});

test('no name or message can end an attribute, open an element, or hold what XML cannot', () => {
  const hostile = '"\'<b>&amp;\n\u0000\u001b\ud800\ufffe]]>\u{1f600}';
  const report = junitReport([
    {
      name: hostile,
      file: hostile,
      cases: [{ name: hostile, seconds: 0, problem: { kind: 'failure', message: hostile, details: hostile } }],
    },
  ]);
  expect(report).toContain('name="&quot;&apos;&lt;b&gt;&amp;amp;&#10;\ufffd\ufffd\ufffd\ufffd]]&gt;\u{1f600}"');
  expect(report.match(/<[^>]*>/g)?.map((tag) => /^<\/?\??[a-z]+/.exec(tag)?.[0])).toEqual([
    '<?xml',
    '<testsuites',
    '<testsuite',
    '<testcase',
    '<failure',
    '</failure',
    '</testcase',
    '</testsuite',
    '</testsuites',
  ]);
  expect(report).not.toMatch(/[^\t\n\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u);
});
