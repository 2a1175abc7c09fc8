import type pg from 'pg';
import type { CredentialState, IdentityState, RequestState } from '../../domain/states.ts';

/** Rows put into the tables by SQL alone, past every line of ours: what PostgreSQL itself allows is the subject. */

let made = 0;
function nextId(kind: string): string {
  made += 1;
  return `${kind}${made}`;
}

async function insert(client: pg.Client, table: string, row: Record<string, unknown>): Promise<void> {
  const columns = Object.keys(row).map((column) => `"${column}"`);
  const places = columns.map((_, index) => `$${index + 1}`);
  await client.query(`INSERT INTO "${table}" (${columns.join()}) VALUES (${places.join()})`, Object.values(row));
}

export async function insertIdentity(
  client: pg.Client,
  change: { state?: IdentityState; nameKey?: string; environment?: string } = {},
): Promise<string> {
  const id = nextId('identity');
  await insert(client, 'identity', {
    id,
    kind: 'service-account',
    name: id,
    nameKey: id,
    environment: 'staging',
    ownerId: 'owner',
    purpose: 'a test',
    scopes: [],
    integration: 'payments',
    labels: {},
    consumers: [],
    expiresAt: '2030-01-01T00:00:00Z',
    issuer: 'main-db',
    store: 'sealed',
    state: 'active',
    ...change,
  });
  return id;
}

export async function insertFlow(client: pg.Client): Promise<string> {
  const digest = nextId('digest');
  const row = { digest, name: digest, operation: 'rotation', canonical: '{}', source: '', author: 'a test' };
  await insert(client, 'flow_version', row);
  return digest;
}

export async function insertRequest(
  client: pg.Client,
  identityId: string,
  change: { state?: RequestState; kind?: 'onboarding' | 'rotation' | 'revocation' } = {},
): Promise<string> {
  const id = nextId('request');
  const row = {
    id,
    kind: 'rotation',
    identityId,
    flowDigest: await insertFlow(client),
    state: 'executing',
    trigger: 'person',
    requesterId: 'rui',
    requesterKind: 'person',
    flowState: {},
    workflowId: `rotation/${identityId}`,
    ...change,
  };
  await insert(client, 'request', row);
  return id;
}

/** The shortest way to each state that a credential has. */
const ways: Readonly<Record<CredentialState, readonly CredentialState[]>> = {
  minting: [],
  staged: ['staged'],
  current: ['staged', 'current'],
  retiring: ['staged', 'current', 'retiring'],
  destroying: ['destroying'],
  destroyed: ['destroying', 'destroyed'],
};

/** The next version of the identity, brought to `state`. */
export async function insertCredential(
  client: pg.Client,
  identityId: string,
  requestId: string,
  state: CredentialState = 'minting',
): Promise<string> {
  const { rows } = await client.query<{ version: number }>(
    `UPDATE "identity" SET "highestVersion" = "highestVersion" + 1 WHERE "id" = $1 RETURNING "highestVersion" AS version`,
    [identityId],
  );
  const version = rows[0]?.version ?? 0;
  const handle = `${identityId}-v${version}`;
  const leaseEndsAt = '2026-01-01T00:00:00Z';
  await insert(client, 'credential', { handle, identityId, version, requestId, state: 'minting', leaseEndsAt });
  for (const next of ways[state]) await moveCredential(client, handle, next);
  return handle;
}

export async function moveCredential(client: pg.Client, handle: string, state: CredentialState): Promise<void> {
  const receipt = state === 'destroyed' ? { method: 'absent' } : null;
  await client.query(`UPDATE "credential" SET "state" = $2, "receipt" = $3 WHERE "handle" = $1`, [
    handle,
    state,
    receipt,
  ]);
}

/** An identity with a request and a credential in `state`. */
export async function insertWhole(
  client: pg.Client,
  state: CredentialState = 'minting',
): Promise<{ identityId: string; requestId: string; handle: string }> {
  const identityId = await insertIdentity(client);
  const requestId = await insertRequest(client, identityId);
  return { identityId, requestId, handle: await insertCredential(client, identityId, requestId, state) };
}

/** The constraint that refused the statement; undefined when it was carried out. */
export async function refusalOf(
  client: pg.Client,
  statement: string,
  values: unknown[] = [],
): Promise<string | undefined> {
  try {
    await client.query(statement, values);
    return undefined;
  } catch (error) {
    const constraint: unknown = error instanceof Error ? Reflect.get(error, 'constraint') : undefined;
    if (typeof constraint !== 'string') throw error;
    return constraint;
  }
}
