import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyExport } from '../../cli/evidenceVerify.ts';
import { loadKeys, nextEvidenceKey, putNextEvidenceKey } from '../../configuration/keys.ts';
import { signCheckpoint } from '../../domain/evidence/checkpoint.ts';
import { openSuccession, signSuccession } from '../../domain/evidence/succession.ts';
import { verifierKeyOf } from '../../ledger/evidenceLogs.ts';
import { latestCheckpoint, listEvidence } from '../../ledger/evidenceReads.ts';
import { loadSuccessions } from '../../ledger/evidenceSuccession.ts';
import { openLedger } from '../../ledger/openLedger.ts';
import { sealOnce } from '../../ledger/sealer.ts';
import { fileAnchor } from '../../ledger/sealerAnchor.ts';
import { succeedEvidenceKey } from '../../ledger/succeedEvidence.ts';
import { type EvidenceFixture, evidenceFixture } from '../ledger/evidenceFixture.ts';

const anotherKey = () => generateKeyPairSync('ed25519').privateKey;

/** A sealed log whose key was succeeded, before its successor has sealed anything. */
async function succeeded() {
  const old = await evidenceFixture();
  const anchor = fileAnchor(join(old.directory, 'anchor'));
  await old.append({}, {}, {});
  const { newest } = await sealOnce({ ...old, anchor });
  if (newest === undefined) return expect.unreachable('nothing was sealed');
  const held = join(old.directory, 'held');
  writeFileSync(held, newest.note);
  const newKey = anotherKey();
  const succession = await succeedEvidenceKey({ ...old, anchor }, newKey);
  const keys = { ...old.keys, signingKey: newKey, successions: await loadSuccessions(old.ledger) };
  return { old: { ...old, anchor }, next: { ...old, keys, anchor }, held, heldNote: newest.note, succession };
}

async function exported({ ledger, keys, directory }: EvidenceFixture, name = 'export'): Promise<string> {
  const to = join(directory, name);
  mkdirSync(to);
  const newest = await latestCheckpoint(ledger);
  if (newest === undefined) return expect.unreachable('nothing is sealed');
  const { items } = await listEvidence(ledger, { limit: 200 });
  writeFileSync(join(to, 'entries.jsonl'), items.map(({ body }) => `${body}\n`).join(''));
  writeFileSync(join(to, 'checkpoint'), newest.note);
  writeFileSync(join(to, 'vkey'), verifierKeyOf(keys, newest.note));
  return to;
}

test('a key that succeeds signs on over the same tree, and whoever holds a checkpoint or the key of before verifies what comes after', async () => {
  const { old, next, held, heldNote, succession } = await succeeded();
  await next.append({});
  expect((await sealOnce(next)).newest).toMatchObject({ size: 5 });
  expect(readFileSync(next.headFile, 'utf8')).toMatch(/^tenure\.example\/evidence\/log-2\n5\n/);
  expect(await next.anchor.read()).toBe(readFileSync(next.headFile, 'utf8'));
  expect(succession).toMatchObject({ old: { origin: old.keys.origin, size: 3 } });

  const directory = await exported(next);
  expect(await verifyExport({ directory, heldCheckpointFile: held })).toMatchObject({ ok: true, heldSize: 3 });
  const oldVkey = join(old.directory, 'old-vkey');
  writeFileSync(oldVkey, verifierKeyOf(old.keys, heldNote));
  expect(await verifyExport({ directory, vkeyFile: oldVkey })).toMatchObject({ ok: true });
  expect(verifierKeyOf(next.keys, heldNote)).toBe(readFileSync(oldVkey, 'utf8'));
});

test('a sealer that still has the key of before signs nothing more, neither at once nor after its successor has sealed', async () => {
  const { old, next } = await succeeded();
  await expect(sealOnce(old)).rejects.toMatchObject({ name: 'EvidenceSucceeded' });
  await sealOnce(next);
  const signed = readFileSync(next.headFile, 'utf8');
  await old.append({});
  await expect(sealOnce(old)).rejects.toMatchObject({ name: 'EvidenceSucceeded' });
  expect(readFileSync(next.headFile, 'utf8')).toBe(signed);
  expect(await next.anchor.read()).toBe(signed);
  await expect(succeedEvidenceKey(old, anotherKey())).rejects.toMatchObject({ name: 'EvidenceSucceeded' });
  expect(() => verifierKeyOf(old.keys, signed)).toThrow(/not signed by/);
});

test('what the key of before signed beyond the succession, in the anchor or the head file, stops the successor', async () => {
  for (const where of ['anchor', 'headFile'] as const) {
    const { old, next } = await succeeded();
    const fork = signCheckpoint({ origin: old.keys.origin, size: 4, root: Buffer.alloc(32, 1) }, old.keys.signingKey);
    if (where === 'anchor') await old.anchor.publish(fork);
    else writeFileSync(old.headFile, fork);
    await expect(sealOnce(next), where).rejects.toMatchObject({ name: 'EvidenceForked' });
    // And another history of what was handed over.
    const rewritten = signCheckpoint(
      { origin: old.keys.origin, size: 3, root: Buffer.alloc(32, 1) },
      old.keys.signingKey,
    );
    if (where === 'anchor') await old.anchor.publish(rewritten);
    else writeFileSync(old.headFile, rewritten);
    await expect(sealOnce(next), where).rejects.toMatchObject({ name: 'EvidenceForked' });
  }
});

test('nobody makes a succession without the key of before, and a changed one is none', async () => {
  const log = await evidenceFixture();
  const old = { origin: log.keys.origin, size: 3, root: Buffer.alloc(32, 7) };
  const [newKey, thief] = [anotherKey(), anotherKey()];
  const note = signSuccession(old, log.keys.signingKey, newKey);
  expect(openSuccession(note).old).toEqual(old);
  const forged = signSuccession(old, thief, newKey);
  const vkeyOf = (text: string) => text.split('\n')[4] ?? '';
  const lines = note.split('\n');
  const attacks: Record<string, string> = {
    'the vkey of before over signatures of a thief': forged.replace(vkeyOf(forged), vkeyOf(note)),
    'another size': note.replace('\n3\n', '\n2\n'),
    'without the signature of before': lines.filter((line) => !line.startsWith(`— ${old.origin} `)).join('\n'),
    'without the signature of the successor': lines
      .filter((line) => !line.startsWith(`— ${old.origin}/log-2 `))
      .join('\n'),
  };
  for (const [attack, text] of Object.entries(attacks)) {
    expect(text, attack).not.toBe(note);
    expect(() => openSuccession(text), attack).toThrow();
  }
  expect(() => signSuccession(old, newKey, newKey)).toThrow(/cannot succeed itself/);
});

test('an export under a key that the key of before never named does not verify for whoever holds a checkpoint', async () => {
  const { old, next, held, heldNote } = await succeeded();
  await sealOnce(next);
  const directory = await exported(next);
  const thief = anotherKey();
  const text = readFileSync(join(directory, 'checkpoint'), 'utf8').split('\n');
  const stolen = signCheckpoint(
    { origin: text[0] ?? '', size: Number(text[1]), root: Buffer.from(text[2] ?? '', 'base64') },
    thief,
  );
  writeFileSync(join(directory, 'checkpoint'), stolen);
  writeFileSync(join(directory, 'vkey'), verifierKeyOf({ origin: old.keys.origin, signingKey: thief }, stolen));
  expect(await verifyExport({ directory, heldCheckpointFile: held })).toMatchObject({ ok: false });
  const oldVkey = join(old.directory, 'old-vkey');
  writeFileSync(oldVkey, verifierKeyOf(old.keys, heldNote));
  expect(await verifyExport({ directory, vkeyFile: oldVkey })).toMatchObject({ ok: false });
});

test('a process with the key of before does not start again, and one with the key that succeeded starts and seals', async () => {
  const { databaseUrl, directory, headFile } = await evidenceFixture();
  const keyDirectory = join(directory, 'keys');
  const open = () => {
    const keys = loadKeys(keyDirectory, { create: !existsSync(keyDirectory) });
    return openLedger({ databaseUrl, host: 'tenure.test', leaseMs: 60_000, poolSize: 2, keys });
  };
  const seal = (ledger: Awaited<ReturnType<typeof open>>) =>
    sealOnce({ direct: ledger.direct, keys: ledger.evidence, headFile });
  const first = await open();
  await seal(first);
  expect(() => nextEvidenceKey(keyDirectory)).toThrow(/openssl genpkey/);
  const next = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(join(keyDirectory, 'evidence-signing.next'), next, { mode: 0o600 });
  const sealing = { direct: first.direct, keys: first.evidence, headFile };
  await succeedEvidenceKey(sealing, nextEvidenceKey(keyDirectory));
  await first.close();

  await expect(open()).rejects.toMatchObject({ name: 'EvidenceSucceeded' });
  putNextEvidenceKey(keyDirectory);
  const second = await open();
  expect((await seal(second)).newest?.note).toMatch(/\/log-2\n/);
  const states = await second.prisma.installationKey.findMany({ where: { name: 'evidence-signing' } });
  expect(states.map(({ state }) => state).sort()).toEqual(['active', 'retired']);
  await second.close();
});
