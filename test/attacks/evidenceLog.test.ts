import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { issuanceEffects } from '../../activities/issuance.ts';
import { openCheckpoint } from '../../domain/evidence/checkpoint.ts';
import { noteVerifier } from '../../domain/evidence/signedNote.ts';
import { acceptDamage } from '../../ledger/evidenceDamage.ts';
import { EvidenceDamaged, EvidenceRound } from '../../ledger/evidenceRound.ts';
import { runVerifier } from '../../ledger/evidenceVerifier.ts';
import { evidenceWatch } from '../../ledger/evidenceWatch.ts';
import { evidenceState } from '../../ledger/queries/readiness.ts';
import { answerFork, restoreInForce } from '../../ledger/restore.ts';
import { runSealer, sealOnce } from '../../ledger/sealer.ts';
import { AnchorMissing, AnchorUnreadable, fileAnchor } from '../../ledger/sealerAnchor.ts';
import { CheckpointTampered, EvidenceForked, EvidenceTampered } from '../../ledger/sealerSteps.ts';
import { seedAnchor } from '../../ledger/seedAnchor.ts';
import { type EvidenceFixture, evidenceFixture } from '../ledger/evidenceFixture.ts';

/** The log with an anchor, as the worker has it. */
async function anchoredLog(entries: number) {
  const log = await evidenceFixture();
  const anchorFile = join(log.directory, 'anchor');
  const anchored = { ...log, anchorFile, anchor: fileAnchor(anchorFile) };
  for (let count = 0; count < entries; count += 1) await log.append({ data: { verdict: 'approve' } });
  if (entries > 0) await sealOnce(anchored);
  return anchored;
}

/** A database that shares keys and files with `signed` and holds `entries` entries of another history. */
async function putBack(signed: Awaited<ReturnType<typeof anchoredLog>>, entries: number) {
  const other = await evidenceFixture();
  Object.assign(other.keys, signed.keys);
  for (let count = 0; count < entries; count += 1) await other.append({ data: { verdict: 'put back' } });
  return { ...other, keys: signed.keys, headFile: join(other.directory, 'head'), anchor: signed.anchor };
}

/** What a superuser can do: switch the triggers off first. */
async function behindTheTriggers(log: EvidenceFixture, attack: string): Promise<void> {
  const client = await log.connect();
  await client.query(`ALTER TABLE "evidence_entry" DISABLE TRIGGER ALL; ALTER TABLE "evidence_node" DISABLE TRIGGER ALL;
    ALTER TABLE "evidence_checkpoint" DISABLE TRIGGER ALL; ${attack}`);
}

const ledgerOf = (log: EvidenceFixture) => ({
  prisma: log.ledger,
  direct: log.direct,
  evidence: log.keys,
  decisionKeys: new Map(),
  leaseMs: 1_000,
});
const never = (error: unknown) => expect.unreachable(String(error));
const sizeOf = (log: EvidenceFixture, note: string) =>
  openCheckpoint(note, noteVerifier(log.keys.origin, log.keys.signingKey)).size;

test('database, keys and head put back together sign nothing while the anchor is newer, and leave the anchor as it was', async () => {
  const log = await anchoredLog(3);
  const kept = readFileSync(log.anchorFile, 'utf8');
  for (const entries of [1, 2, 3, 5]) {
    const old = await putBack(log, entries);
    // Signed by the same key, under the same origin, before the anchor was looked at: the head that was put back with it.
    await sealOnce({ ...old, anchor: undefined } as never);
    await old.append({});
    const refused = await sealOnce(old).then(never, (error: unknown) => error);
    expect(refused).toBeInstanceOf(EvidenceForked);
    expect(readFileSync(log.anchorFile, 'utf8')).toBe(kept);
    await answerFork(ledgerOf(old), (refused as EvidenceForked).signed);
    expect(await restoreInForce(old.ledger)).toMatchObject({ signedSize: 3n });
  }
});

test('a log that begins after the anchor names what the anchor kept, and only then replaces it', async () => {
  const log = await anchoredLog(3);
  const old = await putBack(log, 1);
  const { signed } = (await sealOnce(old).then(never, (error: unknown) => error)) as EvidenceForked;
  await answerFork(ledgerOf(old), signed);
  const at = new Date();
  await old.ledger.ledgerRestore.updateMany({
    data: { confirmedAt: at, confirmedBy: 'admin', reason: 'drill', resumedAt: at },
  });
  await answerFork(ledgerOf(old), signed);
  await sealOnce(old);
  expect(readFileSync(log.anchorFile, 'utf8')).toMatch(/\/restored-2\n/);
});

test('a log that was begun in the database for less than the anchor keeps is refused', async () => {
  const log = await anchoredLog(3);
  const old = await putBack(log, 1);
  const at = new Date();
  const restore = {
    signedSize: 2n,
    signedRoot: '00',
    detectedAt: at,
    confirmedAt: at,
    confirmedBy: 'admin',
    reason: 'drill',
    resumedAt: at,
  };
  await old.ledger.ledgerRestore.create({ data: { id: 'invented', ...restore } });
  await old.ledger.evidenceLog.create({
    data: { generation: 2, firstSize: 0n, restoreId: 'invented', begunAt: at },
  });
  await expect(sealOnce(old)).rejects.toThrow(/was begun without knowing of it/);
});

test('an emptied anchor beside signed checkpoints stops the sealing until it is seeded, and seeding keeps the newest checkpoint', async () => {
  const log = await anchoredLog(2);
  rmSync(log.anchorFile);
  await log.append({});
  await expect(sealOnce(log)).rejects.toThrow(AnchorMissing);
  expect(await log.ledger.evidenceEntry.count({ where: { leafIndex: null } })).toBe(1);
  expect(await seedAnchor(ledgerOf(log), log)).toMatchObject({ seeded: true, size: 2 });
  expect(await seedAnchor(ledgerOf(log), log)).toMatchObject({ seeded: false });
  const { newest } = await sealOnce(log);
  expect(newest?.size).toBe(4);
  expect(readFileSync(log.anchorFile, 'utf8')).toBe(newest?.note);
  const kinds = (await log.ledger.evidenceEntry.findMany()).map(({ body }) => JSON.parse(body).kind);
  expect(kinds).toContain('installation.anchor-seeded');
});

test.for([
  ['a directory', (path: string) => mkdirSync(path)],
  ['a symbolic link', (path: string) => symlinkSync('/dev/null', path)],
  ['a link to nowhere', (path: string) => symlinkSync('/nowhere/at/all', path)],
  [
    "another installation's",
    (path: string) => writeFileSync(path, 'elsewhere.example\n1\nAAAA\n\n— elsewhere.example AAAA\n'),
  ],
  ['cut short', (path: string) => writeFileSync(path, '')],
  ['a pipe into which nobody writes', (path: string) => execFileSync('mkfifo', [path])],
] as const)('an anchor that is %s stops the sealing and is left as it is', async ([, put]) => {
  const log = await anchoredLog(1);
  rmSync(log.anchorFile);
  put(log.anchorFile);
  await log.append({});
  await expect(sealOnce(log)).rejects.toThrow(AnchorUnreadable);
  expect(await log.ledger.evidenceCheckpoint.count()).toBe(1);
});

test('of an anchor that is larger than any checkpoint no more is read than a checkpoint can be', async () => {
  const log = await anchoredLog(1);
  writeFileSync(log.anchorFile, `${readFileSync(log.anchorFile, 'utf8')}${'\n'.repeat(70_000)}`);
  await log.append({});
  await expect(sealOnce(log)).rejects.toThrow('is larger than any checkpoint');
});

test.each([
  ['a symbolic link', symlinkSync],
  ['a hard link', linkSync],
])('%s beside the anchor has no other file of the installation overwritten', async (_what, link) => {
  const log = await anchoredLog(1);
  const key = join(log.directory, 'evidence-mac.key');
  writeFileSync(key, 'the key');
  link(key, `${log.anchorFile}.next`);
  await log.append({});
  await sealOnce(log);
  expect(readFileSync(key, 'utf8')).toBe('the key');
  expect(sizeOf(log, readFileSync(log.anchorFile, 'utf8'))).toBe(2);
});

test('what the anchor cannot keep is not published', async () => {
  const log = await anchoredLog(1);
  const full = { ...log.anchor, publish: async () => Promise.reject(new Error('ENOSPC: no space left on device')) };
  await log.append({});
  await expect(sealOnce({ ...log, anchor: full })).rejects.toThrow(/ENOSPC/);
  expect(await log.ledger.evidenceCheckpoint.count()).toBe(1);
  expect(sizeOf(log, readFileSync(log.anchorFile, 'utf8'))).toBe(1);
  expect((await sealOnce(log)).newest?.size).toBe(2);
  expect(sizeOf(log, readFileSync(log.anchorFile, 'utf8'))).toBe(2);
});

test('a checkpoint that was changed in the ledger stops the sealing, by name', async () => {
  const log = await anchoredLog(1);
  await behindTheTriggers(log, `UPDATE "evidence_checkpoint" SET "note" = replace("note", 'tenure', 'tenura')`);
  await log.append({});
  await expect(sealOnce(log)).rejects.toThrow(CheckpointTampered);
});

test.for([
  [
    'whose verdict was changed',
    `UPDATE "evidence_entry" SET "body" = replace("body", 'approve', 'reject') WHERE "leafIndex" = 1`,
    /^Leaf 1, line 2 of an export \(entry \d+, .*text is not what was sealed/,
  ],
  [
    'whose verdict and leaf hash were changed',
    `UPDATE "evidence_entry" SET "body" = replace("body", 'approve', 'reject') WHERE "leafIndex" = 1;
    UPDATE "evidence_node" SET "hash" = sha256('\\x00'::bytea || convert_to((SELECT "body" FROM "evidence_entry" WHERE "leafIndex" = 1), 'UTF8')) WHERE "level" = 0 AND "index" = 1`,
    /^Leaf 1, line 2 .*MAC chain/,
  ],
  [
    'that was deleted from the middle',
    `DELETE FROM "evidence_entry" WHERE "leafIndex" = 1`,
    /^Leaf 1, line 2 .*was removed/,
  ],
  [
    'that was hidden from its request',
    `UPDATE "evidence_entry" SET "requestId" = 'another' WHERE "leafIndex" = 1`,
    /^Leaf 1, .*column requestId/,
  ],
  [
    'that was dated back',
    `UPDATE "evidence_entry" SET "at" = "at" - interval '1 day' WHERE "leafIndex" = 1`,
    /^Leaf 1, .*column at/,
  ],
  [
    'that was cut off the end',
    `DELETE FROM "evidence_entry" WHERE "leafIndex" = 2`,
    /3 entries were signed and the ledger holds 2/,
  ],
  [
    'under a node that was removed',
    `DELETE FROM "evidence_node" WHERE "level" = 0 AND "index" = 1`,
    /^Leaf 1: its hash/,
  ],
] as const)('a sealed entry %s is found by the running system, which then says so', async ([, attack, message]) => {
  const log = await anchoredLog(3);
  expect(await lookedAt(log, 'ok')).toEqual([]);
  expect(await evidenceState(log.ledger)).toBe('sealed');
  await behindTheTriggers(log, attack);
  const errors = await lookedAt(log, 'failed');
  expect(errors[0]).toBeInstanceOf(EvidenceDamaged);
  expect(String(errors[0])).toMatch(new RegExp(message.source.replace('^', 'EvidenceDamaged: '), 's'));
  expect(await evidenceState(log.ledger)).toBe('damaged');
});

test('a turn looks at no more than it is given, and what comes while a pass goes on is of the next', async () => {
  const log = await anchoredLog(5);
  const pass = new EvidenceRound(log.keys);
  expect(await pass.next(log.direct, 2)).toBeUndefined();
  await log.append({});
  await sealOnce(log);
  expect(await pass.next(log.direct, 2)).toBeUndefined();
  expect(await pass.next(log.direct, 2)).toBe(5);
});

test('damage that is accepted is evidence itself, covers exactly what was found, and cannot be accepted in the database', async () => {
  const log = await anchoredLog(3);
  await behindTheTriggers(
    log,
    `UPDATE "evidence_entry" SET "body" = replace("body", 'approve', 'reject') WHERE "leafIndex" = 1`,
  );
  const found = await damage(log);
  await (await log.connect()).query(
    `INSERT INTO "evidence_damage" VALUES ($1, $2, sha256('invented'), 'all is well', now())`,
    [found.subject, found.digest],
  );
  expect((await damage(log)).subject).toBe(found.subject);
  await behindTheTriggers(log, `ALTER TABLE "evidence_damage" DISABLE TRIGGER ALL; DELETE FROM "evidence_damage"`);
  await acceptDamage(ledgerOf(log), found, 'the backup has it no more');
  await sealOnce(log);
  expect(await lookedAt(log, 'ok')).toEqual([]);
  const told = (await log.ledger.evidenceEntry.findMany()).map(({ body }) => JSON.parse(body));
  expect(told).toContainEqual(expect.objectContaining({ kind: 'installation.damage-accepted' }));
  await behindTheTriggers(
    log,
    `UPDATE "evidence_entry" SET "body" = replace("body", 'reject', 'ignore') WHERE "leafIndex" = 1`,
  );
  expect((await damage(log)).digest).not.toEqual(found.digest);
});

test('an entry changed before it was sealed stops the sealing until it is accepted as it is', async () => {
  const log = await anchoredLog(1);
  await log.append({});
  await behindTheTriggers(
    log,
    `UPDATE "evidence_entry" SET "body" = replace("body", 'opened', 'closed') WHERE "leafIndex" IS NULL`,
  );
  const error = await sealOnce(log).then(never, (thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(EvidenceTampered);
  expect(String(error)).toMatch(/tenure evidence accept \d+ --reason/);
  await acceptDamage(ledgerOf(log), (error as EvidenceTampered).found, 'found in a drill');
  expect((await sealOnce(log)).newest?.size).toBe(3);
});

test.for([
  [
    'tampered',
    `UPDATE "evidence_entry" SET "body" = replace("body", 'opened', 'closed') WHERE "leafIndex" IS NULL`,
    undefined,
  ],
  ['without a head', '', 'headFile'],
  ['without an anchor', '', 'anchorFile'],
] as const)(
  'sealing that stopped (%s) is said by readiness, and after five minutes nothing new is issued',
  async ([, attack, file]) => {
    const log = await anchoredLog(1);
    await log.append({});
    if (file === undefined) await behindTheTriggers(log, attack);
    else rmSync(log[file]);
    const stop = new AbortController();
    const said = Promise.withResolvers<void>();
    const kept = evidenceWatch(log, 'sealing', never);
    const watch = { ...kept, failed: async (error: unknown) => kept.failed(error).then(said.resolve) };
    const sealing = runSealer({ ...log, intervalMs: 1, signal: stop.signal, watch, onError: () => undefined });
    await said.promise;
    stop.abort();
    await sealing;
    expect(kept.isFailing()).toBe(true);
    const create = () =>
      issuing(log).create({ identityId: 'i1', version: 1, leaseEndsAt: new Date().toISOString(), timeoutMs: 1_000 });
    await expect(create()).rejects.not.toThrow(/Nothing is issued/);
    await log.ledger.evidenceWatch.updateMany({ data: { failingSince: new Date(Date.now() - 30_000) } });
    expect(await evidenceState(log.ledger)).toBe('stopped');
    await log.ledger.evidenceWatch.updateMany({ data: { failingSince: new Date(Date.now() - 301_000) } });
    await expect(create()).rejects.toThrow(/Nothing is issued: the sealing of evidence has failed/);
  },
);

test('a sealer that says nothing any more, and one that is kept from the lock, are seen by what waits', async () => {
  const log = await anchoredLog(1);
  await evidenceWatch(log, 'sealing', never).ok();
  expect(await evidenceState(log.ledger)).toBe('sealed');
  await log.ledger.evidenceWatch.updateMany({ data: { okAt: new Date(Date.now() - 50_000) } });
  expect(await evidenceState(log.ledger)).toBe('stopped');
  // Whoever puts the row right in the database does not seal what waits.
  await log.append({ at: new Date(Date.now() - 50_000) });
  await log.ledger.evidenceWatch.updateMany({ data: { okAt: new Date() } });
  expect(await evidenceState(log.ledger)).toBe('stopped');
});

function issuing(log: EvidenceFixture) {
  const none = () => expect.unreachable('an issuer or store was asked');
  return issuanceEffects({ ledger: log, issuer: none, store: none, fingerprintKey: log.keys.macKey });
}

async function damage(log: EvidenceFixture) {
  const error = await new EvidenceRound(log.keys).next(log.direct, 1_000).then(never, (thrown: unknown) => thrown);
  return (error as EvidenceDamaged).found ?? expect.unreachable(String(error));
}

/** Runs the verifier until it has said `what`. @returns what it found */
async function lookedAt(log: EvidenceFixture, what: 'ok' | 'failed'): Promise<unknown[]> {
  const stop = new AbortController();
  const errors: unknown[] = [];
  const kept = evidenceWatch(log, 'verification', never);
  const watch = {
    ...kept,
    ok: () => kept.ok().then(() => (what === 'ok' ? stop.abort() : undefined)),
    failed: (error: unknown) => kept.failed(error).then(() => stop.abort()),
  };
  await runVerifier({ ...log, intervalMs: 1, signal: stop.signal, watch, onError: (error) => errors.push(error) });
  return errors;
}
