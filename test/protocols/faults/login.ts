import pg from 'pg';
import { namesOfHandle } from '../../../activities/issuers/postgresRoleNames.ts';
import type { TestInstallation } from '../../setup/installation.ts';

/** A consumer's own login with a value, on a fresh connection, past Tenure. */
export async function login(
  { databaseUrl }: Pick<TestInstallation, 'databaseUrl'>,
  { identityId, version, value }: { identityId: string; version: number; value: string },
): Promise<'accepted' | 'refused'> {
  const names = namesOfHandle(`${identityId}-v${version}`);
  if (names === undefined) throw new TypeError(`${identityId} version ${version} has no login name.`);
  const url = new URL(databaseUrl);
  url.username = names.login;
  url.password = value;
  const client = new pg.Client({ connectionString: url.href });
  // A connection that ends while it is being made rejects `connect`; the event says nothing new.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
    return 'accepted';
  } catch (error) {
    // invalid_password, invalid_authorization_specification: the answers about the credential; the rest is no answer.
    if (error instanceof pg.DatabaseError && (error.code === '28P01' || error.code === '28000')) return 'refused';
    throw error;
  } finally {
    await client.end();
  }
}
