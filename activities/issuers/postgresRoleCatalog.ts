import pg from 'pg';
import { ForeignCredential, IssuerRefused } from './issuerErrors.ts';
import type { AdminSession } from './postgresRoleConnection.ts';

const { escapeIdentifier, escapeLiteral } = pg;

/**
 * The comments of roles `r`, as `d`. Not by `shobj_description`, which PostgreSQL calls for each role of the server: with a few
 * hundred roles that took most of what it takes to make one.
 */
export const tagged = `JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass`;

/** What a role in PostgreSQL must look like to be ours. */
export interface TaggedRole {
  readonly role: string;
  readonly tag: string;
}

export interface FoundRole {
  readonly oid: number;
  /** Undefined: never expires. */
  readonly validUntil: Date | undefined;
}

/**
 * Looks a role up by its name, which has an index, and asks for its tag. Only where there is none of that name, for its tag
 * among all comments of the server's roles, which have none: so the work does not grow with the roles that are there.
 * @throws ForeignCredential when the role exists without our tag: it is left alone
 * @throws IssuerRefused when our tag is on a role of another name only: somebody renamed it, and a person must look
 */
export async function findRole(
  session: AdminSession,
  { role, tag }: TaggedRole,
  { issuer, subject }: { issuer: string; subject: string },
): Promise<FoundRole | undefined> {
  const [found] = await session.query<{ oid: number; tag: string | null; validUntil: Date | null }>(
    `SELECT r.oid, d.description AS tag, CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil END AS "validUntil"
       FROM pg_roles r LEFT ${tagged} WHERE r.rolname = $1`,
    [role],
  );
  if (found !== undefined) {
    if (found.tag !== tag) throw new ForeignCredential(issuer, subject);
    return { oid: found.oid, validUntil: found.validUntil ?? undefined };
  }
  const [renamed] = await session.query<{ rolname: string }>(
    `SELECT r.rolname FROM pg_roles r ${tagged} WHERE d.description = $1`,
    [tag],
  );
  if (renamed !== undefined)
    throw new IssuerRefused(
      issuer,
      subject,
      `role ${renamed.rolname} carries the tag of ${role}; rename it back or remove its comment`,
    );
  return undefined;
}

/** `CREATE ROLE` with its tag. Part of the caller's transaction, so that no role is ever without its tag. */
export async function createTaggedRole(
  session: AdminSession,
  { role, tag }: TaggedRole,
  attributes: string,
): Promise<void> {
  await session.query(`CREATE ROLE ${escapeIdentifier(role)} ${attributes}`);
  await session.query(`COMMENT ON ROLE ${escapeIdentifier(role)} IS ${escapeLiteral(tag)}`);
}

export async function setValidUntil(session: AdminSession, role: string, validUntil: Date | undefined): Promise<void> {
  const instant = validUntil === undefined ? 'infinity' : validUntil.toISOString();
  await session.query(`ALTER ROLE ${escapeIdentifier(role)} VALID UNTIL ${escapeLiteral(instant)}`);
}

/**
 * Makes `member` a member of exactly `roles`, without the right to grant them on or to act as them (so that whatever it
 * makes belongs to itself). Memberships that somebody else granted are revoked too; where that is not allowed, the
 * server refuses and nothing changes.
 */
export async function reconcileMemberships(
  session: AdminSession,
  member: string,
  roles: ReadonlySet<string>,
): Promise<void> {
  const present = await session.query<{
    role: string;
    grantor: string;
    admin: boolean;
    set: boolean;
    inherit: boolean;
  }>(
    `SELECT role.rolname AS role, grantor.rolname AS grantor,
            m.admin_option AS admin, m.set_option AS set, m.inherit_option AS inherit
       FROM pg_auth_members m
       JOIN pg_roles role ON role.oid = m.roleid
       JOIN pg_roles grantor ON grantor.oid = m.grantor
       JOIN pg_roles member ON member.oid = m.member
      WHERE member.rolname = $1`,
    [member],
  );
  const right = new Set<string>();
  for (const { role, grantor, admin, set, inherit } of present) {
    if (roles.has(role) && inherit && !admin && !set) right.add(role);
    else
      await session.query(
        `REVOKE ${escapeIdentifier(role)} FROM ${escapeIdentifier(member)} GRANTED BY ${escapeIdentifier(grantor)}`,
      );
  }
  for (const role of roles) {
    if (!right.has(role))
      await session.query(
        `GRANT ${escapeIdentifier(role)} TO ${escapeIdentifier(member)} WITH INHERIT TRUE, SET FALSE`,
      );
  }
}
