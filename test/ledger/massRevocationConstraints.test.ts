import type pg from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { evidenceFixture } from './evidenceFixture.ts';
import { insertIdentity, insertRequest, refusalOf } from './rows.ts';

/** What PostgreSQL refuses of mass revocations, whoever asks. */

let client: pg.Client;
beforeEach(async () => {
  client = await (await evidenceFixture()).connect();
  for (const id of ['f1', 'f2'])
    await client.query(
      `INSERT INTO "freeze" ("id", "identityIds", "integrations", "reason", "openedBy") VALUES ($1, '{a}', '{}', 'x', 'ida')`,
      [id],
    );
});

const insert = (id: string, freezeId = 'f1') =>
  refusalOf(
    client,
    `INSERT INTO "mass_revocation" ("id", "freezeId", "reason", "startedBy") VALUES ($1, $2, 'a leak', 'ida')`,
    [id, freezeId],
  );
const update = (set: string, id = 'm1') =>
  refusalOf(client, `UPDATE "mass_revocation" SET ${set} WHERE "id" = $1`, [id]);

test('one is open per freeze; when it is closed, there may be another', async () => {
  expect(await insert('m1')).toBeUndefined();
  expect(await insert('m2')).toBe('mass_revocation_one_open');
  expect(await insert('m2', 'f2')).toBeUndefined();
  expect(await update(`"closedAt" = now(), "report" = '{}'`)).toBeUndefined();
  expect(await insert('m3')).toBeUndefined();
});

test('it closes with its report, once, and pauses with who and why', async () => {
  await insert('m1');
  expect(await update(`"closedAt" = now()`)).toBe('mass_revocation_closed');
  expect(await update(`"report" = '{}'`)).toBe('mass_revocation_closed');
  expect(await update(`"pausedAt" = now(), "pausedBy" = 'ida'`)).toBe('mass_revocation_paused');
  expect(await update(`"pausedAt" = now(), "pausedBy" = 'ida', "pauseReason" = 'x'`)).toBeUndefined();
  expect(await update(`"closedAt" = now(), "report" = '{}'`)).toBeUndefined();
  expect(await update(`"closedAt" = NULL, "report" = NULL`)).toBe('mass_revocation_final');
});

test('who began it, under which freeze and why never changes, and nothing of it is deleted', async () => {
  await insert('m1');
  for (const set of [
    `"freezeId" = 'f2'`,
    `"reason" = 'y'`,
    `"startedBy" = 'rui'`,
    `"createdAt" = now() + interval '1 day'`,
  ])
    expect(await update(set), set).toBe('mass_revocation_immutable');
  await client.query(
    `INSERT INTO "mass_revocation_subject" ("massRevocationId", "identityId", "issuer", "exposure") VALUES ('m1', $1, 'main-db', 0)`,
    [await insertIdentity(client)],
  );
  for (const table of ['mass_revocation_subject', 'mass_revocation'])
    expect(await refusalOf(client, `DELETE FROM "${table}"`)).toBe('never_changes');
});

test('what waits has no request yet, and what is over says since when', async () => {
  await insert('m1');
  const identityId = await insertIdentity(client);
  const requestId = await insertRequest(client, identityId);
  await client.query(
    `INSERT INTO "mass_revocation_subject" ("massRevocationId", "identityId", "issuer", "exposure") VALUES ('m1', $1, 'main-db', 0)`,
    [identityId],
  );
  const set = (change: string) => refusalOf(client, `UPDATE "mass_revocation_subject" SET ${change}`);
  expect(await set(`"requestId" = '${requestId}'`)).toBe('mass_revocation_subject_state');
  expect(await set(`"begunAt" = now()`)).toBe('mass_revocation_subject_state');
  expect(await set(`"state" = 'finished'`)).toBe('mass_revocation_subject_state');
  expect(await set(`"state" = 'begun', "begunAt" = now(), "finishedAt" = now()`)).toBe('mass_revocation_subject_state');
  expect(await set(`"state" = 'undone'`)).toBe('mass_revocation_subject_state');
  expect(await set(`"exposure" = 3`)).toBe('mass_revocation_subject_state');
  expect(await set(`"state" = 'begun', "begunAt" = now(), "requestId" = '${requestId}'`)).toBeUndefined();
  expect(await set(`"state" = 'finished', "finishedAt" = now()`)).toBeUndefined();
});
