import { rmSync, writeFileSync } from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import type { Ledger } from '../../ledger/client.ts';
import { observeIfRestored, recordRestore, restoreInForce } from '../../ledger/restore.ts';
import { runSealer, sealOnce } from '../../ledger/sealer.ts';
import { type EvidenceFixture, evidenceFixture } from './evidenceFixture.ts';

/** What PostgreSQL refuses of findings and restores, and what is recorded once however often it is told. */

let fixture: EvidenceFixture;
let run: (text: string) => Promise<unknown>;
beforeEach(async () => {
  fixture = await evidenceFixture();
  const client = await fixture.connect();
  run = (text) => client.query(text);
});

const refusedBy = (constraint: string) => ({ constraint });
const finding = (id: string, more: Record<string, string> = {}) => {
  const row = {
    ...{ id, part: 'issuer', name: 'main', kind: 'unknown', identityId: 'i', version: '1', detail: 'd' },
    ...{ runId: 'r', lastSeenAt: 'now', ...more },
  };
  const values = Object.values(row).map((value) => `'${value}'`);
  const columns = Object.keys(row).map((column) => `"${column}"`);
  return `INSERT INTO reconciliation_finding (${columns}) VALUES (${values})`;
};
const comparison = (id: string, name: string) =>
  `INSERT INTO reconciliation (id, part, name, trigger, "requestedBy", state)
   VALUES ('${id}', 'store', '${name}', 'person', 'p', 'waiting')`;

test('one unfinished comparison per part, and a finished one says so in both columns', async () => {
  await run(comparison('1', 'sealed'));
  await run(comparison('2', 'vault'));
  await expect(run(comparison('3', 'sealed'))).rejects.toMatchObject(refusedBy('reconciliation_one_running'));
  const half = `UPDATE reconciliation SET state = 'done' WHERE id = '1'`;
  await expect(run(half)).rejects.toMatchObject(refusedBy('reconciliation_state'));
  await run(`UPDATE reconciliation SET state = 'done', "finishedAt" = now() WHERE id = '1'`);
  await run(comparison('3', 'sealed'));
});

test('one open or accepted finding per difference, closed only with what was done and by whom, never deleted', async () => {
  await run(finding('1'));
  await expect(run(finding('2'))).rejects.toMatchObject(refusedBy('reconciliation_finding_once'));
  const bare = `UPDATE reconciliation_finding SET state = 'repaired', "resolvedAt" = now() WHERE id = '1'`;
  await expect(run(bare)).rejects.toMatchObject(refusedBy('reconciliation_finding_state'));
  const closed = { resolution: 'done', resolvedBy: 'p', resolvedAt: 'now' };
  await run(finding('2', { ...closed, state: 'repaired' }));
  await expect(run(finding('3', { ...closed, state: 'accepted' }))).rejects.toMatchObject(
    refusedBy('reconciliation_finding_once'),
  );
  await expect(run(`DELETE FROM reconciliation_finding`)).rejects.toMatchObject(refusedBy('never_changes'));
});

test('a restored ledger cannot resume before somebody confirmed with a reason, and its restore is never forgotten', async () => {
  const ledger = ledgerOf(fixture);
  const signed = { size: 7, root: Buffer.alloc(32, 1) };
  await Promise.all([recordRestore(ledger, signed), recordRestore(ledger, signed)]);
  await recordRestore(ledger, signed);
  expect(await fixture.ledger.ledgerRestore.count()).toBe(1);
  expect(await fixture.ledger.evidenceEntry.count({ where: { chain: 'installation' } })).toBe(1);

  const resume = (more = '') => run(`UPDATE ledger_restore SET "resumedAt" = now() ${more}`);
  await expect(resume()).rejects.toMatchObject(refusedBy('ledger_restore_confirmed'));
  await expect(resume(`, "confirmedAt" = now()`)).rejects.toMatchObject(refusedBy('ledger_restore_confirmed'));
  await expect(run(`DELETE FROM ledger_restore`)).rejects.toMatchObject(refusedBy('never_changes'));
  await resume(`, "confirmedAt" = now(), "confirmedBy" = 'admin', reason = 'looked'`);
  expect(await restoreInForce(fixture.ledger)).toBeUndefined();
  // The same head again is the same restore; another one is new.
  await recordRestore(ledger, signed);
  expect(await restoreInForce(fixture.ledger)).toBeUndefined();
  await recordRestore(ledger, { ...signed, size: 8 });
  expect(await restoreInForce(fixture.ledger)).toMatchObject({ signedSize: 8n });
});

test('a process without a usable head file cannot tell, and a ledger as it was signed is not held', async () => {
  const ledger = ledgerOf(fixture);
  await fixture.append({});
  await sealOnce(fixture);
  expect(await observeIfRestored(ledger, fixture)).toBe('as signed');
  rmSync(fixture.headFile);
  expect(await observeIfRestored(ledger, fixture)).toBe('unknown');
  writeFileSync(fixture.headFile, 'no checkpoint');
  expect(await observeIfRestored(ledger, fixture)).toBe('unknown');
  expect(await restoreInForce(fixture.ledger)).toBeUndefined();
});

test('a sealer that finds another history than it signed has the ledger held before it tries again', async () => {
  const other = await evidenceFixture();
  const keys = { ...other.keys, ...fixture.keys };
  for (let count = 0; count < 3; count += 1) await fixture.append({});
  await sealOnce(fixture);
  const ledger = ledgerOf({ ...other, keys });
  const ending = new AbortController();
  await runSealer({
    ...{ direct: other.direct, keys, headFile: fixture.headFile, intervalMs: 10, signal: ending.signal },
    onError: () => undefined,
    async onForked({ signed }) {
      await recordRestore(ledger, signed);
      ending.abort();
    },
  });
  expect(await restoreInForce(other.ledger)).toMatchObject({ signedSize: 3n });
});

function ledgerOf({ ledger: prisma, direct, keys }: Pick<EvidenceFixture, 'ledger' | 'direct' | 'keys'>): Ledger {
  return { prisma, direct, evidence: keys, decisionKeys: new Map(), leaseMs: 1_000 };
}
