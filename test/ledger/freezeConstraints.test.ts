import type pg from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { evidenceFixture } from './evidenceFixture.ts';
import { insertIdentity, insertRequest, insertWhole, refusalOf } from './rows.ts';

/** What PostgreSQL refuses of freezes and reviews, whoever asks. */

let client: pg.Client;
beforeEach(async () => {
  client = await (await evidenceFixture()).connect();
});

const lists = [
  'identityIds',
  'integrations',
  'ownerIds',
  'issuers',
  'stores',
  'environments',
  'connectorIds',
  'flowDigests',
  'labels',
];

/** As the previous release writes it: none of the later columns. */
const insertFreeze = (id: string, integrations: readonly string[] = ['payments']) =>
  refusalOf(
    client,
    `INSERT INTO "freeze" ("id", "identityIds", "integrations", "reason", "openedBy") VALUES ($1, '{}', $2, 'x', 'ida')`,
    [id, integrations],
  );

test('a freeze selects by something, by whichever list, and one of the previous release is still one', async () => {
  expect(await insertFreeze('f1')).toBeUndefined();
  expect(await insertFreeze('f2', [])).toBe('freeze_selects');
  for (const list of lists) {
    const others = lists.filter((other) => other !== list).map((other) => `"${other}"`);
    const insert = `INSERT INTO "freeze" ("id", "${list}", ${others.join()}, "reason", "openedBy")
      VALUES ($1, '{a}', ${others.map(() => `'{}'`).join()}, 'x', 'ida')`;
    expect(await refusalOf(client, insert, [`by-${list}`]), list).toBeUndefined();
  }
});

test('what a freeze selects and how never changes, a lifted one stays lifted, and none is deleted', async () => {
  await insertFreeze('f1');
  for (const edit of [
    `"integrations" = '{mail}'`,
    `"mode" = 'cancel'`,
    `"reason" = 'y'`,
    `"openedBy" = 'ian'`,
    `"cause" = 'z'`,
  ])
    expect(await refusalOf(client, `UPDATE "freeze" SET ${edit} WHERE "id" = 'f1'`), edit).toBe('freeze_immutable');
  expect(await refusalOf(client, `UPDATE "freeze" SET "escalations" = 1, "escalatedAt" = now()`)).toBeUndefined();
  expect(await refusalOf(client, `UPDATE "freeze" SET "liftedAt" = now(), "liftedBy" = 'ian'`)).toBeUndefined();
  expect(await refusalOf(client, `UPDATE "freeze" SET "liftedAt" = NULL`)).toBe('freeze_lifted');
  expect(await refusalOf(client, `DELETE FROM "freeze"`)).toBe('never_changes');
});

test('one freeze for each cause, however often Tenure finds it', async () => {
  const insert = `INSERT INTO "freeze" ("id", "ownerIds", "identityIds", "integrations", "reason", "openedBy", "cause")
    VALUES ($1, '{ola}', '{}', '{}', 'x', 'system:lifecycle', 'owner-gone/ola/1')`;
  expect(await refusalOf(client, insert, ['f1'])).toBeUndefined();
  expect(await refusalOf(client, insert, ['f2'])).toBe('freeze_cause_key');
});

test('a thaw names its review, and is never taken back', async () => {
  await insertFreeze('f1');
  const identityId = await insertIdentity(client);
  const insert = `INSERT INTO "freeze_subject" ("freezeId", "identityId", "thawedAt", "reviewRequestId") VALUES ('f1', $1, now(), $2)`;
  expect(await refusalOf(client, insert, [identityId, null])).toBe('freeze_subject_thaw');
  expect(await refusalOf(client, insert, [identityId, 'r1'])).toBeUndefined();
  const refreeze = `UPDATE "freeze_subject" SET "thawedAt" = NULL, "reviewRequestId" = NULL`;
  expect(await refusalOf(client, refreeze)).toBe('freeze_subject_thawed');
  expect(await refusalOf(client, `DELETE FROM "freeze_subject"`)).toBe('never_changes');
});

test('a freeze stops beginnings, commits and requests, and nothing else', async () => {
  await insertFreeze('f1');
  const { requestId } = await insertWhole(client);
  const insert = `INSERT INTO "freeze_stop" ("freezeId", "requestId", "what", "at") VALUES ('f1', $1, $2, now())`;
  for (const what of ['begin', 'commit', 'cancel'])
    expect(await refusalOf(client, insert, [requestId, what])).toBeUndefined();
  expect(await refusalOf(client, insert, [requestId, 'revoke'])).toBe('freeze_stop_what');
});

test('one open review per identity, and what it proposes never changes', async () => {
  const identityId = await insertIdentity(client);
  const [first, second] = [
    await insertRequest(client, identityId),
    await insertRequest(client, await insertIdentity(client)),
  ];
  // The kind of a request never changes, so the rows are made into reviews past the trigger.
  await client.query(`ALTER TABLE "request" DISABLE TRIGGER "request_transition"`);
  const asReview = `UPDATE "request" SET "kind" = 'review', "identityId" = $2, "proposal" = '{"reissue": false}' WHERE "id" = $1`;
  expect(await refusalOf(client, asReview, [first, identityId])).toBeUndefined();
  expect(await refusalOf(client, asReview, [second, identityId])).toBe('request_one_review');
  await client.query(`ALTER TABLE "request" ENABLE TRIGGER "request_transition"`);
  const widened = `UPDATE "request" SET "proposal" = '{"reissue": true}' WHERE "id" = $1`;
  expect(await refusalOf(client, widened, [first])).toBe('request_immutable');
});

test('an order of reviews stays as it was, and who was asked has a request or a refusal', async () => {
  await insertFreeze('f1');
  const identityId = await insertIdentity(client);
  await client.query(
    `INSERT INTO "freeze_review_order" ("id", "freezeId", "orderedBy", "reason", "proposal", "createdAt")
     VALUES ('o1', 'f1', 'ida', 'x', '{"reissue": false}', now())`,
  );
  const asked = (requestId: string | null, refusal: string | null) =>
    refusalOf(client, `INSERT INTO "freeze_review" VALUES ('o1', $1, $2, $3)`, [identityId, requestId, refusal]);
  expect(await asked(null, null)).toBe('freeze_review_answer');
  expect(await asked('r1', 'request-running')).toBe('freeze_review_answer');
  expect(await asked(null, 'no-flow')).toBeUndefined();
  for (const change of [
    `UPDATE "freeze_review_order" SET "reason" = 'y'`,
    `UPDATE "freeze_review" SET "refusal" = 'y'`,
    `DELETE FROM "freeze_review"`,
    `DELETE FROM "freeze_review_order"`,
  ])
    expect(await refusalOf(client, change), change).toBe('never_changes');
});

test('when a person left is kept by PostgreSQL, once for each leaving, whatever else is written of them', async () => {
  const leftAt = async () => {
    const { rows } = await client.query<{ leftAt: Date | null }>(`SELECT "leftAt" FROM "person" WHERE "id" = 'ola'`);
    return rows[0]?.leftAt ?? undefined;
  };
  const update = (set: string) => client.query(`UPDATE "person" SET ${set} WHERE "id" = 'ola'`);
  await client.query(
    `INSERT INTO "person" ("id", "name", "groups", "source", "updatedAt", "leftAt") VALUES ('ola', 'Ola', '{}', 'test', now(), now())`,
  );
  expect(await leftAt(), 'an active person has not left').toBeUndefined();
  await update(`"active" = false`);
  const first = await leftAt();
  expect(first).toBeInstanceOf(Date);
  await update(`"active" = false, "name" = 'Ola L.', "leftAt" = now() + interval '1 day'`);
  expect(await leftAt()).toEqual(first);
  await update(`"active" = true`);
  expect(await leftAt()).toBeUndefined();
});
