import { Command } from 'commander';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { askForReviews } from '../../activities/freezeReviews.ts';
import { FreezeBody } from '../../api/representations/freeze.ts';
import { commandWords } from '../../cli/completion.ts';
import { CommandFailed } from '../../cli/exitCodes.ts';
import { registerFreeze } from '../../cli/freeze.ts';
import { defaultPace } from '../../domain/massRevocation.ts';
import { stepMassRevocations } from '../../ledger/massRevocationSteps.ts';
import { type ApiFixture, apiFixture } from '../api/apiFixture.ts';
import { onboarded } from '../api/onboarded.ts';

let api: ApiFixture;
let freezeId: string;
let told: string[];

beforeEach(async () => {
  api = await apiFixture();
  for (const name of ['one', 'two']) await onboarded(api, { name });
  const body = { integrations: ['payments'], reason: 'incident', confirm: 'everything' };
  freezeId = (await api.as('responder-1', '/v1/freezes', { body })).as(FreezeBody).id;
  told = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    told.push(String(text));
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

async function tenure(...words: string[]): Promise<string> {
  const program = new Command('tenure').exitOverride();
  registerFreeze(program);
  const access = ['--url', api.address, '--token', await api.tokenOf('responder-1')];
  const before = told.length;
  await program.parseAsync(['freeze', ...words, ...access], { from: 'user' });
  return told.slice(before).join('');
}

const revoke = (...options: string[]) => tenure('revoke', freezeId, '--reason', 'a leaked token', ...options);

/** What the worker does, until nothing is left to do. */
async function workerStep(): Promise<void> {
  const unexpected = (error: unknown) => {
    throw error;
  };
  await stepMassRevocations(api.ledger, () => defaultPace, unexpected);
  const open = await api.ledger.prisma.request.findMany({ where: { kind: 'revocation', finishedAt: null } });
  for (const { id } of open) await api.carryOut(id);
}

test('without a confirmation it says how many identities are meant, and revokes none', async () => {
  const refused: unknown = await revoke().catch((error: unknown) => error);
  if (!(refused instanceof CommandFailed)) throw refused;
  expect([refused.exit, refused.message]).toEqual(['unavailable', expect.stringContaining('confirm: 2')]);
  expect(await api.ledger.prisma.massRevocation.count()).toBe(0);
});

test('it is followed to its end, without colours where no terminal is, and exits 0 when nothing can be used any more', async () => {
  const followed = revoke('--confirm', '2');
  while ((await api.ledger.prisma.massRevocation.count({ where: { closedAt: { not: null } } })) === 0)
    await workerStep();
  const output = await followed;
  expect(output).toContain('closed: 2 revoked, 0 under way, 0 waiting.');
  expect(output).toContain('Receipts: 2 tried, 0 absent, 0 unverifiable, 0 missing.');
  expect(output).toContain('Nothing of it can be used any more.');
  expect(output).not.toContain('\u001b');
  expect(process.exitCode).toBeUndefined();
});

test('how it stands is told at any time, also as one JSON document', async () => {
  await revoke('--confirm', '2', '--no-follow');
  const json = JSON.parse(await tenure('revocation', freezeId, '--json'));
  expect(json).toMatchObject({ freezeId, state: 'running', total: { waiting: 2 }, stuck: [], report: null });
  expect(await tenure('revocation', freezeId)).toContain('running: 0 revoked, 0 under way, 2 waiting.');
  expect(process.exitCode).toBeUndefined();
});

test('paused it begins nothing more, resumed it goes on; a pause of what is closed is refused', async () => {
  await revoke('--confirm', '2', '--no-follow');
  const paused = await tenure('pause-revocation', freezeId, '--reason', 'the payment run first');
  expect(paused).toContain('paused: 0 revoked, 0 under way, 2 waiting.');
  await workerStep();
  expect(await api.ledger.prisma.request.count({ where: { kind: 'revocation' } })).toBe(0);
  const resumed = await tenure('resume-revocation', freezeId, '--reason', 'it is done', '--json');
  expect(JSON.parse(resumed)).toMatchObject({ state: 'running', total: { waiting: 2 } });
  while ((await api.ledger.prisma.massRevocation.count({ where: { closedAt: null } })) > 0) await workerStep();
  await expect(tenure('pause-revocation', freezeId, '--reason', 'too late')).rejects.toThrow('closed');
});

test('what is stuck is told with its request and its error, and exits 1', async () => {
  await revoke('--confirm', '2', '--no-follow');
  await stepMassRevocations(
    api.ledger,
    () => defaultPace,
    () => undefined,
  );
  const { id } = await api.ledger.prisma.request.findFirstOrThrow({ where: { kind: 'revocation' } });
  const retries = { 'destroy-v1': { attempt: 4, retryAt: '', reason: 'IssuerRefused', message: 'it says no' } };
  await api.ledger.prisma.request.update({
    where: { id },
    data: { state: 'stuck', flowState: { stage: 0, effect: { retries } } },
  });
  const output = await tenure('revocation', freezeId);
  expect(output).toContain(`request ${id}: it says no`);
  expect(output).toContain('/resolution');
  expect(process.exitCode).toBe(1);
});

test('a freeze without a mass revocation says how to begin one; completion knows the commands', async () => {
  await expect(tenure('revocation', freezeId)).rejects.toThrow(`tenure freeze revoke ${freezeId}`);
  await expect(tenure('revocation', 'a'.repeat(26))).rejects.toThrow('404');
  const program = new Command('tenure');
  registerFreeze(program);
  expect(commandWords(program).map(({ path }) => path)).toContain('freeze revoke');
});

test('the reviews of what it holds are asked for, and who is missing is listed with what they wait for', async () => {
  const asked = await tenure('review', freezeId, '--reason', 'the host was rebuilt', '--reissue');
  expect(asked).toContain('0 let go, 0 under way, 2 to be asked, 0 ended without, 0 refused.');
  expect(asked).toContain(`tenure freeze reviews ${freezeId}`);
  const { id } = await api.ledger.prisma.freezeReviewOrder.findFirstOrThrow();
  while (await askForReviews({ ledger: api.ledger, open: api.gateway.open }, id));
  // No flow of this installation covers reviews.
  const reviews = await tenure('reviews', freezeId);
  expect(reviews).toContain('0 let go, 0 under way, 0 to be asked, 0 ended without, 2 refused.');
  expect(reviews).toMatch(/one +owner@example\.com +refused +no-flow: /);
  expect(reviews).toContain(`tenure freeze review ${freezeId}`);
  const json = JSON.parse(await tenure('reviews', freezeId, '--json'));
  expect(json).toMatchObject({ freezeId, reissue: true, counts: { refused: 2 } });
});
