import pg from 'pg';
import { expect, test } from 'vitest';
import { freshDatabase } from './database.ts';

test('each fresh database has the ledger schema, UTF-8 and none of the rows of another', async () => {
  const [first, second] = await Promise.all([freshDatabase(), freshDatabase()]);
  const client = new pg.Client({ connectionString: first.url });
  await client.connect();
  const { rows } = await client.query(
    `SELECT current_database() AS name, to_regclass('public.identity') IS NOT NULL AS migrated, current_setting('server_encoding') AS encoding`,
  );
  await client.end();
  expect(rows).toEqual([{ name: first.name, migrated: true, encoding: 'UTF8' }]);
  expect(second.name).not.toBe(first.name);
  await Promise.all([first.drop(), second.drop()]);
});
