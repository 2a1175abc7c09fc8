import type pg from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { evidenceFixture } from './evidenceFixture.ts';
import { insertFlow, insertIdentity, insertRequest, refusalOf } from './rows.ts';

/** What PostgreSQL refuses of publications, whoever asks. */

let client: pg.Client;
beforeEach(async () => {
  client = await (await evidenceFixture()).connect();
  await client.query(
    `INSERT INTO "publication" ("digest", "proposal", "documents", "report", "createdBy") VALUES ('d1', '{}', '[]', '{}', 'ann'), ('d2', '{}', '[]', '{}', 'ann')`,
  );
});

const update = (set: string, id: string) => refusalOf(client, `UPDATE "request" SET ${set} WHERE "id" = $1`, [id]);

async function insertPublication(identityId: string | null, digest: string | null): Promise<string | undefined> {
  const flow = await insertFlow(client);
  return refusalOf(
    client,
    `INSERT INTO "request" ("id", "kind", "identityId", "publicationDigest", "flowDigest", "state", "trigger", "requesterId",
       "requesterKind", "flowState", "workflowId") VALUES ('p1', 'publication', $1, $2, $3, 'evaluating', 'person', 'ann', 'person', '{}', 'w')`,
    [identityId, digest, flow],
  );
}

test('a publication is about no identity and says what it would publish; every other request is about one', async () => {
  const identityId = await insertIdentity(client);
  expect(await insertPublication(identityId, 'd1')).toBe('request_subject');
  expect(await insertPublication(null, null)).toBe('request_subject');
  expect(await insertPublication(null, 'd1')).toBeUndefined();
  const rotation = await insertRequest(client, identityId);
  expect(await update('"identityId" = NULL', rotation)).toBe('request_immutable');
});

test('what a request would publish never changes, nor does the stored content, nor the history', async () => {
  await insertPublication(null, 'd1');
  expect(await update(`"publicationDigest" = 'd2'`, 'p1')).toBe('request_immutable');
  expect(await refusalOf(client, `UPDATE "publication" SET "documents" = '[1]'`)).toBe('never_changes');
  expect(await refusalOf(client, `DELETE FROM "publication"`)).toBe('never_changes');
  await client.query(
    `INSERT INTO "flow_publication" ("name", "operation", "publishedBy", "publishedAt") VALUES ('a', 'rotation', 'ann', now())`,
  );
  expect(await refusalOf(client, `UPDATE "flow_publication" SET "name" = 'b'`)).toBe('never_changes');
  expect(await refusalOf(client, `DELETE FROM "flow_publication"`)).toBe('never_changes');
  expect(await refusalOf(client, `TRUNCATE "flow_publication"`)).toBe('never_changes');
});
