import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { createPostgresRoleIssuer, type PostgresRoleOptions } from '../../../activities/issuers/postgresRole.ts';
import type { ClosableIssuer, IssuerSubject } from '../../contract/issuers/issuerContract.ts';
import { freshDatabase } from '../../setup/database.ts';

export interface PostgresSubject extends IssuerSubject {
  readonly installationId: string;
  /** The administrator's URL: no superuser, but CREATEROLE and ADMIN on the scopes' roles. */
  readonly adminUrl: string;
  readonly databaseName: string;
  /** The database roles behind `scopes`. */
  readonly scopeRoles: readonly [string, string];
  issuer(given?: Partial<PostgresRoleOptions>): ClosableIssuer;
  asSuperuser<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
}

/** A database with an administrator who is no superuser, and two roles to stand for scopes. */
export async function postgresSubject(): Promise<PostgresSubject> {
  const database = await freshDatabase();
  const superuser = new pg.Pool({ connectionString: database.url, max: 2 });
  const asSuperuser: PostgresSubject['asSuperuser'] = async (text, values) =>
    (await superuser.query(text, values)).rows;

  const suffix = randomBytes(4).toString('hex');
  const password = randomBytes(16).toString('hex');
  const admin = `"admin "" ${suffix}"`;
  const scopeRoles = [`orders_${suffix}`, `Ledger's "odd" ${suffix}`] as const;
  await asSuperuser(`CREATE ROLE ${admin} LOGIN CREATEROLE PASSWORD '${password}'`);
  for (const role of scopeRoles) {
    await asSuperuser(`CREATE ROLE ${pg.escapeIdentifier(role)} NOLOGIN`);
    await asSuperuser(`GRANT ${pg.escapeIdentifier(role)} TO ${admin} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`);
    await asSuperuser(`GRANT CREATE ON SCHEMA public TO ${pg.escapeIdentifier(role)}`);
  }

  const installationId = `installation-${suffix}`;
  function urlOf({ port, isOwnLoginWrong = false }: { port?: number; isOwnLoginWrong?: boolean } = {}): string {
    const url = new URL(database.url);
    url.username = encodeURIComponent(`admin " ${suffix}`);
    url.password = isOwnLoginWrong ? 'wrong' : password;
    if (port !== undefined) url.port = String(port);
    return url.href;
  }
  const scopes = { 'orders:write': scopeRoles[0], 'ledger:read': scopeRoles[1] };
  const issuer: PostgresSubject['issuer'] = (given) =>
    createPostgresRoleIssuer('main-db', {
      url: urlOf(),
      scopes,
      installationId,
      timeouts: { connectMs: 1_000, statementMs: 10_000 },
      ...given,
    });

  return {
    installationId,
    adminUrl: urlOf(),
    databaseName: database.name,
    scopeRoles,
    port: Number(new URL(database.url).port),
    scope: 'orders:write',
    secrets: [password],
    wire: {
      create: ['BEGIN', 'CREATE ROLE', 'GRANT', 'ALTER ROLE', 'COMMIT', 'pg_advisory_unlock'],
      extend: ['ALTER ROLE', 'pg_advisory_unlock'],
      destroy: [
        'NOLOGIN',
        'COMMIT',
        'pg_terminate_backend',
        'REASSIGN OWNED',
        'DROP ROLE',
        'REVOKE',
        'pg_advisory_unlock',
      ],
    },
    issuer,
    asSuperuser,
    connect: (options) => issuer({ url: urlOf(options) }),
    async plantForeign(handle) {
      const role = `tenure_${handle.replace('-', '_')}`;
      await asSuperuser(`CREATE ROLE ${role} LOGIN PASSWORD 'theirs'`);
      await asSuperuser(`COMMENT ON ROLE ${role} IS 'tenure:another-installation:${handle}'`);
      const state = `SELECT rolcanlogin, rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = $1`;
      const before = await asSuperuser(state, [role]);
      return async () => JSON.stringify(await asSuperuser(state, [role])) === JSON.stringify(before);
    },
    async close() {
      await superuser.end();
      await database.drop();
    },
  };
}
