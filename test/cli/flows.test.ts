import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CommandFailed } from '../../cli/exitCodes.ts';
import { registerFlows } from '../../cli/flows.ts';
import { flowWith, soundFlow } from '../domain/flow/flowSource.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tenure-flows-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
  rmSync(directory, { recursive: true });
});

function fileWith(source: string | Uint8Array, name = 'sound.flow.yaml'): string {
  const file = join(directory, name);
  writeFileSync(file, source);
  return file;
}

async function run(...argv: string[]): Promise<{ output: string; exitCode: number }> {
  const written: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    written.push(String(chunk));
    return true;
  });
  const program = new Command('tenure').exitOverride();
  registerFlows(program);
  process.exitCode = 0;
  await program.parseAsync(['flows', ...argv], { from: 'user' });
  return { output: written.join(''), exitCode: Number(process.exitCode) };
}

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
  expect(output).toMatch(/Passed.*: 1 test of 1 flow/);
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
