import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { CommandFailed } from '../../cli/exitCodes.ts';
import { type ApiFixture, apiFixture } from '../api/apiFixture.ts';
import { decide } from '../api/onboarded.ts';
import { plainFlow, publicationFlows } from '../setup/publications.ts';
import { directory, fileWith, run } from './flowsCommand.ts';

let api: ApiFixture;
let access: readonly string[];

beforeAll(async () => {
  api = await apiFixture({ lives: 'file', moreFlows: [...publicationFlows, plainFlow('kept'), plainFlow('dropped')] });
  access = ['--url', api.address, '--token', await api.tokenOf('flow-author')];
});
beforeEach(() => fileWith(plainFlow('kept'), 'kept.flow.yaml'));

const plan = (...options: string[]) => run('plan', directory, ...options, ...access);
const apply = (...options: string[]) => run('apply', directory, '--reason', 'ticket 12', ...options, ...access);

/** The request that the output names, approved. */
async function approved(output: string): Promise<void> {
  const [, id = ''] = /Request (\w+) is awaiting-approval/.exec(output) ?? [];
  for (const person of ['security-1', 'security-2'] as const) {
    const { state } = JSON.parse((await api.as(person, `/v1/requests/${id}`)).text) as { state: string };
    if (state === 'awaiting-approval') expect((await decide(api, person, id)).status).toBe(200);
  }
}

test('plan says that nothing would change, and names what is only published', async () => {
  const { output, exitCode } = await plan();
  expect(exitCode).toBe(0);
  expect(output).toContain('Nothing would change: 1 document published exactly so.');
  expect(output).toContain('only there dropped');
});

test('plan tells what would change, with its report, exits 2, and writes nothing', async () => {
  writeFileSync(join(directory, 'kept.flow.yaml'), plainFlow('kept', 2));
  writeFileSync(join(directory, 'another.flow.yaml'), plainFlow('another'));
  const { output, exitCode } = await plan();
  expect(exitCode).toBe(2);
  expect(output).toMatch(
    /Would change: 2 documents, 0 published exactly so\.\n {2}new {6}another\n {2}changed {2}kept/,
  );
  expect(output).toContain('kept: metadata.description\n  revision 1 → revision 2');
  expect(await api.ledger.prisma.publication.count()).toBe(0);
});

test('plan shows each mistake at its line in its file, and exits 1', async () => {
  const broken = plainFlow('kept').replace('security', 'security, ownr: x');
  writeFileSync(join(directory, 'kept.flow.yaml'), broken.replace('effect: rotate', 'effect: issue'));
  const json = JSON.parse((await plan('--json')).output) as { findings: { file: string; shown: string }[] };
  // What cannot be read is told before anything is sent, or by the answer: here by the answer.
  expect(json.findings.map(({ file }) => file)).toContain(join(directory, 'kept.flow.yaml'));
  const { output, exitCode } = await plan();
  expect(exitCode).toBe(1);
  expect(output).toContain('Cannot be published');
  expect(output).toMatch(/kept\.flow\.yaml:\d+:\d+: /);
});

test('apply opens the request, says who may approve it, and does nothing twice', async () => {
  writeFileSync(join(directory, 'kept.flow.yaml'), plainFlow('kept', 3));
  const { output } = await apply();
  expect(output).toMatch(/^Request \w{26} is awaiting-approval at stage change of publication-default\./);
  expect(output).toContain('It needs 1 of group:security, none of them requester or onBehalfOf.');
  expect(output).toContain(`Read it: ${api.address}/v1/requests/`);
  await approved(output);
  expect((await plan()).exitCode).toBe(0);
  expect((await apply()).output).toContain('Nothing to do');
});

test('what is only published is retired when that is asked for, by two, and never by itself', async () => {
  const kept = plainFlow('kept', 3);
  writeFileSync(join(directory, 'kept.flow.yaml'), kept);
  expect((await plan('--retire-others')).output).toContain('No flow on onboarding would be left');
  for (const flow of ['publication-default', 'publication-rollback'] as const)
    writeFileSync(join(directory, `${flow}.flow.yaml`), publicationFlows[flow === 'publication-default' ? 0 : 1] ?? '');
  const versions = await api.as('auditor', '/v1/flows/dropped/versions');
  expect(JSON.parse(versions.text)).toMatchObject({ items: [{ isPublished: true }] });
});

test('rollback goes back to the version before, by the expedited flow; a version that never was is refused', async () => {
  const back = await run('rollback', 'kept', '--reason', 'ticket 13', ...access);
  expect(back.output).toMatch(/^Request \w{26} is awaiting-approval at stage security of publication-rollback\./);
  await approved(back.output);
  writeFileSync(join(directory, 'kept.flow.yaml'), plainFlow('kept'));
  expect((await plan()).exitCode).toBe(0);
  const refused: unknown = await run('rollback', 'kept', 'f'.repeat(64), '--reason', 'no', ...access).catch(
    (error) => error,
  );
  expect(refused).toBeInstanceOf(CommandFailed);
  expect((refused as CommandFailed).message).toContain('was never published');
});
