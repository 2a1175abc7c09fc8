// `DATABASE_URL=… node scripts/draftMigration.ts [OLDER_SCHEMA]` prints the SQL for a new migration. The database is
// only connected to, never read or changed: the engine wants one even to compare two schema files.
import { readFileSync } from 'node:fs';
import { draftMigration } from '../ledger/schemaEngine.ts';

const [olderSchemaPath] = process.argv.slice(2);
const databaseUrl = process.env['DATABASE_URL'];
if (databaseUrl === undefined) {
  console.error('Set DATABASE_URL to any PostgreSQL database that accepts a login; it is not changed.');
  process.exit(2);
}
const olderSchema = olderSchemaPath === undefined ? undefined : readFileSync(olderSchemaPath, 'utf8');
process.stdout.write(await draftMigration(databaseUrl, olderSchema));
