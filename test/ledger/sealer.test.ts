import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openCheckpoint } from '../../domain/evidence/checkpoint.ts';
import { consistencyHolds, inclusionHolds } from '../../domain/evidence/merkleProofs.ts';
import { GrowingTree, leafHash } from '../../domain/evidence/merkleTree.ts';
import { noteVerifier } from '../../domain/evidence/signedNote.ts';
import { appendEvidence } from '../../ledger/evidence.ts';
import { consistencyProof, inclusionProof, latestCheckpoint, listEvidence } from '../../ledger/evidenceReads.ts';
import { verifyChains } from '../../ledger/evidenceVerification.ts';
import { requestBundle } from '../../ledger/requestBundle.ts';
import { runSealer, sealOnce } from '../../ledger/sealer.ts';
import { type Anchor, fileAnchor } from '../../ledger/sealerAnchor.ts';
import { SealerHeadUnreadable } from '../../ledger/sealerHead.ts';
import { EvidenceForked, EvidenceTampered, numberEntries, SealerHeadMissing } from '../../ledger/sealerSteps.ts';
import { draftOf, type EvidenceFixture, evidenceFixture } from './evidenceFixture.ts';

test('what is committed gets the next leaf indexes and a checkpoint whose root is that of the exact entries', async () => {
  const log = await evidenceFixture();
  for (const serial of [0, 1, 2]) {
    await log.append({ data: { serial } }, { chain: 'identity/i1', data: { serial } });
    expect(await sealOnce(log)).toMatchObject({ sealed: 2, newest: { size: 2 * (serial + 1) } });
    await expectSealed(log, 2 * (serial + 1));
  }
  expect(await sealOnce(log)).toMatchObject({ sealed: 0, newest: { size: 6 } });
  expect(await log.ledger.evidenceCheckpoint.count()).toBe(3);
});

test('a long transaction that commits a lower id later gets a later index, and each entry exactly one', async () => {
  const log = await evidenceFixture();
  const other = Promise.withResolvers<void>();
  const appended = Promise.withResolvers<void>();
  const long = log.ledger.$transaction(
    async (tx) => {
      await appendEvidence(tx, log.keys, [draftOf({ chain: 'request/long', requestId: 'long' })]);
      appended.resolve();
      await other.promise;
    },
    { timeout: 30_000 },
  );
  await appended.promise;
  await log.append({ chain: 'request/short', requestId: 'short' });
  await sealOnce(log);
  other.resolve();
  await long;
  await sealOnce(log);
  const rows = await log.ledger.evidenceEntry.findMany({ orderBy: { id: 'asc' } });
  expect(rows.map(({ requestId, leafIndex }) => [requestId, leafIndex])).toEqual([
    ['long', 1n],
    ['short', 0n],
  ]);
  await expectSealed(log, 2);
});

test('several sealers at once beside busy writers seal every entry exactly once, with no gap', async () => {
  const log = await evidenceFixture();
  const stop = new AbortController();
  const errors: unknown[] = [];
  const { anchor, reached } = awaited(log, 80);
  const sealers = [1, 2, 3].map(() =>
    runSealer({ ...log, anchor, intervalMs: 1, signal: stop.signal, onError: (error) => errors.push(error) }),
  );
  await Promise.all(
    Array.from({ length: 40 }, (_, serial) =>
      log.append({ chain: `request/${serial % 7}` }, { chain: 'installation' }),
    ),
  );
  await reached;
  stop.abort();
  await Promise.all(sealers);
  expect(errors).toEqual([]);
  await expectSealed(log, 80);
});

test('every entry is proved to be under every later checkpoint, and every checkpoint to continue the one before', async () => {
  const log = await evidenceFixture();
  const heads: { size: number; root: Buffer }[] = [];
  for (const count of [1, 3, 4, 7]) {
    await log.append(...Array.from({ length: count }, () => ({})));
    const { newest } = await sealOnce(log);
    heads.push(openCheckpoint(newest?.note ?? '', verifierOf(log)));
  }
  const { items } = await listEvidence(log.ledger, { limit: 100 });
  for (const { size, root } of heads) {
    for (const { leafIndex, body } of items.slice(0, size)) {
      const proof = await inclusionProof(log.ledger, leafIndex, size);
      expect(inclusionHolds({ leaf: leafHash(body), index: leafIndex, size, proof, root })).toBe(true);
    }
    for (const older of heads.filter((head) => head.size <= size)) {
      const proof = await consistencyProof(log.ledger, older.size, size);
      expect(consistencyHolds({ from: older.size, fromRoot: older.root, to: size, toRoot: root, proof })).toBe(true);
    }
  }
  await expect(inclusionProof(log.ledger, 15, 16)).rejects.toThrow(/has 15 sealed entries; size 16 is not reached yet/);
});

test('pages are stable, complete and in order, whatever their length', async () => {
  const log = await evidenceFixture();
  await log.append(
    ...Array.from({ length: 25 }, (_, serial) => ({
      chain: `request/${serial % 2}`,
      requestId: `${serial % 2}`,
      data: { serial },
    })),
  );
  await sealOnce(log);
  await log.append({ requestId: '0' });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 30 }),
      fc.constantFrom(undefined, '0', '1'),
      async (limit, requestId) => {
        const found: number[] = [];
        let after: number | undefined;
        do {
          const page = await listEvidence(log.ledger, {
            limit,
            ...(after === undefined ? {} : { after }),
            ...(requestId === undefined ? {} : { requestId }),
          });
          expect(page.items.length).toBeLessThanOrEqual(limit);
          found.push(...page.items.map(({ leafIndex }) => leafIndex));
          after = page.next;
        } while (after !== undefined);
        const all = Array.from({ length: 25 }, (_, place) => place);
        expect(found).toEqual(requestId === undefined ? all : all.filter((place) => `${place % 2}` === requestId));
      },
    ),
    { numRuns: 20 },
  );
});

test("a request's bundle proves all its entries under one checkpoint, and says what is not sealed yet", async () => {
  const log = await evidenceFixture();
  expect(await requestBundle(log.ledger, log.keys, { requestId: 'r1', limit: 200 })).toBeUndefined();
  await log.append(
    { requestId: 'r1' },
    { chain: 'request/r2', requestId: 'r2' },
    { requestId: 'r1', kind: 'request.completed' },
  );
  await sealOnce(log);
  await log.append({ requestId: 'r1', kind: 'credential.destroyed' });
  const bundle = await requestBundle(log.ledger, log.keys, { requestId: 'r1', limit: 200 });
  expect(bundle).toMatchObject({ unsealed: 1, entries: [{ leafIndex: 0 }, { leafIndex: 2 }] });
  const { size, root } = openCheckpoint(bundle?.checkpoint.note ?? '', verifierOf(log));
  for (const { leafIndex, body, proof } of bundle?.entries ?? []) {
    expect(inclusionHolds({ leaf: leafHash(body), index: leafIndex, size, proof, root })).toBe(true);
  }
});

test('a crash after the indexes and before the signature: the next round signs them', async () => {
  const log = await evidenceFixture();
  await log.append({}, {});
  expect(await numberEntries(log)).toBe(2);
  expect(await latestCheckpoint(log.ledger)).toBeUndefined();
  expect(await sealOnce(log)).toMatchObject({ sealed: 0, newest: { size: 2 } });
  await expectSealed(log, 2);
});

test('a connection lost while entries are numbered leaves nothing half done', async () => {
  const log = await evidenceFixture();
  await log.append({});
  await sealOnce(log);
  await log.append({}, {});
  const lift = await killConnectionOnInsert(log, 'evidence_node');
  await expect(sealOnce(log)).rejects.toThrow();
  expect(await log.ledger.evidenceEntry.count({ where: { leafIndex: null } })).toBe(2);
  await lift();
  expect(await sealOnce(log)).toMatchObject({ sealed: 2, newest: { size: 3 } });
  await expectSealed(log, 3);
});

test('a crash between the head on disk and the checkpoint in the ledger: the same checkpoint is published next', async () => {
  const log = await evidenceFixture();
  await log.append({});
  const lift = await killConnectionOnInsert(log, 'evidence_checkpoint');
  await expect(sealOnce(log)).rejects.toThrow();
  const written = readFileSync(log.headFile, 'utf8');
  expect(await latestCheckpoint(log.ledger)).toBeUndefined();
  await lift();
  await sealOnce(log);
  expect(await latestCheckpoint(log.ledger)).toEqual({ size: 1, note: written });
});

test('the same crash, and the log has grown since: the newer head continues the unpublished one', async () => {
  const log = await evidenceFixture();
  await log.append({});
  const lift = await killConnectionOnInsert(log, 'evidence_checkpoint');
  await expect(sealOnce(log)).rejects.toThrow();
  await lift();
  await log.append({}, {});
  expect(await sealOnce(log)).toMatchObject({ sealed: 2, newest: { size: 3 } });
  await expectSealed(log, 3);
});

test('a head that cannot be put on disk is not published', async () => {
  const log = await evidenceFixture();
  const headFile = join(log.directory, 'not-yet-there', 'head');
  await log.append({});
  await expect(sealOnce({ ...log, headFile })).rejects.toThrow(/ENOENT/);
  expect(await latestCheckpoint(log.ledger)).toBeUndefined();
  mkdirSync(join(log.directory, 'not-yet-there'));
  expect(await sealOnce({ ...log, headFile })).toMatchObject({ newest: { size: 1 } });
});

test('a database restored to before the last signed head is refused, and stays refused however it grows', async () => {
  const log = await evidenceFixture();
  const anchorFile = join(log.directory, 'anchor');
  await log.append({}, {}, {});
  await sealOnce(log);
  const signed = readFileSync(log.headFile, 'utf8');
  const restored = { ...(await evidenceFixture()), keys: log.keys, headFile: log.headFile };
  for (let round = 0; round < 3; round++) {
    await appendAs(restored, 1);
    await expect(sealOnce(restored)).rejects.toThrow(EvidenceForked);
  }
  // As many entries as were signed and more, but not the same ones.
  await appendAs(restored, 5);
  await expect(sealOnce(restored)).rejects.toThrow(
    /signed at 3 entries, but the ledger holds only 0: the database was restored/,
  );
  expect(await restored.ledger.evidenceEntry.count({ where: { leafIndex: { not: null } } })).toBe(0);

  const stop = new AbortController();
  const errors: unknown[] = [];
  const fourth = Promise.withResolvers<void>();
  const running = runSealer({
    ...restored,
    anchor: fileAnchor(anchorFile),
    intervalMs: 1,
    signal: stop.signal,
    onError: (error) => errors.push(error) === 4 && fourth.resolve(),
  });
  await fourth.promise;
  stop.abort();
  await running;
  expect(errors.every((error) => error instanceof EvidenceForked)).toBe(true);
  expect(() => readFileSync(anchorFile)).toThrow(/ENOENT/);
  expect(readFileSync(log.headFile, 'utf8')).toBe(signed);
});

test('a database that went another way after a restore is refused: same size, another root', async () => {
  const log = await evidenceFixture();
  await log.append({}, {});
  await sealOnce(log);
  const forked = { ...(await evidenceFixture()), keys: log.keys };
  await appendAs(forked, 2, 'request/another-history');
  await sealOnce(forked);
  await appendAs(forked, 1);
  await expect(sealOnce({ ...forked, headFile: log.headFile })).rejects.toThrow(
    /the ledger has another root at that size/,
  );
  expect(await latestCheckpoint(forked.ledger)).toMatchObject({ size: 2 });
});

test('without its head file the sealer refuses, and the checkpoint kept by the anchor puts it right', async () => {
  const log = await evidenceFixture();
  const anchorFile = join(log.directory, 'anchor');
  await log.append({});
  await sealUntil(log, 1, anchorFile);
  rmSync(log.headFile);
  await log.append({});
  await expect(sealOnce(log)).rejects.toThrow(SealerHeadMissing);
  writeFileSync(log.headFile, readFileSync(anchorFile));
  expect(await sealOnce(log)).toMatchObject({ newest: { size: 2 } });
});

test("a head file that is damaged, or another log's, stops the sealer", async () => {
  const log = await evidenceFixture();
  await log.append({});
  await sealOnce(log);
  for (const text of ['', 'not a note', readFileSync(log.headFile, 'utf8').replace('\n1\n', '\n2\n')]) {
    writeFileSync(log.headFile, text);
    await expect(sealOnce(log)).rejects.toThrow(SealerHeadUnreadable);
  }
});

test.for([
  ['changed', `UPDATE "evidence_entry" SET "body" = replace("body", 'opened', 'closed') WHERE "position" = 1`],
  ['given another MAC', `UPDATE "evidence_entry" SET "mac" = decode(repeat('00', 32), 'hex') WHERE "position" = 1`],
  ['left without the one before it', `DELETE FROM "evidence_entry" WHERE "position" = 0`],
  ['moved to another place', `UPDATE "evidence_entry" SET "position" = "position" + 10 WHERE "position" = 2`],
] as const)('an entry %s behind the triggers before it was sealed is never sealed', async ([, attack]) => {
  const log = await evidenceFixture();
  await log.append({}, {}, {});
  await behindTheTriggers(log, attack);
  await expect(sealOnce(log)).rejects.toThrow(EvidenceTampered);
  expect(await latestCheckpoint(log.ledger)).toBeUndefined();
  expect(await verifyChains(log.ledger, log.keys)).toMatchObject({ ok: false });
});

test.for([
  [
    'changed',
    `UPDATE "evidence_entry" SET "body" = replace("body", 'opened', 'closed') WHERE "position" = 1`,
    /position 1 .*MAC/,
  ],
  ['taken out', `DELETE FROM "evidence_entry" WHERE "position" = 1`, /position 1 is missing/],
  ['cut off', `DELETE FROM "evidence_entry" WHERE "position" = 2`, /leaf 2 is missing/],
  [
    'hidden from its request',
    `UPDATE "evidence_entry" SET "requestId" = NULL WHERE "position" = 1`,
    /its requestId is not/,
  ],
  [
    'swapped',
    `UPDATE "evidence_entry" SET "leafIndex" = 100 + ("leafIndex" + 1) % 3; UPDATE "evidence_entry" SET "leafIndex" = "leafIndex" - 100`,
    /leaf 0: its hash/,
  ],
  ['swapped, nodes too', `TRUNCATE "evidence_node"`, /leaf 0: its hash/],
  ['unsigned', `UPDATE "evidence_checkpoint" SET "note" = replace("note", 'tenure', 'tenura')`, /checkpoint of size 3/],
] as const)('sealed evidence that was %s in the database is found by verification', async ([, attack, broken]) => {
  const log = await evidenceFixture();
  await log.append({ requestId: 'r1' }, { requestId: 'r1' }, { requestId: 'r1' });
  await sealOnce(log);
  expect(await verifyChains(log.ledger, log.keys)).toEqual({ ok: true, entries: 3, chains: 1, sealed: 3 });
  await behindTheTriggers(log, attack);
  expect(await verifyChains(log.ledger, log.keys)).toEqual({ ok: false, broken: expect.stringMatching(broken) });
});

test('a checkpoint reaches the anchor, and an anchor that fails for a while gets the newest one', async () => {
  const log = await evidenceFixture();
  await log.append({});
  const kept: string[] = [];
  let failures = 2;
  const errors = await errorsUntil(log, 1, async (note) => {
    if (failures-- > 0) throw new Error('the anchor is away');
    kept.push(note);
  });
  expect(errors).toEqual([new Error('the anchor is away'), new Error('the anchor is away')]);
  expect(kept).toEqual([(await latestCheckpoint(log.ledger))?.note]);
});

/** The sealed part of the log is what anyone who has the entries would compute from them. */
async function expectSealed(log: EvidenceFixture, size: number): Promise<void> {
  const { items } = await listEvidence(log.ledger, { limit: 1000 });
  expect(items.map(({ leafIndex }) => leafIndex)).toEqual(Array.from({ length: size }, (_, place) => place));
  const tree = new GrowingTree();
  for (const { body } of items) tree.append(leafHash(body));
  const newest = await latestCheckpoint(log.ledger);
  const signed = openCheckpoint(newest?.note ?? '', verifierOf(log));
  expect(signed).toEqual({ origin: log.keys.origin, size, root: tree.root });
  expect(readFileSync(log.headFile, 'utf8')).toBe(newest?.note);
  expect(await verifyChains(log.ledger, log.keys)).toMatchObject({ ok: true, sealed: size });
}

function verifierOf(log: Pick<EvidenceFixture, 'keys'>) {
  return noteVerifier(log.keys.origin, log.keys.signingKey);
}

async function appendAs(
  log: Pick<EvidenceFixture, 'ledger' | 'keys'>,
  count: number,
  chain = 'request/r1',
): Promise<void> {
  await log.ledger.$transaction((tx) =>
    appendEvidence(
      tx,
      log.keys,
      Array.from({ length: count }, () => draftOf({ chain })),
    ),
  );
}

async function sealUntil(log: EvidenceFixture, size: number, anchorFile: string): Promise<void> {
  expect(await errorsUntil(log, size, fileAnchor(anchorFile).publish)).toEqual([]);
}

/** Seals until the anchor has kept the checkpoint of `size`. @returns what failed meanwhile */
async function errorsUntil(log: EvidenceFixture, size: number, keep: Anchor['publish']): Promise<unknown[]> {
  const stop = new AbortController();
  const errors: unknown[] = [];
  const { anchor, reached } = awaited(log, size, keep);
  const running = runSealer({
    ...log,
    anchor,
    intervalMs: 1,
    signal: stop.signal,
    onError: (error) => errors.push(error),
  });
  await reached;
  stop.abort();
  await running;
  return errors;
}

/** An anchor, and when it has kept the checkpoint of `size`, however long a busy machine takes for that. */
function awaited(
  log: EvidenceFixture,
  size: number,
  keep: Anchor['publish'] = async () => {},
): { anchor: Anchor; reached: Promise<void> } {
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  let kept: string | undefined;
  const publish = async (note: string) => {
    await keep(note);
    kept = note;
    if (openCheckpoint(note, verifierOf(log)).size === size) resolve();
  };
  return { anchor: { name: 'test', publish, read: async () => kept }, reached };
}

/** The next insert into `table` kills its own connection, as a crash would. Returns how to end that. */
async function killConnectionOnInsert(log: EvidenceFixture, table: string): Promise<() => Promise<void>> {
  const client = await log.connect();
  await client.query(`
    CREATE FUNCTION "crash"() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
    CREATE TRIGGER "crash" BEFORE INSERT ON "${table}" FOR EACH ROW EXECUTE FUNCTION "crash"()`);
  return async () => {
    await client.query(`DROP TRIGGER "crash" ON "${table}"`);
  };
}

/** What whoever owns the database can do: switch the triggers off first. */
async function behindTheTriggers(log: EvidenceFixture, attack: string): Promise<void> {
  const tables = ['evidence_entry', 'evidence_node', 'evidence_checkpoint'];
  const client = await log.connect();
  for (const table of tables) await client.query(`ALTER TABLE "${table}" DISABLE TRIGGER USER`);
  await client.query(attack);
  for (const table of tables) await client.query(`ALTER TABLE "${table}" ENABLE TRIGGER USER`);
}
