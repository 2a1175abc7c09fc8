import pg from 'pg';
import { IssuerRefused, IssuerUnavailable } from './issuerErrors.ts';

export interface PostgresTimeouts {
  readonly connectMs: number;
  readonly statementMs: number;
}

/** One administrator's connection, held for one identity. Each query outside `transaction` commits by itself. */
export interface AdminSession {
  /** @throws IssuerUnavailable or IssuerRefused, from the server's own answer */
  query<Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  transaction<T>(work: () => Promise<T>): Promise<T>;
}

export interface PostgresConnections {
  /**
   * Runs `work` alone among all of Tenure's processes for this identity (a session advisory lock in the configured
   * database), so that the steps of create and destroy never interleave. On any error the connection is closed, which
   * rolls back and unlocks, whatever state it was in.
   */
  alone<T>(order: { identityId: string; subject: string }, work: (session: AdminSession) => Promise<T>): Promise<T>;
  /** Runs `work` on an administrator's connection of the pool. */
  withSession<T>(subject: string, work: (session: AdminSession) => Promise<T>): Promise<T>;
  /** Runs `work` on a fresh administrator's connection to another database of the same server. */
  inDatabase<T>(order: { database: string; subject: string }, work: (session: AdminSession) => Promise<T>): Promise<T>;
  /** A real login on a fresh connection. @throws IssuerUnavailable when the answer says nothing about the credential */
  tryLogin(login: { user: string; secret: string }): Promise<'accepted' | 'refused'>;
  /** A fresh login of the administrator. @throws IssuerUnavailable */
  adminLogin(): Promise<void>;
  close(): Promise<void>;
}

/** GRANT … WITH INHERIT, SET and role administration without superuser rights as used here came with PostgreSQL 16. */
const oldestServer = 16;

/** Connections to one PostgreSQL server: everything on them is bounded in time, and every error says which state it leaves. */
export function postgresConnections(issuer: string, url: string, timeouts: PostgresTimeouts): PostgresConnections {
  const { host, port, database, ssl, user, password } = new pg.Client({ connectionString: url });
  const target = {
    host,
    port,
    ssl,
    database,
    application_name: 'tenure',
    keepAlive: true,
    connectionTimeoutMillis: timeouts.connectMs,
    statement_timeout: timeouts.statementMs,
    // For a server that went silent: the client's own clock, a little after the server's.
    query_timeout: timeouts.statementMs + 500,
  } satisfies pg.ClientConfig;
  const admin = { ...target, user, password } satisfies pg.ClientConfig;

  const pool = new pg.Pool({ ...admin, max: 4, idleTimeoutMillis: 30_000, allowExitOnIdle: true });
  // A connection that breaks while idle has left the pool already, and one in use rejects its pending call with the same
  // error: the events say nothing new, but without listeners they would end the process.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));

  function unavailable(cause: unknown): IssuerUnavailable {
    return new IssuerUnavailable(issuer, describe(cause), { cause });
  }

  function sessionOn(client: pg.ClientBase, subject: string): AdminSession {
    const query: AdminSession['query'] = async (text, values) => {
      try {
        return (await client.query(text, values === undefined ? undefined : [...values])).rows;
      } catch (cause) {
        throw isRefusedStatement(cause)
          ? new IssuerRefused(issuer, subject, describe(cause), { cause })
          : unavailable(cause);
      }
    };
    return {
      query,
      async transaction(work) {
        await query('BEGIN');
        const result = await work();
        await query('COMMIT');
        return result;
      },
    };
  }

  const withSession: PostgresConnections['withSession'] = async (subject, work) => {
    const client = await pool.connect().catch((cause: unknown) => {
      throw unavailable(cause);
    });
    let isIntact = false;
    try {
      const result = await work(sessionOn(client, subject));
      isIntact = true;
      return result;
    } finally {
      client.release(!isIntact);
    }
  };

  async function onFreshConnection<T>(config: pg.ClientConfig, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client(config);
    // The pending call rejects with the same error; without a listener the event would end the process.
    client.on('error', () => {});
    try {
      await client.connect();
      return await work(client);
    } finally {
      await client.end();
    }
  }

  return {
    withSession,

    alone: ({ identityId, subject }, work) =>
      withSession(subject, async (session) => {
        const lock = [`tenure:${identityId}`];
        const [server] = await session.query<{ version: number }>(
          `SELECT current_setting('server_version_num')::int / 10000 AS version, pg_advisory_lock(hashtextextended($1, 0))`,
          lock,
        );
        if (server === undefined || server.version < oldestServer)
          throw new IssuerRefused(issuer, subject, `the server is older than PostgreSQL ${oldestServer}`);
        const result = await work(session);
        await session.query('SELECT pg_advisory_unlock(hashtextextended($1, 0))', lock);
        return result;
      }),

    async inDatabase({ database: other, subject }, work) {
      let isConnected = false;
      try {
        return await onFreshConnection({ ...admin, database: other }, (client) => {
          isConnected = true;
          return work(sessionOn(client, subject));
        });
      } catch (cause) {
        throw isConnected ? cause : unavailable(cause);
      }
    },

    async tryLogin(login) {
      let isAsked = false;
      const giveSecret = () => {
        isAsked = true;
        return login.secret;
      };
      try {
        await onFreshConnection({ ...target, user: login.user, password: giveSecret }, (client) =>
          client.query('SELECT 1'),
        );
      } catch (cause) {
        if (isRefusedLogin(cause)) return 'refused';
        throw unavailable(cause);
      }
      if (isAsked) return 'accepted';
      throw new IssuerUnavailable(
        issuer,
        `the server let ${login.user} in without asking for a secret, so nothing is proved; require scram-sha-256 in its pg_hba.conf`,
      );
    },

    async adminLogin() {
      try {
        await onFreshConnection(admin, (client) => client.query('SELECT 1'));
      } catch (cause) {
        throw unavailable(cause);
      }
    },

    close: () => pool.end(),
  };
}

/**
 * 28P01 and 28000 are answers about the credential, except 28000 from ClientAuthentication: there pg_hba.conf has no
 * line for this address, database or encryption, whatever the secret.
 */
function isRefusedLogin(cause: unknown): boolean {
  if (!(cause instanceof pg.DatabaseError)) return false;
  return cause.code === '28P01' || (cause.code === '28000' && cause.routine !== 'ClientAuthentication');
}

/** Classes of SQLSTATE in which the server understood and said no; the statement changed nothing. */
const refusalClasses: readonly string[] = ['0A', '0L', '0P', '22', '23', '2B', '42'];

function isRefusedStatement(cause: unknown): boolean {
  return cause instanceof pg.DatabaseError && refusalClasses.includes(cause.code?.slice(0, 2) ?? '');
}

/** Server messages name objects, never parameter values or secrets: those are only ever sent as SCRAM exchanges. */
export function describe(cause: unknown): string {
  if (cause instanceof pg.DatabaseError) {
    const detail = cause.detail === undefined ? '' : `: ${cause.detail.replaceAll('\n', ', ')}`;
    return `${cause.message}${detail} (SQLSTATE ${cause.code ?? 'unknown'})`;
  }
  if (!(cause instanceof Error)) return 'an unknown error';
  // A host with several addresses fails with an AggregateError, whose own message is empty.
  if (cause.message !== '') return cause.message;
  return 'code' in cause ? String(cause.code) : cause.name;
}
