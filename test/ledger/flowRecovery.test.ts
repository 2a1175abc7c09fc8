import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Recovery, readRecovery, signRecovery } from '../../domain/flow/publishing/recovery.ts';
import { prepareRecovery, recoverFlows } from '../../ledger/flowRecovery.ts';
import { publishDocument } from '../../ledger/publications.ts';
import { publishedDocuments } from '../../ledger/publishedSet.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { lockedPublications, recoveryKeyPair } from '../setup/lockedPublications.ts';
import { plainFlow, publicationFlows } from '../setup/publications.ts';

/** Whoever wants a recovery to publish what two people did not sign, and what they get: nothing. */

const at = (name: string) => `${name}@tenure.example`;
const [ann, bea, second] = [
  recoveryKeyPair(at('security-1')),
  recoveryKeyPair(at('security-2')),
  recoveryKeyPair(at('security-1')),
];
const stranger = recoveryKeyPair(at('stranger'));
const keys = [ann, bea, second];
const [sound = ''] = publicationFlows;
let installation: TestInstallation;

beforeAll(async () => {
  installation = await testInstallation({ flows: [lockedPublications, plainFlow('kept')] });
});
afterAll(() => installation.close());

const published = async () =>
  (await publishedDocuments(installation.ledger.prisma)).map(({ name, digest }) => `${name} ${digest}`);
const trace = async () => ({
  published: await published(),
  history: await installation.ledger.prisma.flowPublication.count(),
  evidence: await installation.ledger.prisma.evidenceEntry.count(),
});
let before: Awaited<ReturnType<typeof trace>>;
beforeAll(async () => {
  before = await trace();
});
afterEach(async ({ task }) => {
  if (!task.name.startsWith('a statement is applied once')) expect(await trace()).toEqual(before);
});

async function prepared(source = sound): Promise<Recovery> {
  const documents = [{ file: 'publication-default.flow.yaml', source }];
  const found = await prepareRecovery(installation.ledger, { documents, reason: 'ticket 7', retireOthers: false });
  if (found.is !== 'prepared') throw new Error(JSON.stringify(found));
  return found.recovery;
}

const signed = (recovery: Recovery, ...by: readonly (typeof ann)[]): Recovery =>
  by.reduce((so, key) => signRecovery(so, key), recovery);
const apply = (recovery: Recovery) => recoverFlows(installation.ledger, recovery, keys);

/** Another statement, signed by both: what somebody made up who prepares it. */
async function madeUp(change: (statement: Recovery['statement']) => Partial<Recovery['statement']>): Promise<Recovery> {
  const { statement } = await prepared();
  return signed({ statement: { ...statement, ...change(statement) }, signatures: [] }, ann, bea);
}

test('one person is not two: nobody, one signature, one key twice, or two keys of one person publish nothing', async () => {
  const recovery = await prepared();
  await expect(apply(recovery)).rejects.toThrow('Nobody signed it');
  await expect(apply(signed(recovery, ann))).rejects.toThrow('Only security-1@tenure.example');
  const { signatures } = signed(recovery, ann);
  await expect(apply({ ...recovery, signatures: [...signatures, ...signatures] })).rejects.toThrow('Only security-1');
  await expect(apply(signed(recovery, ann, second))).rejects.toThrow('Only security-1');
});

test('a signature by a key that tenure.yaml does not name, or under the name of one that it does, publishes nothing', async () => {
  const recovery = await prepared();
  await expect(apply(signed(recovery, ann, stranger))).rejects.toThrow(`Key ${stranger.keyId} signed it`);
  const forged = { ...stranger, keyId: bea.keyId };
  await expect(apply(signed(recovery, ann, forged))).rejects.toThrow('The signature of security-2@tenure.example');
});

test('what was changed after signing publishes nothing: its reason, its end, its content', async () => {
  const recovery = signed(await prepared(), ann, bea);
  const { statement } = recovery;
  const changed = (change: Partial<Recovery['statement']>) =>
    apply({ ...recovery, statement: { ...statement, ...change } });
  await expect(changed({ reason: 'another' })).rejects.toThrow('it was changed after signing');
  await expect(changed({ documents: [] })).rejects.toThrow('it was changed after signing');
  await expect(changed({ weakening: [] })).rejects.toThrow('it was changed after signing');
  const text = JSON.stringify(recovery).replace('count: 2', 'count: 1');
  expect(() => readRecovery(text)).toThrow('is not what the statement names by digest');
});

test('a statement of another installation, of another time, or for longer than a day publishes nothing', async () => {
  await expect(apply(await madeUp(() => ({ installation: 'other.example/evidence' })))).rejects.toThrow(
    'It was prepared for other.example/evidence',
  );
  const past = { createdAt: '2026-01-01T00:00:00.000Z', endsAt: '2026-01-02T00:00:00.000Z' };
  await expect(apply(await madeUp(() => past))).rejects.toThrow('Prepare it anew, and let both sign.');
  const future = { createdAt: '2199-01-01T00:00:00.000Z', endsAt: '2199-01-02T00:00:00.000Z' };
  await expect(apply(await madeUp(() => future))).rejects.toThrow('Prepare it anew, and let both sign.');
  const long = await madeUp(() => ({ endsAt: '2199-01-02T00:00:00.000Z' }));
  expect(() => readRecovery(JSON.stringify(long))).toThrow('may be applied for more than 24 hours');
});

test('what both signed is refused where it says less than it does: a weakening kept from them, another text', async () => {
  await expect(apply(await madeUp(() => ({ weakening: [] })))).rejects.toThrow(
    'is not what it would change and weaken',
  );
  const other = await madeUp(({ documents }) => ({
    documents: documents.map((document) => ({ ...document, source: sound.replace('P7D', 'P6D') })),
  }));
  await expect(apply(other)).rejects.toThrow('is not what it would change and weaken');
});

test('content that no publication would be accepted with publishes nothing, whoever signed it', async () => {
  const failing = await madeUp(({ documents }) => ({
    documents: documents.map((document) => ({
      ...document,
      source: sound.replaceAll('outcome: completed', 'outcome: denied'),
    })),
  }));
  expect(await apply(failing)).toMatchObject({ is: 'not-sound' });
  const retiring = await madeUp(({ documents }) => ({
    documents: [],
    retired: documents.map(({ name, replaces }) => ({ name, digest: replaces ?? '' })),
  }));
  expect(await apply(retiring)).toMatchObject({ is: 'not-sound', findings: [{ rule: 'operation-without-flow' }] });
});

test('somebody who has left recovers nothing', async () => {
  const recovery = signed(await prepared(), ann, bea);
  const setActive = (active: boolean) =>
    installation.ledger.prisma.person.update({ where: { id: bea.person }, data: { active } });
  await setActive(false);
  await expect(apply(recovery)).rejects.toThrow('security-2@tenure.example signed it and is no active person');
  await setActive(true);
});

test('a ledger that only observes after a restore is not recovered before an administrator has resumed it', async () => {
  const { prisma } = installation.ledger;
  const recovery = signed(await prepared(), ann, bea);
  const restore = await prisma.ledgerRestore.create({
    data: { id: 'a'.repeat(26), signedSize: 9, signedRoot: 'ab', detectedAt: new Date() },
  });
  await expect(apply(recovery)).rejects.toThrow('observe-only');
  const at = new Date();
  const resumed = { confirmedAt: at, confirmedBy: 'admin@tenure.example', reason: 'looked at', resumedAt: at };
  await prisma.ledgerRestore.update({ where: { id: restore.id }, data: resumed });
});

test('a statement is applied once: at once by two it is published once, and never after others were, though these are gone again', async () => {
  const { prisma } = installation.ledger;
  const recovery = signed(await prepared(), bea, ann);
  const outcomes = await Promise.all([apply(recovery), apply(recovery)]);
  expect(outcomes.map(({ is }) => is).sort()).toEqual(['published', 'recovered']);
  expect(await prisma.flowPublication.count()).toBe(before.history + 1);
  expect(await prisma.flowVersion.findMany({ where: { author: { contains: ' and ' } } })).toMatchObject([
    { author: 'security-2@tenure.example and security-1@tenure.example', name: 'publication-default' },
  ]);

  // As a rollback leaves it: exactly the set that the statement names rules again.
  const recovered = recovery.statement.documents[0]?.digest ?? '';
  const locked = await prisma.flowVersion.findFirstOrThrow({
    where: { name: 'publication-default', digest: { not: recovered } },
  });
  const back = { ...locked, operation: 'publication' as const };
  const by = { requestId: null, publishedBy: 'system:test', at: new Date() };
  await prisma.$transaction((tx) => publishDocument(tx, back, recovered, by));
  expect(await published()).toEqual(before.published);
  await expect(apply(recovery)).rejects.toThrow('Other flows were published since it was prepared');
  expect(await published()).toEqual(before.published);
});
