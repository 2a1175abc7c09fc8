import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { flowWith, soundFlow } from '../domain/flow/flowSource.ts';
import { directory, fileWith, run } from './flowsCommand.ts';

const sound = (): string => fileWith(soundFlow, 'sound.flow.yaml');
const weaker = (): string => fileWith(flowWith('count: 2', 'count: 1'), 'weaker.flow.yaml');
const broken = (): string => fileWith(flowWith('owner.active', 'owner.actve'), 'broken.flow.yaml');

test.each([['paths'], ['lint'], ['prove']])(
  '%s of a broken file tells its mistakes and analyses nothing',
  async (command) => {
    await expect(run(command, broken())).rejects.toMatchObject({
      exit: 'usage',
      message: expect.stringContaining("owner has no field 'actve'"),
    });
  },
);

test('paths prints each path once, and draws the same with --svg', async () => {
  const picture = join(directory, 'paths.svg');
  const { paths } = JSON.parse((await run('paths', sound(), '--json', '--svg', picture)).output);
  expect(paths.map(({ number }: { number: number }) => number)).toEqual(
    paths.map((_path: unknown, at: number) => at + 1),
  );
  expect(paths).toContainEqual(
    expect.objectContaining({
      flow: 'sound',
      end: { state: 'denied', reason: 'owner-not-valid' },
      steps: [{ stage: 'ownership', outcome: 'refused', words: 'refused: owner-not-valid' }],
    }),
  );
  expect(readFileSync(picture, 'utf8')).toMatch(/^<svg /);
});

test('lint exits 1 for an error and 0 for warnings', async () => {
  expect((await run('lint', sound())).exitCode).toBe(0);
  const dead = fileWith(flowWith('risk.score > 10', 'request.trigger == "never"'), 'dead.flow.yaml');
  const { output, exitCode } = await run('lint', '--json', dead);
  expect(exitCode).toBe(1);
  expect(JSON.parse(output)).toMatchObject({
    ok: false,
    findings: expect.arrayContaining([
      expect.objectContaining({
        rule: 'guard-always-false',
        severity: 'error',
        file: dead,
        line: 11,
        path: 'stages[1].when',
      }),
    ]),
  });
});

test('lint counts the people that it is given, and takes a file without any for a mistake', async () => {
  const people = fileWith('people:\n  - {id: sam@example.com, groups: [security]}\n', 'people.yaml');
  const { output, exitCode } = await run('lint', '--people', people, sound());
  expect(exitCode).toBe(1);
  expect(output).toContain('error approval-unsatisfiable: Stage review needs 2 of group:security; there are 1');
  const nobody = fileWith('people: []\n', 'nobody.yaml');
  await expect(run('lint', '--people', nobody, sound())).rejects.toMatchObject({ exit: 'usage' });
});

test('prove reads the invariants beside the flows, and exits 1 with the path that breaks one', async () => {
  fileWith(
    `apiVersion: tenure/v1
kind: Invariants
invariants:
  - id: two
    title: two agree to what is risky
    on: onboarding
    where: risk.score > 10
    require: [{approvals: {from: [group:security, group:security-lead], atLeast: 2}}]
`,
    'invariants.yaml',
  );
  expect((await run('prove', sound())).exitCode).toBe(0);
  const { output, exitCode } = await run('prove', weaker());
  expect(exitCode).toBe(1);
  expect(output).toMatch(/two broken: two agree to what is risky\n {2}no stage of it has the approval of 2 of/);
});

test('prove without invariants to read is no proof', async () => {
  await expect(run('prove', sound())).rejects.toMatchObject({
    exit: 'usage',
    message: expect.stringContaining('--invariants'),
  });
});

test('diff exits 1 when something weakens and 0 when nothing does; a broken file is neither', async () => {
  const { output, exitCode } = await run('diff', sound(), weaker());
  expect(exitCode).toBe(1);
  expect(output).toContain('approvers 2 → 1');
  expect((await run('diff', weaker(), sound())).exitCode).toBe(0);
  expect(JSON.parse((await run('diff', '--json', sound(), sound())).output)).toEqual({
    ok: true,
    changes: [],
    paths: [],
  });
  await expect(run('diff', sound(), broken())).rejects.toMatchObject({ exit: 'usage' });
});
