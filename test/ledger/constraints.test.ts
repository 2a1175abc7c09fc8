import type pg from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { identityStates } from '../../domain/states.ts';
import { eventually } from '../setup/eventually.ts';
import { evidenceFixture } from './evidenceFixture.ts';
import {
  insertCredential,
  insertFlow,
  insertIdentity,
  insertRequest,
  insertWhole,
  moveCredential,
  refusalOf,
} from './rows.ts';

/** What PostgreSQL refuses whoever asks, so that a mistake of ours cannot break a promise. */

let client: pg.Client;
beforeEach(async () => {
  client = await (await evidenceFixture()).connect();
});

const refusedBy = (constraint: string) => ({ constraint });

test('one name in an environment, among identities that are not final', async () => {
  const place = { nameKey: 'orders', environment: 'production' };
  for (const state of identityStates.filter((each) => each === 'revoked' || each === 'rejected')) {
    await insertIdentity(client, { ...place, state });
  }
  await insertIdentity(client, { ...place, state: 'requested' });
  for (const state of ['requested', 'active', 'revoking'] as const) {
    await expect(insertIdentity(client, { ...place, state })).rejects.toMatchObject(refusedBy('identity_name_once'));
  }
  await insertIdentity(client, { ...place, environment: 'staging' });
});

test('one issuing request and one revocation per identity, however they were begun', async () => {
  const identityId = await insertIdentity(client);
  const first = await insertRequest(client, identityId, { kind: 'rotation', state: 'held' });
  for (const kind of ['onboarding', 'rotation'] as const) {
    await expect(insertRequest(client, identityId, { kind })).rejects.toMatchObject(refusedBy('request_one_issuing'));
  }
  await insertRequest(client, identityId, { kind: 'revocation' });
  await expect(insertRequest(client, identityId, { kind: 'revocation' })).rejects.toMatchObject(
    refusedBy('request_one_revocation'),
  );
  await client.query(`UPDATE "request" SET "state" = 'denied' WHERE "id" = $1`, [first]);
  await insertRequest(client, identityId, { kind: 'rotation' });
});

test('one uncommitted mint per identity', async () => {
  for (const state of ['minting', 'staged'] as const) {
    const { identityId, requestId, handle } = await insertWhole(client, state);
    await expect(insertCredential(client, identityId, requestId)).rejects.toMatchObject(
      refusedBy('credential_one_mint'),
    );
    await moveCredential(client, handle, 'destroying');
    await insertCredential(client, identityId, requestId);
  }
});

test('never two current, not even for the instant of a swap: demote first, then promote', async () => {
  const { identityId, requestId, handle: old } = await insertWhole(client, 'current');
  const staged = await insertCredential(client, identityId, requestId, 'staged');
  const commit = `UPDATE "credential" SET "state" = 'current' WHERE "handle" = $1`;
  expect(await refusalOf(client, commit, [staged])).toBe('credential_one_current');
  await moveCredential(client, old, 'retiring');
  expect(await refusalOf(client, commit, [staged])).toBe(undefined);
  expect(await refusalOf(client, commit, [old])).toBe('credential_one_current');
});

test('a credential begins as minting, as the next version of an identity that may issue', async () => {
  const begin = (identityId: string, requestId: string, version: number, state = 'minting') =>
    refusalOf(
      client,
      `INSERT INTO "credential" ("handle", "identityId", "version", "requestId", "state", "leaseEndsAt")
         VALUES ($1::text || '-v' || $3::int, $1, $3, $2, $4, now())`,
      [identityId, requestId, version, state],
    );
  for (const state of identityStates) {
    const identityId = await insertIdentity(client, { state });
    const requestId = await insertRequest(client, identityId);
    await client.query(`UPDATE "identity" SET "highestVersion" = 1 WHERE "id" = $1`, [identityId]);
    const mayIssue = state === 'requested' || state === 'active';
    expect(await begin(identityId, requestId, 2)).toBe('credential_begin');
    expect(await begin(identityId, requestId, 1, 'current')).toBe('credential_begin');
    expect(await begin(identityId, requestId, 1)).toBe(mayIssue ? undefined : 'credential_begin');
  }
});

test('a begin waits for a revocation that has the identity, and then finds it revoking', async () => {
  const fixture = await evidenceFixture();
  const [revoker, beginner, watcher] = [await fixture.connect(), await fixture.connect(), await fixture.connect()];
  const identityId = await insertIdentity(revoker);
  const requestId = await insertRequest(revoker, identityId);
  await revoker.query(`UPDATE "identity" SET "highestVersion" = 1 WHERE "id" = $1`, [identityId]);
  await revoker.query('BEGIN');
  await revoker.query(`UPDATE "identity" SET "state" = 'revoking' WHERE "id" = $1`, [identityId]);
  // No row lock taken first: the trigger reads the identity FOR SHARE by itself.
  const begun = refusalOf(
    beginner,
    `INSERT INTO "credential" ("handle", "identityId", "version", "requestId", "state", "leaseEndsAt")
       VALUES ($1::text || '-v1', $1, 1, $2, 'minting', now())`,
    [identityId, requestId],
  );
  await eventually(async () => {
    const { rows } = await watcher.query(
      `SELECT 1 FROM pg_stat_activity WHERE "datname" = current_database() AND "wait_event_type" = 'Lock'`,
    );
    expect(rows).toHaveLength(1);
  });
  await revoker.query('COMMIT');
  expect(await begun).toBe('credential_begin');
});

test('a credential’s handle is its identity and version, and none of what it is ever changes', async () => {
  const { identityId, requestId, handle } = await insertWhole(client);
  await client.query(`UPDATE "identity" SET "highestVersion" = 2 WHERE "id" = $1`, [identityId]);
  await moveCredential(client, handle, 'destroying');
  const misnamed = `INSERT INTO "credential" ("handle", "identityId", "version", "requestId", "state", "leaseEndsAt")
    VALUES ('another', $1, 2, $2, 'minting', now())`;
  expect(await refusalOf(client, misnamed, [identityId, requestId])).toBe('credential_handle');
  const other = await insertWhole(client);
  for (const edit of [
    `"handle" = 'another'`,
    `"version" = 7`,
    `"identityId" = '${other.identityId}'`,
    `"requestId" = '${other.requestId}'`,
  ]) {
    const update = `UPDATE "credential" SET ${edit} WHERE "handle" = $1`;
    expect(await refusalOf(client, update, [handle])).toBe('credential_identity');
  }
});

test('no credential is destroyed without its receipt', async () => {
  const { handle } = await insertWhole(client, 'destroying');
  const update = `UPDATE "credential" SET "state" = 'destroyed' WHERE "handle" = $1`;
  expect(await refusalOf(client, update, [handle])).toBe('credential_receipt');
});

test('epochs, versions, sequences and revisions only grow', async () => {
  const { identityId, requestId } = await insertWhole(client);
  await client.query(`UPDATE "identity" SET "epoch" = 3 WHERE "id" = $1`, [identityId]);
  await client.query(`UPDATE "request" SET "sequence" = 3, "revision" = 3 WHERE "id" = $1`, [requestId]);
  for (const [table, column, id] of [
    ['identity', 'epoch', identityId],
    ['identity', 'highestVersion', identityId],
    ['request', 'sequence', requestId],
    ['request', 'revision', requestId],
  ]) {
    const update = `UPDATE "${table}" SET "${column}" = "${column}" - 1 WHERE "id" = $1`;
    expect(await refusalOf(client, update, [id])).toBe(`${table}_counters`);
  }
});

test('an identity keeps its id, issuer and store; a request its flow, subject and kind', async () => {
  const { identityId, requestId } = await insertWhole(client);
  for (const column of ['id', 'issuer', 'store']) {
    const update = `UPDATE "identity" SET "${column}" = 'another' WHERE "id" = $1`;
    expect(await refusalOf(client, update, [identityId])).toBe('identity_immutable');
  }
  const elsewhere = {
    flowDigest: await insertFlow(client),
    identityId: await insertIdentity(client),
    kind: 'revocation',
  };
  for (const [column, value] of Object.entries(elsewhere)) {
    const update = `UPDATE "request" SET "${column}" = $2 WHERE "id" = $1`;
    expect(await refusalOf(client, update, [requestId, value])).toBe('request_immutable');
  }
});

const decide = (requestId: string, change: Record<string, unknown> = {}) => {
  const row = {
    id: `d${Math.random()}`,
    requestId,
    stage: 'security',
    revision: 1,
    approverId: 'sam',
    verdict: 'approve',
    digest: 'aa',
    signature: 's',
    keyId: 'k',
    decidedAt: '2026-01-01T00:00:00Z',
    ...change,
  };
  const columns = Object.keys(row).map((column) => `"${column}"`);
  const insert = `INSERT INTO "decision" (${columns.join()}) VALUES (${columns.map((_, at) => `$${at + 1}`).join()})`;
  return refusalOf(client, insert, Object.values(row));
};

test('one counted decision per approver, stage and revision', async () => {
  const { requestId } = await insertWhole(client);
  expect(await decide(requestId, { id: 'first' })).toBe(undefined);
  expect(await decide(requestId)).toBe('decision_once');
  expect(await decide(requestId, { verdict: 'deny' })).toBe('decision_once');
  for (const other of [{ approverId: 'sue' }, { stage: 'lead' }, { revision: 2 }]) {
    expect(await decide(requestId, other)).toBe(undefined);
  }
  await client.query(`UPDATE "decision" SET "withdrawnAt" = now() WHERE "id" = 'first'`);
  expect(await decide(requestId)).toBe(undefined);
});

test('a proof has the instant at which its author signed in, and it never changes', async () => {
  const { requestId } = await insertWhole(client);
  expect(await decide(requestId, { verdict: 'confirm' })).toBe('decision_proof');
  expect(await decide(requestId, { id: 'p1', verdict: 'confirm', authenticatedAt: '2026-01-01T00:00:00Z' })).toBe(
    undefined,
  );
  for (const instant of ['now()', 'NULL'])
    expect(await refusalOf(client, `UPDATE "decision" SET "authenticatedAt" = ${instant} WHERE "id" = 'p1'`)).toBe(
      'decision_immutable',
    );
});

test('of a decision only its withdrawal is ever added, once', async () => {
  const { requestId } = await insertWhole(client);
  await decide(requestId, { id: 'd1' });
  for (const edit of [
    `"verdict" = 'deny'`,
    `"approverId" = 'sue'`,
    `"digest" = 'bb'`,
    `"signature" = 't'`,
    `"revision" = 2`,
  ]) {
    const refusals = [
      await refusalOf(client, `UPDATE "decision" SET ${edit} WHERE "id" = 'd1'`),
      await refusalOf(client, `UPDATE "decision" SET ${edit}, "withdrawnAt" = now() WHERE "id" = 'd1'`),
    ];
    expect(refusals).toEqual(['decision_immutable', 'decision_immutable']);
  }
  expect(await refusalOf(client, `UPDATE "decision" SET "withdrawnAt" = now()`)).toBe(undefined);
  for (const again of ['now()', 'NULL']) {
    expect(await refusalOf(client, `UPDATE "decision" SET "withdrawnAt" = ${again}`)).toBe('decision_immutable');
  }
});

test('one open pause per request and person', async () => {
  const { requestId } = await insertWhole(client);
  const pause = (id: string, principal: string) =>
    refusalOf(client, `INSERT INTO "pause" ("id", "requestId", "principal", "reason") VALUES ($1, $2, $3, '')`, [
      id,
      requestId,
      principal,
    ]);
  expect(await pause('p1', 'rui')).toBe(undefined);
  expect(await pause('p2', 'rui')).toBe('pause_once');
  expect(await pause('p3', 'lea')).toBe(undefined);
  await client.query(`UPDATE "pause" SET "liftedAt" = now() WHERE "id" = 'p1'`);
  expect(await pause('p4', 'rui')).toBe(undefined);
});

test('a freeze that selects nothing is none', async () => {
  const freeze = (identities: string[], integrations: string[]) =>
    refusalOf(
      client,
      `INSERT INTO "freeze" ("id", "identityIds", "integrations", "reason", "openedBy") VALUES ($1, $2, $3, '', 'ida')`,
      [`f${identities.length}${integrations.length}`, identities, integrations],
    );
  expect(await freeze([], [])).toBe('freeze_selects');
  expect(await freeze(['i1'], [])).toBe(undefined);
  expect(await freeze([], ['payments'])).toBe(undefined);
});

test('a flow version never changes, not even in a letter of its name', async () => {
  const digest = await insertFlow(client);
  for (const column of ['digest', 'name', 'operation', 'canonical', 'source', 'author']) {
    const update = `UPDATE "flow_version" SET "${column}" = 'another' WHERE "digest" = $1`;
    expect(await refusalOf(client, update, [digest])).toBe('never_changes');
  }
});

test('identities, credentials, requests, decisions and flow versions are never deleted', async () => {
  const { requestId } = await insertWhole(client, 'destroyed');
  await decide(requestId);
  for (const table of ['decision', 'credential', 'request', 'identity', 'flow_version']) {
    expect(await refusalOf(client, `DELETE FROM "${table}"`), table).toBe('never_changes');
    expect(await refusalOf(client, `TRUNCATE "${table}" CASCADE`), table).toBe('never_changes');
  }
});
