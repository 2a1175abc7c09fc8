import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Issuer } from './issuer.ts';
import { ForeignCredential, HandleMissing, HandleNotResumable, IssuerRefused } from './issuerErrors.ts';
import {
  createTaggedRole,
  type FoundRole,
  findRole,
  reconcileMemberships,
  setValidUntil,
  type TaggedRole,
  tagged,
} from './postgresRoleCatalog.ts';
import { type AdminSession, type PostgresTimeouts, postgresConnections } from './postgresRoleConnection.ts';
import { inventoryPage } from './postgresRoleInventory.ts';
import {
  credentialTagPrefix,
  handleInTag,
  namesOfHandle,
  ownerNameOf,
  type RoleNames,
  tagOf,
  tagPrefix,
} from './postgresRoleNames.ts';
import { removeLogin, removeOwner } from './postgresRoleRemoval.ts';
import { scramVerifier } from './scramVerifier.ts';

export interface PostgresRoleOptions {
  /** Of an administrator: CREATEROLE and ADMIN on the scopes' roles are enough (docs/issuers.md). */
  readonly url: string;
  /** Scope, as identities name it, to the existing database role that it means. */
  readonly scopes: Readonly<Record<string, string>>;
  readonly installationId: string;
  /** Who gets the objects of a retired identity; without it, its owning role stays as long as it owns something. */
  readonly reassignTo?: string;
  readonly timeouts?: PostgresTimeouts;
}

const defaultTimeouts: PostgresTimeouts = { connectMs: 5_000, statementMs: 10_000 };

/**
 * Logins of a PostgreSQL server, version 16 or newer. One NOLOGIN role per identity owns everything and holds the
 * scopes; one LOGIN role per credential version is a member of it and acts as it. `VALID UNTIL` is the lease. Secrets
 * reach the server as SCRAM verifiers and SCRAM exchanges only, so they are in no log of it.
 */
export function createPostgresRoleIssuer(
  name: string,
  options: PostgresRoleOptions,
): Issuer & { close(): Promise<void> } {
  const { installationId, reassignTo } = options;
  const connections = postgresConnections(name, options.url, options.timeouts ?? defaultTimeouts);

  function namesOf(handle: string): RoleNames {
    const names = namesOfHandle(handle);
    if (names === undefined)
      throw new IssuerRefused(name, handle, 'a handle here is <26 characters of base32>-v<version>');
    return names;
  }

  function loginOf(names: RoleNames): TaggedRole {
    return { role: names.login, tag: tagOf(installationId, names.handle) };
  }

  function ownerOf(names: { owner: string; identityId: string }): TaggedRole {
    return { role: names.owner, tag: tagOf(installationId, names.identityId) };
  }

  function find(session: AdminSession, role: TaggedRole, subject: string): Promise<FoundRole | undefined> {
    return findRole(session, role, { issuer: name, subject });
  }

  function rolesForScopes(handle: string, scopes: readonly string[]): Map<string, string> {
    return new Map(
      scopes.map((scope) => {
        const role = Object.hasOwn(options.scopes, scope) ? options.scopes[scope] : undefined;
        if (role === undefined) throw new IssuerRefused(name, handle, `scope "${scope}" is not offered here`);
        return [scope, role];
      }),
    );
  }

  async function refuseMissingRoles(
    session: AdminSession,
    handle: string,
    roles: ReadonlyMap<string, string>,
  ): Promise<void> {
    const rows = await session.query<{ rolname: string }>('SELECT rolname FROM pg_roles WHERE rolname = ANY($1)', [
      [...roles.values()],
    ]);
    const existing = new Set(rows.map((row) => row.rolname));
    for (const [scope, role] of roles)
      if (!existing.has(role))
        throw new IssuerRefused(
          name,
          handle,
          `role "${role}", which scope "${scope}" means, does not exist in the database`,
        );
  }

  async function ensureOwner(session: AdminSession, names: RoleNames): Promise<void> {
    const owner = ownerOf(names);
    if ((await find(session, owner, names.handle)) === undefined) await createTaggedRole(session, owner, 'NOLOGIN');
  }

  /** All of ours, or those of one identity: chosen in the database, as a mass revocation asks once for each identity. */
  async function listCredentials(
    session: AdminSession,
    identityId?: string,
  ): Promise<{ names: RoleNames; validUntil: Date | undefined }[]> {
    const rows = await session.query<{ tag: string; validUntil: Date | null }>(
      `SELECT d.description AS tag, CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil END AS "validUntil"
         FROM pg_roles r ${tagged} WHERE starts_with(d.description, $1) ORDER BY r.rolname`,
      [identityId === undefined ? tagPrefix(installationId) : credentialTagPrefix(installationId, identityId)],
    );
    return rows.flatMap(({ tag, validUntil }) => {
      const names = handleInTag(installationId, tag);
      return names === undefined ? [] : [{ names, validUntil: validUntil ?? undefined }];
    });
  }

  /** Versions only grow, so a lower one than exists is a late repetition, and its scopes may be outdated. */
  async function refuseLateVersion(session: AdminSession, { handle, identityId, version }: RoleNames): Promise<void> {
    const later = (await listCredentials(session, identityId)).find(({ names }) => names.version > version);
    if (later !== undefined)
      throw new IssuerRefused(name, handle, `version ${later.names.version} of this identity exists already`);
  }

  /** Only proves and extends; what an attempt with the wrong secret found stays as it was. */
  async function resume(
    session: AdminSession,
    names: RoleNames,
    found: FoundRole,
    order: { secret: string; validUntil: Date },
  ): Promise<void> {
    // Never earlier than it was: this may be a late repetition, and the credential committed and extended since.
    const isExtended = found.validUntil !== undefined && found.validUntil < order.validUntil;
    // Before the proof, since a login past VALID UNTIL is refused whatever the secret.
    if (isExtended) await setValidUntil(session, names.login, order.validUntil);
    if ((await connections.tryLogin({ user: names.login, secret: order.secret })) === 'accepted') return;
    if (isExtended) await setValidUntil(session, names.login, found.validUntil);
    throw new HandleNotResumable(name, names.handle, 'it does not accept the staged secret');
  }

  return {
    name,
    type: 'postgres-role',
    capabilities: { overlap: true, expiry: true, secretChosenBy: 'tenure', lastUsed: false },

    // 256 random bits: no dictionary or guess reaches them, so the verifier's cost does not matter.
    generateSecret: async () => randomBytes(32).toString('base64url'),

    async create({ handle, identityId, secret, scopes, validUntil }) {
      const names = namesOf(handle);
      if (names.identityId !== identityId)
        throw new IssuerRefused(name, handle, `it is no handle of identity ${identityId}`);
      const roles = rolesForScopes(handle, scopes);
      const verifier = await scramVerifier(secret);
      await connections.alone({ identityId, subject: handle }, async (session) => {
        const login = loginOf(names);
        const found = await find(session, login, handle);
        if (found !== undefined) return resume(session, names, found, { secret, validUntil });
        await session.transaction(async () => {
          await refuseLateVersion(session, names);
          await refuseMissingRoles(session, handle, roles);
          await ensureOwner(session, names);
          await reconcileMemberships(session, names.owner, new Set(roles.values()));
          const [loginRole, ownerRole] = [pg.escapeIdentifier(names.login), pg.escapeIdentifier(names.owner)];
          const attributes = `LOGIN PASSWORD ${pg.escapeLiteral(verifier)} VALID UNTIL ${pg.escapeLiteral(validUntil.toISOString())}`;
          await createTaggedRole(session, login, attributes);
          await session.query(`GRANT ${ownerRole} TO ${loginRole} WITH INHERIT TRUE, SET TRUE`);
          // Sessions act as the owner, so that what they make outlives this version of the credential.
          await session.query(`ALTER ROLE ${loginRole} SET role = ${pg.escapeLiteral(names.owner)}`);
        });
      });
    },

    async extend({ handle, validUntil }) {
      const names = namesOf(handle);
      await connections.alone({ identityId: names.identityId, subject: handle }, async (session) => {
        if ((await find(session, loginOf(names), handle)) === undefined) throw new HandleMissing(name, handle);
        await setValidUntil(session, names.login, validUntil);
      });
    },

    prove: async ({ handle, secret }) => connections.tryLogin({ user: namesOf(handle).login, secret }),

    controlLogin: () => connections.adminLogin(),

    async destroy({ handle, identityId }) {
      const names = namesOfHandle(handle);
      if (names === undefined || names.identityId !== identityId) throw new ForeignCredential(name, handle);
      await connections.alone({ identityId, subject: handle }, async (session) => {
        const found = await find(session, loginOf(names), handle);
        if (found === undefined) return;
        // Without an owner to take them over, what the login owns could only be dropped.
        await session.transaction(() => ensureOwner(session, names));
        await removeLogin(connections, session, {
          issuer: name,
          subject: handle,
          login: { role: names.login, oid: found.oid },
          owner: names.owner,
        });
      });
    },

    async retireIdentity({ identityId }) {
      const owner = ownerNameOf(identityId);
      if (owner === undefined)
        throw new IssuerRefused(name, identityId, 'an identity id here is 26 characters of lower-case base32');
      await connections.alone({ identityId, subject: identityId }, async (session) => {
        const found = await find(session, ownerOf({ owner, identityId }), identityId);
        if (found === undefined) return;
        const left = await listCredentials(session, identityId);
        if (left.length > 0)
          throw new IssuerRefused(
            name,
            identityId,
            `${left.map(({ names }) => names.handle).join(', ')} must be destroyed first`,
          );
        await removeOwner(connections, session, {
          owner: { role: owner, oid: found.oid },
          subject: identityId,
          reassignTo,
        });
      });
    },

    list: async (filter) =>
      connections.withSession('the list of credentials', async (session) =>
        (await listCredentials(session, filter?.identityId)).map(({ names, validUntil }) => ({
          handle: names.handle,
          identityId: names.identityId,
          validUntil,
        })),
      ),

    inventory: async ({ after, limit }) =>
      connections.withSession('the inventory of credentials', (session) =>
        inventoryPage(session, { tagPrefix: tagPrefix(installationId), after, limit }),
      ),

    close: () => connections.close(),
  };
}
