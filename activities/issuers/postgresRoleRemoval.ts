import pg from 'pg';
import { DestroyIncomplete, IssuerRefused, IssuerUnavailable } from './issuerErrors.ts';
import { reconcileMemberships } from './postgresRoleCatalog.ts';
import { type AdminSession, describe, type PostgresConnections } from './postgresRoleConnection.ts';

const { escapeIdentifier } = pg;

export interface RoleToRemove {
  readonly role: string;
  readonly oid: number;
}

/** A login role to remove, and the owning role that inherits what the login made under its own name. */
export interface Removal {
  readonly issuer: string;
  readonly subject: string;
  readonly login: RoleToRemove;
  readonly owner: string;
}

/**
 * Removes a login role for good: first nobody can log in with it any more, then its sessions end, then what it owns in
 * every database goes to the owning role, and last the role is dropped. Each step can be repeated.
 * @throws DestroyIncomplete when the login is disabled but something keeps the role from being dropped
 */
export async function removeLogin(
  connections: PostgresConnections,
  session: AdminSession,
  removal: Removal,
): Promise<void> {
  const { login, owner, issuer, subject } = removal;
  const loginRole = escapeIdentifier(login.role);
  const ownerRole = escapeIdentifier(owner);
  await session.transaction(async () => {
    await session.query(`ALTER ROLE ${loginRole} NOLOGIN`);
    // An administrator who is no superuser may grant itself the roles it made; ending sessions and reassigning need it.
    await session.query(`GRANT ${loginRole}, ${ownerRole} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE`);
  });
  try {
    await endSessions(session, removal);
    await inEveryDatabase(connections, session, { ...login, subject }, async (there) => {
      await there.transaction(async () => {
        await there.query(`REASSIGN OWNED BY ${loginRole} TO ${ownerRole}`);
        await there.query(`DROP OWNED BY ${loginRole}`);
      });
    });
    // A login that was being authenticated while NOLOGIN was committed has its session by now.
    await endSessions(session, removal);
    await session.transaction(async () => {
      await session.query(`DROP ROLE ${loginRole}`);
      await session.query(`REVOKE ${ownerRole} FROM CURRENT_USER`);
    });
  } catch (cause) {
    if (!(cause instanceof IssuerRefused)) throw cause;
    // The server's own words, without the promise that nothing changed.
    throw new DestroyIncomplete(issuer, subject, describe(cause.cause), { cause });
  }
}

/**
 * Removes an owning role that has no members left. What it still owns goes to `reassignTo`. The role stays, without any
 * way to use it, while something still depends on it: objects that nobody takes over, since an identity's data must
 * survive the identity, or rights that others granted to it and only they can take back.
 */
export async function removeOwner(
  connections: PostgresConnections,
  session: AdminSession,
  { owner, subject, reassignTo }: { owner: RoleToRemove; subject: string; reassignTo: string | undefined },
): Promise<void> {
  const ownerRole = escapeIdentifier(owner.role);
  await session.query(`GRANT ${ownerRole} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE`);
  await inEveryDatabase(connections, session, { ...owner, subject }, async (there) => {
    await there.transaction(async () => {
      if (reassignTo !== undefined)
        await there.query(`REASSIGN OWNED BY ${ownerRole} TO ${escapeIdentifier(reassignTo)}`);
      // DROP OWNED takes back rights, and would drop objects too: only when there are none.
      if (!(await isDependedOn(there, owner, 'owner'))) await there.query(`DROP OWNED BY ${ownerRole}`);
    });
  });
  await session.transaction(async () => {
    if (!(await isDependedOn(session, owner, 'anything'))) {
      await session.query(`DROP ROLE ${ownerRole}`);
      return;
    }
    await reconcileMemberships(session, owner.role, new Set());
    await session.query(`REVOKE ${ownerRole} FROM CURRENT_USER`);
  });
}

async function endSessions(session: AdminSession, { issuer, login }: Removal): Promise<void> {
  const oid = [login.oid];
  await session.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = $1', oid);
  // Once more, now waiting for each: all of them are ending already.
  await session.query('SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE usesysid = $1', oid);
  const left = await session.query('SELECT pid FROM pg_stat_activity WHERE usesysid = $1', oid);
  if (left.length > 0)
    throw new IssuerUnavailable(
      issuer,
      `${left.length} sessions of ${login.role} have not ended yet; it can no longer log in`,
    );
}

/** The session's own database, and every other one in which something depends on the role. */
async function inEveryDatabase(
  connections: PostgresConnections,
  session: AdminSession,
  { oid, subject }: { oid: number; subject: string },
  work: (session: AdminSession) => Promise<void>,
): Promise<void> {
  const others = await session.query<{ datname: string }>(
    `SELECT DISTINCT d.datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
      WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 AND d.datname <> current_database()`,
    [oid],
  );
  for (const { datname } of others) await connections.inDatabase({ database: datname, subject }, work);
  await work(session);
}

/**
 * Whether the role owns objects in any database of the server, or is mentioned there in any way. Default privileges count
 * as objects in the catalogue, but hold nothing that anybody would miss.
 */
async function isDependedOn(session: AdminSession, { oid }: RoleToRemove, as: 'owner' | 'anything'): Promise<boolean> {
  const found = await session.query(
    `SELECT 1 FROM pg_shdepend
      WHERE refclassid = 'pg_authid'::regclass AND refobjid = $1
        AND ($2 OR (deptype = 'o' AND classid <> 'pg_default_acl'::regclass)) LIMIT 1`,
    [oid, as === 'anything'],
  );
  return found.length > 0;
}
