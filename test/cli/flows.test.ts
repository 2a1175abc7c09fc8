import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { expect, test, vi } from 'vitest';
import { CommandFailed } from '../../cli/exitCodes.ts';
import { flowWith, soundFlow } from '../domain/flow/flowSource.ts';
import { approvedBy, recordOf } from '../domain/flow/recordedRequests.ts';
import { directory, fileWith, run } from './flowsCommand.ts';

test('check says that sound files are sound, and with which digest', async () => {
  const { output, exitCode } = await run('check', fileWith(soundFlow));
  expect(exitCode).toBe(0);
  expect(output).toMatch(/Sound.*: 1 flow file without a mistake/);
  expect(output).toContain('ownership → review → issue → tell');
});

test('check shows a mistake under its line with a caret, and exits 1', async () => {
  const file = fileWith(flowWith('owner.active', 'owner.actve'));
  const { output, exitCode } = await run('check', file);
  expect(exitCode).toBe(1);
  expect(output).toContain(`${file}:9:26: guard: owner has no field 'actve'`);
  expect(output).toContain("did you mean 'active'?");
});

test('test runs the tests of a file and exits 0 when they pass', async () => {
  const { output, exitCode } = await run('test', fileWith(soundFlow));
  expect(exitCode).toBe(0);
  expect(output).toMatch(/Passed.*: 1 test of 1 flow\./);
});

test('test shows what was expected, what came and how, and exits 1', async () => {
  const { output, exitCode } = await run('test', fileWith(flowWith('count: 2', 'count: 1')));
  expect(exitCode).toBe(1);
  expect(output).toContain('one approval is not enough');
  expect(output).toContain('expected outcome waiting, stage review');
  expect(output).toContain('got      outcome issuing, stage issue');
  expect(output).toContain('approve by pia → executing at issue');
});

test('a broken file fails the tests too, whatever the others do', async () => {
  const { output, exitCode } = await run('test', fileWith(soundFlow), fileWith('kind: Flow', 'broken.flow.yaml'));
  expect(exitCode).toBe(1);
  expect(output).toMatch(/broken.flow.yaml:1:1: 'apiVersion' is missing/);
});

test('--json prints one document for programs', async () => {
  fileWith(soundFlow);
  const tested = JSON.parse((await run('test', '--json', directory)).output);
  expect(tested).toMatchObject({
    ok: true,
    files: [{ flow: 'sound', tests: [{ name: 'one approval is not enough', passed: true }] }],
  });
  const checked = JSON.parse((await run('check', '--json', fileWith('[]', 'broken.flow.yaml'))).output);
  expect(checked).toMatchObject({ ok: false, files: [{ errors: [{ line: 1, column: 1 }] }] });
});

test('over many tests it tells how many ran a second, as information only', async () => {
  const many = Array.from(
    { length: 60 },
    (_, index) => `  - {name: t${index}, given: {subject: {environment: production}}, expect: {outcome: completed}}\n`,
  );
  const { output } = await run(
    'test',
    fileWith(soundFlow.replace('risk: {weights', () => `${many.join('')}risk: {weights`)),
  );
  expect(output).toMatch(/Passed.*: 61 tests of 1 flow \(\d+ a second\)/);
});

const moreTests = `apiVersion: tenure/v1
kind: FlowTests
flow: sound
tests:
  - name: low risk needs nobody
    given: {subject: {environment: production}}
    expect: {outcome: completed}
  - name: an owner who left is not an owner
    given: {subject: {environment: production}, owner: {active: false}}
    expect: {outcome: denied, reason: owner-not-valid}
`;

test('tests in files of their own run with those of the flow that they name', async () => {
  fileWith(soundFlow);
  fileWith(moreTests, 'sound.flow-tests.yaml');
  const { output, exitCode } = await run('test', directory);
  expect(exitCode).toBe(0);
  expect(output).toMatch(/Passed.*: 3 tests of 1 flow/);
  const report = JSON.parse((await run('test', '--json', directory)).output);
  expect(report.files).toMatchObject([
    { flow: 'sound', digest: expect.any(String), tests: [{}] },
    { flow: 'sound', tests: [{ name: 'low risk needs nobody' }, {}] },
  ]);
});

test('a file of tests whose flow is not there fails check and test, and names what is missing', async () => {
  const tests = fileWith(moreTests.replace('flow: sound', 'flow: sund'), 'sound.flow-tests.yaml');
  for (const command of ['check', 'test']) {
    const { output, exitCode } = await run(command, fileWith(soundFlow), tests);
    expect(exitCode).toBe(1);
    expect(output).toContain(`${tests}:3:7: no flow of this name was read`);
    expect(output).toContain("did you mean 'sound'?");
  }
});

test('--junit writes what was printed, mistakes included, for CI servers', async () => {
  const report = join(directory, 'report.xml');
  const broken = fileWith('kind: Flow', 'broken.flow.yaml');
  await run('test', '--junit', report, fileWith(flowWith('count: 2', 'count: 1')), broken);
  const written = readFileSync(report, 'utf8');
  expect(written).toContain('tests="2" failures="1" errors="1"');
  expect(written).toContain('message="expected outcome waiting, stage review; got outcome issuing, stage issue"');
  expect(written).toContain('&apos;apiVersion&apos; is missing');
});

test('--min-coverage exits 1 below its number, and names what no test has shown', async () => {
  const file = fileWith(soundFlow);
  const { output, exitCode } = await run('test', '--min-coverage', '80', file);
  expect(exitCode).toBe(1);
  expect(output).toContain('sound: not covered: guard ownership that: false');
  expect(output).toMatch(/sound is covered to \d+ %, less than asked for/);
  expect((await run('test', '--min-coverage', '10', file)).exitCode).toBe(0);
  const { coverage } = JSON.parse((await run('test', '--json', file)).output);
  expect(coverage).toMatchObject([{ flow: 'sound', percent: expect.any(Number) }]);
  expect(coverage[0].items).toContainEqual({ part: 'end', what: 'completed', covered: false });
});

test.each(['101', '-1', 'all', ''])('--min-coverage %j is an error of usage', async (given) => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await expect(run('test', '--min-coverage', given, fileWith(soundFlow))).rejects.toThrow(CommanderError);
});

test('--sarif writes every mistake at its place, for code hosts', async () => {
  const report = join(directory, 'report.sarif');
  await run('check', '--sarif', report, fileWith(flowWith('owner.active', 'owner.actve')));
  const { runs } = JSON.parse(readFileSync(report, 'utf8'));
  expect(runs[0].results).toMatchObject([
    {
      ruleId: 'flow-mistake',
      level: 'error',
      message: { text: expect.stringContaining("did you mean 'active'?") },
      locations: [{ physicalLocation: { region: { startLine: 9, startColumn: 26 } } }],
    },
  ]);
});

test('a report that cannot be written is an error of usage that names the file', async () => {
  const nowhere = join(directory, 'absent', 'report');
  for (const asked of [
    ['check', '--sarif'],
    ['test', '--junit'],
  ]) {
    const failure = await run(...asked, nowhere, fileWith(soundFlow)).catch((error: unknown) => error);
    expect(failure).toMatchObject({ exit: 'usage', message: expect.stringContaining(nowhere) });
  }
});

test('a directory stands for the flow files in it, in the order of their names', async () => {
  fileWith(soundFlow.replace('name: sound', 'name: second'), 'b.flow.yaml');
  fileWith(soundFlow.replace('name: sound', 'name: first'), 'a.flow.yaml');
  fileWith('not a flow', 'readme.md');
  const { files } = JSON.parse((await run('check', '--json', directory)).output);
  expect(files.map(({ flow }: { flow: string }) => flow)).toEqual(['first', 'second']);
});

test('files that are not there, not UTF-8, or none at all are errors of usage that name them', async () => {
  mkdirSync(join(directory, 'empty'));
  for (const path of [
    join(directory, 'absent.flow.yaml'),
    fileWith(new Uint8Array([0x6b, 0xff])),
    join(directory, 'empty'),
  ]) {
    const failure = await run('check', path).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandFailed);
    expect(failure).toMatchObject({ exit: 'usage', message: expect.stringContaining(path) });
  }
});

const records = `${[
  recordOf('one', [approvedBy('sam', 1)], { ended: { state: 'denied', reason: 'approval-timeout' } }),
  recordOf('low', [], { risk: 0, ended: { state: 'completed' } }),
]
  .map((record) => JSON.stringify(record))
  .join('\n')}\n`;

test('simulate exits 1 when a recorded decision changes, and says whose and why; 0 when none does', async () => {
  const requests = fileWith(records, 'requests.jsonl');
  const old = fileWith(soundFlow);
  const same = await run('simulate', old, old, '--requests', requests);
  expect(same.exitCode).toBe(0);
  expect(same.output).toMatch(/Nothing changes.*: 2 recorded requests would be decided as before/);

  const weaker = fileWith(flowWith('count: 2', 'count: 1'), 'weaker.flow.yaml');
  const { output, exitCode } = await run('simulate', old, weaker, '--requests', requests);
  expect(exitCode).toBe(1);
  expect(output).toMatch(/Changes.*: 1 of 2 recorded requests would be decided otherwise/);
  expect(output).toContain('one: payments-reader (production), asked for by rui@example.com');
  expect(output).toContain('denied (approval-timeout) at review before, completed now');
  const report = JSON.parse((await run('simulate', old, weaker, '--requests', requests, '--json')).output);
  expect(report).toMatchObject({ ok: false, played: 2, others: 0, changed: [{ id: 'one' }], unlike: [] });
});

test('simulate reads nothing half: broken flows and records are errors of usage, at their lines', async () => {
  const old = fileWith(soundFlow);
  const requests = fileWith(`${records}{"version":9}\n`, 'requests.jsonl');
  const broken = fileWith(flowWith('owner.active', 'owner.actve'), 'broken.flow.yaml');
  const failures = await Promise.all(
    [
      [old, old, requests],
      [old, broken, fileWith(records, 'sound.jsonl')],
      [
        old,
        fileWith(flowWith('onboarding', 'revocation').replace('effect: issue', 'effect: revoke'), 'r.flow.yaml'),
        requests,
      ],
    ].map(([before = '', after = '', file = '']) =>
      run('simulate', before, after, '--requests', file).catch((error: unknown) => error),
    ),
  );
  expect(failures).toMatchObject([
    { exit: 'usage', message: expect.stringContaining(`${requests}:3: recorded in version 9`) },
    { exit: 'usage', message: expect.stringContaining(`${broken}:9:26: guard: owner has no field 'actve'`) },
    { exit: 'usage', message: expect.stringContaining('is on onboarding') },
  ]);
});
