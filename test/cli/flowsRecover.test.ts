import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { openRequest } from '../../ledger/open.ts';
import { byHand } from '../setup/byHand.ts';
import { flowsProcess } from '../setup/flowsProcess.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { lockedPublications, type RecoveryKeyPair, recoveryKeyPair } from '../setup/lockedPublications.ts';
import { plainFlow, publicationFlows, publicationOrder } from '../setup/publications.ts';
import { run } from './flowsCommand.ts';

/** `tenure flows recover` as two people type it, on the ledger of an installation where nobody can publish any more. */

const at = (name: string) => `${name}@tenure.example`;
let installation: TestInstallation;
let home: string;

beforeAll(async () => {
  installation = await testInstallation({ flows: [lockedPublications, plainFlow('kept')] });
  home = mkdtempSync(join(tmpdir(), 'tenure-recover-'));
  const keys = ['security-1', 'security-2'].map((name) => keyFile(name, recoveryKeyPair(at(name))));
  writeFileSync(
    join(home, 'tenure.yaml'),
    `keys: {directory: ${installation.place.keyDirectory}}\nrecovery:\n  keys:\n${keys.join('')}`,
  );
});
afterAll(async () => {
  rmSync(home, { recursive: true });
  await installation.close();
});

/** Writes the private key to a file of this name. @returns its line in tenure.yaml */
function keyFile(name: string, { privateKey, publicKey, person }: RecoveryKeyPair): string {
  writeFileSync(join(home, `${name}.pem`), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  return `    - {person: ${person}, publicKey: ${spki}}\n`;
}

const recover = (...args: string[]) =>
  flowsProcess({ cwd: home, databaseUrl: installation.databaseUrl }, ['recover', ...args]);

const publications = () => installation.ledger.prisma.flowPublication.count();

test('two people recover an installation whose publication flow nobody can satisfy, and publishing goes on', {
  timeout: 120_000,
}, async () => {
  const { ledger } = installation;
  const hand = byHand(installation);
  const asked = async (...sources: string[]): Promise<string> => {
    const opened = await openRequest(ledger, await publicationOrder(installation, { sources }));
    if (!opened.opened) throw new Error(opened.detail);
    return opened.requestId;
  };
  const stuck = await asked(plainFlow('kept', 2));
  const refused = await hand.decide({ requestId: stuck, by: at('security-1') });
  expect(refused.verdict).toMatchObject({ slug: 'not-eligible' });

  const [sound = ''] = publicationFlows;
  writeFileSync(join(home, 'publication-default.flow.yaml'), sound);
  const prepare = ['prepare', home, '--reason', 'the group was disbanded', '--out', 'recovery.json'];
  const prepared = await recover(...prepare);
  expect(prepared).toMatchObject({ exitCode: 0, error: '' });
  expect(prepared.output).toContain('changed  publication-default');
  expect(prepared.output).toMatch(/^WEAKENS publication-default: stages/m);
  expect(await recover(...prepare)).toMatchObject({ exitCode: 2, error: expect.stringContaining('EEXIST') });

  const file = join(home, 'recovery.json');
  const sign = (name: string) => run('recover', 'sign', file, '--key', join(home, `${name}.pem`));
  chmodSync(join(home, 'security-1.pem'), 0o644);
  await expect(sign('security-1')).rejects.toThrow('open to other users');
  chmodSync(join(home, 'security-1.pem'), 0o600);
  expect((await run('recover', 'sign', file)).output).toContain('It has 0 signatures.');
  expect((await sign('security-1')).output).toContain('Reason: the group was disbanded');
  const once = readFileSync(file, 'utf8');
  expect((await sign('security-1')).output).toContain('it has 1 signature.');
  expect(readFileSync(file, 'utf8')).toBe(once);

  const before = await publications();
  const alone = await recover('apply', 'recovery.json');
  expect(alone).toMatchObject({
    exitCode: 1,
    error: expect.stringContaining('Only security-1@tenure.example signed it'),
  });
  expect(await publications()).toBe(before);

  await sign('security-2');
  const applied = await recover('apply', 'recovery.json', '--json');
  expect(applied.exitCode).toBe(0);
  const report = z.object({ is: z.literal('recovered'), people: z.array(z.string()), statement: z.string() });
  const { people, statement } = report.parse(JSON.parse(applied.output));
  expect(people).toEqual([at('security-1'), at('security-2')]);
  const entries = await ledger.prisma.evidenceEntry.findMany({ where: { chain: 'installation' } });
  const recovered = entries.map(({ body }) => body).filter((body) => body.includes('"kind":"flow.recovered"'));
  expect(recovered).toHaveLength(1);
  const { data } = z
    .looseObject({ data: z.looseObject({ people: z.array(z.string()) }) })
    .parse(JSON.parse(recovered[0] ?? ''));
  expect(data).toMatchObject({
    reason: 'the group was disbanded',
    statement,
    items: [{ name: 'publication-default' }],
  });
  expect(new Set(data.people).size).toBe(2);

  expect((await recover('apply', 'recovery.json')).output).toContain('Published already');
  expect(await publications()).toBe(before + 1);

  const goesOn = await asked(plainFlow('kept', 3));
  await hand.decide({ requestId: goesOn, by: at('security-1') });
  expect(await hand.stateOf(goesOn)).toMatchObject({ state: 'completed' });
  // Both wrote the rules that rule now: neither lets more through by them.
  const weakening = await asked(sound.replace('count: 2', 'count: 1').replace(/^tests:[\s\S]*/m, ''));
  for (const name of ['security-1', 'security-2'])
    expect((await hand.decide({ requestId: weakening, by: at(name) })).verdict).toMatchObject({
      slug: 'self-approval',
    });
});

test('a directory that no publication would be accepted of is refused with its findings, and nothing is written', async () => {
  const failing = `${plainFlow('kept', 9)}tests: [{name: it is denied, expect: {outcome: denied, reason: no}}]\n`;
  writeFileSync(join(home, 'failing.flow.yaml'), failing);
  const { output, exitCode } = await recover(
    'prepare',
    join(home, 'failing.flow.yaml'),
    '--reason',
    'x',
    '--out',
    'no.json',
  );
  expect(exitCode).toBe(1);
  expect(output).toContain("The test 'it is denied' fails.");
  expect(() => readFileSync(join(home, 'no.json'))).toThrow('ENOENT');
});

test('an installation whose tenure.yaml names no recovery keys is recovered by nobody', async () => {
  writeFileSync(join(home, 'none.yaml'), `keys: {directory: ${installation.place.keyDirectory}}\n`);
  expect(await recover('apply', 'recovery.json', '--config', 'none.yaml')).toMatchObject({
    exitCode: 78,
    error: expect.stringContaining('names no recovery.keys'),
  });
});
