import pg from 'pg';

/**
 * Active identities with a served credential, as an installation of some age has them, by SQL: what a story about many
 * subjects needs is that they are there. Their credentials exist in the ledger alone; whatever is issued to them later is
 * issued for real. Constraints and triggers are in force.
 * @returns their ids
 */
export async function seedActiveIdentities(
  ledgerUrl: string,
  { count, integration, owner }: { count: number; integration: string; owner: string },
): Promise<string[]> {
  const client = new pg.Client({ connectionString: ledgerUrl });
  await client.connect();
  try {
    await client.query('BEGIN');
    // Ids are 26 of a-z and 2-7: a hash in hexadecimal, with the digits that are not among them renamed.
    await client.query(
      `CREATE TEMPORARY TABLE "seed" ON COMMIT DROP AS
         SELECT left(translate(md5('identity' || n), '0189', 'ghij'), 26) AS "id",
           left(translate(md5('request' || n), '0189', 'ghij'), 26) AS "requestId", 'seeded-' || n AS "name"
         FROM generate_series(1, $1::int) AS n`,
      [count],
    );
    await client.query(
      `INSERT INTO "identity" ("id", "kind", "name", "nameKey", "environment", "ownerId", "purpose", "scopes",
         "integration", "labels", "consumers", "expiresAt", "issuer", "store", "state", "epoch", "highestVersion")
       SELECT "id", 'service-account', "name", "name", 'staging', $1, 'one of many', '{orders:read}', $2, '{}', '{}',
         now() + interval '60 days', 'main-db', 'sealed', 'active', 1, 1 FROM "seed"`,
      [owner, integration],
    );
    await client.query(
      `INSERT INTO "request" ("id", "kind", "identityId", "flowDigest", "state", "trigger", "requesterId",
         "requesterKind", "flowState", "workflowId", "finishedAt")
       SELECT "requestId", 'onboarding', "id", (SELECT "digest" FROM "published_flow" WHERE "name" = 'onboarding-default'),
         'completed', 'person', $1, 'person', '{}', 'onboarding/' || "id", now() FROM "seed"`,
      [owner],
    );
    await client.query(
      `INSERT INTO "credential" ("handle", "identityId", "version", "requestId", "state", "leaseEndsAt")
       SELECT "id" || '-v1', "id", 1, "requestId", 'minting', now() FROM "seed"`,
    );
    for (const state of ['staged', 'current'])
      await client.query(`UPDATE "credential" SET "state" = $1 WHERE "identityId" IN (SELECT "id" FROM "seed")`, [
        state,
      ]);
    await client.query(
      `UPDATE "credential" SET "epoch" = 1, "promotedEpoch" = 1, "expiresAt" = now() + interval '30 days'
       WHERE "identityId" IN (SELECT "id" FROM "seed")`,
    );
    const { rows } = await client.query<{ id: string }>('SELECT "id" FROM "seed" ORDER BY "id"');
    await client.query('COMMIT');
    return rows.map(({ id }) => id);
  } finally {
    await client.end();
  }
}
