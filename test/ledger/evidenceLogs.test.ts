import { readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { openCheckpoint } from '../../domain/evidence/checkpoint.ts';
import { ExportCheck } from '../../domain/evidence/exportCheck.ts';
import { parseVerifierKey } from '../../domain/evidence/signedNote.ts';
import type { Ledger } from '../../ledger/client.ts';
import { verifierKeyOf } from '../../ledger/evidenceLogs.ts';
import { latestCheckpoint, listEvidence } from '../../ledger/evidenceReads.ts';
import { verifyChains } from '../../ledger/evidenceVerification.ts';
import { answerFork, restoreInForce } from '../../ledger/restore.ts';
import { sealOnce } from '../../ledger/sealer.ts';
import { EvidenceForked } from '../../ledger/sealerSteps.ts';
import { type EvidenceFixture, evidenceFixture } from './evidenceFixture.ts';

/** A database that holds less than was signed by these keys at this head file: what a backup comes to. */
async function backupOf(
  signed: EvidenceFixture,
  entries: number,
): Promise<EvidenceFixture & { readonly asLedger: Ledger }> {
  const other = await evidenceFixture();
  const backup = { ...other, keys: signed.keys, headFile: signed.headFile };
  const asLedger = {
    prisma: other.ledger,
    direct: other.direct,
    evidence: signed.keys,
    decisionKeys: new Map(),
    leaseMs: 1_000,
  };
  // The fixture appends under keys of its own: those of the signed log count here.
  Object.assign(other.keys, signed.keys);
  for (let count = 0; count < entries; count += 1) await other.append({});
  return { ...backup, asLedger };
}

async function forkOf(log: EvidenceFixture): Promise<EvidenceForked> {
  return sealOnce(log).then(
    () => expect.unreachable('it sealed'),
    (error: unknown) => (error instanceof EvidenceForked ? error : expect.unreachable(String(error))),
  );
}

/** What `confirmRestore` and the comparison after it leave behind. */
async function resume({ ledger }: EvidenceFixture): Promise<void> {
  const at = new Date();
  await ledger.ledgerRestore.updateMany({
    where: { resumedAt: null },
    data: { confirmedAt: at, confirmedBy: 'admin', reason: 'the disk died', resumedAt: at },
  });
}

async function exportReport(log: EvidenceFixture) {
  const newest = await latestCheckpoint(log.ledger);
  if (newest === undefined) return expect.unreachable('nothing is sealed');
  const vkey = parseVerifierKey(verifierKeyOf(log.keys, newest.note));
  const check = new ExportCheck(openCheckpoint(newest.note, vkey));
  for (const { body } of (await listEvidence(log.ledger, { limit: 200 })).items) check.line(Buffer.from(body));
  return check.finish();
}

async function lostHeads({ headFile }: EvidenceFixture): Promise<string[]> {
  const directory = dirname(headFile);
  const lost = readdirSync(directory).filter((name) => name.includes('.lost-'));
  return lost.map((name) => readFileSync(`${directory}/${name}`, 'utf8'));
}

test('signed entries that are lost for good end their log, and the next one begins only once an administrator resumed', async () => {
  const signed = await evidenceFixture();
  for (let count = 0; count < 5; count += 1) await signed.append({});
  const { newest: lost } = await sealOnce(signed);
  const backup = await backupOf(signed, 2);

  const fork = await forkOf(backup);
  await answerFork(backup.asLedger, fork.signed);
  expect(await restoreInForce(backup.ledger)).toMatchObject({ signedSize: 5n });
  await answerFork(backup.asLedger, (await forkOf(backup)).signed);
  expect(await backup.ledger.evidenceLog.count()).toBe(0);

  await resume(backup);
  await Promise.all([answerFork(backup.asLedger, fork.signed), answerFork(backup.asLedger, fork.signed)]);
  await answerFork(backup.asLedger, fork.signed);
  const { newest } = await sealOnce(backup);
  expect(newest?.note).toMatch(/^tenure\.example\/evidence\/restored-2\n/);
  expect(await lostHeads(backup)).toEqual([lost?.note]);
  expect(readFileSync(backup.headFile, 'utf8')).toBe(newest?.note);
  expect(await verifyChains(backup.ledger, backup.keys)).toMatchObject({ ok: true, sealed: newest?.size });
  expect(await exportReport(backup)).toMatchObject({ ok: true, origin: 'tenure.example/evidence/restored-2' });
  const told = (await listEvidence(backup.ledger, { limit: 200 })).items.map(({ body }) => JSON.parse(body));
  expect(told).toContainEqual(
    expect.objectContaining({
      kind: 'installation.log-begun',
      data: expect.objectContaining({ lostSize: 5, lostRoot: fork.signed.root.toString('hex') }),
    }),
  );
  await backup.append({});
  expect((await sealOnce(backup)).newest?.note).toMatch(/\/restored-2\n/);
});

test('a backup from before the new log is a restore of its own, and the log after it has another name again', async () => {
  const signed = await evidenceFixture();
  for (let count = 0; count < 3; count += 1) await signed.append({});
  await sealOnce(signed);
  const first = await backupOf(signed, 1);
  await answerFork(first.asLedger, (await forkOf(first)).signed);
  await resume(first);
  await answerFork(first.asLedger, (await forkOf(first)).signed);
  await sealOnce(first);

  const second = await backupOf(signed, 1);
  const fork = await forkOf(second);
  expect(fork.message).toContain('knows no log after');
  await answerFork(second.asLedger, fork.signed);
  expect(await restoreInForce(second.ledger)).toBeDefined();
  await resume(second);
  await answerFork(second.asLedger, fork.signed);
  expect((await sealOnce(second)).newest?.note).toMatch(/\/restored-3\n/);
  expect(await lostHeads(second)).toHaveLength(2);
});

test('a head of another installation is never set aside', async () => {
  const theirs = await evidenceFixture();
  await theirs.append({});
  const { newest } = await sealOnce(theirs);
  const ours = await evidenceFixture();
  const keys = { ...theirs.keys, origin: 'elsewhere.example/evidence' };
  await expect(sealOnce({ ...ours, keys, headFile: theirs.headFile })).rejects.toThrow(
    /should hold the last checkpoint/,
  );
  expect(readFileSync(theirs.headFile, 'utf8')).toBe(newest?.note);
});
