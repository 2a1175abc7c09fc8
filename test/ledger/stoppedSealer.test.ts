import { expect, test } from 'vitest';
import { sealOnce } from '../../ledger/sealer.ts';
import { checkSignedHistory } from '../../ledger/sealerSteps.ts';
import { evidenceFixture } from './evidenceFixture.ts';

/** As ledger/sealerSteps.ts has it. */
const sealerLock = 69_620_001;

test('a worker starts while a sealer stands still, as soon as the server has ended that one', async () => {
  const log = await evidenceFixture();
  await log.append({});
  await sealOnce(log);
  const stopped = await log.connect();
  await stopped.query('BEGIN');
  await stopped.query(
    `SELECT set_config('transaction_timeout', '1500', true), pg_advisory_xact_lock(${sealerLock})::text`,
  );
  expect(await sealOnce(log)).toMatchObject({ sealed: 0 });
  await checkSignedHistory(log);
  const { rows } = await (await log.connect()).query(
    `SELECT count(*)::int AS holders FROM pg_locks WHERE locktype = 'advisory' AND objid = ${sealerLock}`,
  );
  expect(rows).toEqual([{ holders: 0 }]);
});

test('the server ends every round of a sealer that stands still in the middle of it', async () => {
  const log = await evidenceFixture();
  const owner = await log.connect();
  await owner.query(`
    CREATE TABLE seen_timeout ("value" text);
    CREATE FUNCTION note_timeout() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO seen_timeout VALUES (current_setting('transaction_timeout')); RETURN NULL; END $$;
    CREATE TRIGGER note_numbering AFTER UPDATE ON evidence_entry FOR EACH STATEMENT EXECUTE FUNCTION note_timeout();
    CREATE TRIGGER note_publishing AFTER INSERT ON evidence_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION note_timeout();`);
  await log.append({});
  await sealOnce(log);
  const { rows } = await owner.query('SELECT "value" FROM seen_timeout');
  expect(rows).toEqual([{ value: '20s' }, { value: '20s' }]);
});
