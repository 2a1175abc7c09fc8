import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tagOf } from '../../activities/issuers/postgresRoleNames.ts';
import { reconcilePage } from '../../activities/reconciliation.ts';
import { acceptFinding } from '../../ledger/findings.ts';
import { partOf, takeRun } from '../../ledger/reconciliations.ts';
import { randomIdentityId, secondsFromNow } from '../contract/issuers/issuerContract.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { untilLedgerClockPasses } from '../setup/ledgerClock.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { behindTenuresBack, findingsOf, reconcile } from '../setup/reconciling.ts';
import { plainFlows } from './flows.ts';

/** Each kind of difference is planted by hand, and exactly that finding and that repair must come of it. */

let installation: TestInstallation;
let hand: ByHand;
let isIssuerAway = false;

beforeAll(async () => {
  installation = await testInstallation({
    flows: plainFlows,
    leaseMs: 1_000,
    wrapIssuer: (issuer) => ({
      ...issuer,
      inventory: (order) => (isIssuerAway ? Promise.reject(new Error('the network is down')) : issuer.inventory(order)),
    }),
  });
  hand = byHand(installation);
});
afterAll(() => installation.close());

async function onboarded(): Promise<string> {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  await hand.carryOutAll(requestId);
  return identityId;
}

async function done(kind: 'rotation' | 'revocation', identityId: string): Promise<void> {
  const { requestId } = await hand.open(openOrder(kind, { identityId }));
  await hand.carryOutAll(requestId);
}

/** Past the lease of everything that was made until now, and past the patience with what is unknown. */
async function leasesEnd(): Promise<void> {
  await untilLedgerClockPasses(installation, new Date(Date.now() + installation.ledger.leaseMs + 200));
}

async function revoked(): Promise<string> {
  const identityId = await onboarded();
  await leasesEnd();
  await done('revocation', identityId);
  const { state } = await installation.ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } });
  expect(state).toBe('revoked');
  return identityId;
}

const sql = (...statements: string[]) => behindTenuresBack(installation.databaseUrl, ...statements);
const roleOf = (identityId: string, version: number) => `tenure_${identityId}_v${version}`;

/** A role as a creation that the ledger forgot would have left it. */
async function plantOurs(identityId: string, version: number): Promise<void> {
  const handle = `${identityId}-v${version}`;
  const secret = randomBytes(24).toString('base64url');
  await installation.issuer.create({ handle, identityId, secret, scopes: [], validUntil: secondsFromNow(3600) });
}

/** A role with our tag, made past the issuer's own rules. */
async function plantTagged(identityId: string, version: number): Promise<void> {
  const role = roleOf(identityId, version);
  const tag = tagOf(installation.ledger.installation.id, `${identityId}-v${version}`);
  await sql(`CREATE ROLE ${role} LOGIN PASSWORD 'back'`, `COMMENT ON ROLE ${role} IS ${pg.escapeLiteral(tag)}`);
}

async function roles(identityId: string): Promise<unknown[]> {
  const rows = await sql(
    `SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'tenure_${identityId}%' ORDER BY 1`,
  );
  return rows.map(({ rolname }) => rolname);
}

async function findingOf(identityId: string) {
  return installation.ledger.prisma.reconciliationFinding.findFirstOrThrow({ where: { identityId } });
}

async function evidenceAbout(identityId: string): Promise<string[]> {
  const rows = await installation.ledger.prisma.evidenceEntry.findMany({
    where: { identityId, chain: { startsWith: 'finding/' } },
    orderBy: { id: 'asc' },
  });
  return rows.map(({ body }) => (JSON.parse(body) as { kind: string }).kind);
}

test('what is as the ledger says leaves no finding, in any state of its life', async () => {
  const [active, gone, rotated] = [await onboarded(), await revoked(), await onboarded()];
  await done('rotation', rotated);
  const runs = await reconcile(installation);
  expect(runs.map(({ part, state, found }) => [part, state, found])).toEqual([
    ['issuer', 'done', 0],
    ['store', 'done', 0],
  ]);
  for (const identityId of [active, gone, rotated]) expect(await findingsOf(installation, identityId)).toEqual([]);
});

test('an unknown credential with our tag is reported, and destroyed with a receipt once it is older than any lease', async () => {
  const identityId = randomIdentityId();
  await plantOurs(identityId, 1);
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['unknown v1 open']);
  expect(await roles(identityId)).toEqual([roleOf(identityId, 1)]);

  await leasesEnd();
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['unknown v1 repaired']);
  expect(await roles(identityId)).toEqual([]);
  expect((await findingOf(identityId)).receipt).toMatchObject({ method: 'absent', stillUsable: [] });
  expect(await evidenceAbout(identityId)).toEqual(['finding.opened', 'finding.repaired']);
  // Of an identity that nobody knows, the owning role goes too.
  expect(await sql(`SELECT 1 FROM pg_roles WHERE rolname = 'tenure_${identityId}'`)).toEqual([]);
});

test('an unknown credential beside an active one goes, the active one stays, and its version is never given out again', async () => {
  const identityId = await onboarded();
  await plantTagged(identityId, 7);
  await reconcile(installation);
  await leasesEnd();
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['unknown v7 repaired']);
  expect(await roles(identityId)).toEqual([roleOf(identityId, 1)]);
  await done('rotation', identityId);
  expect(await hand.credentialsOf(identityId)).toBe('v1 retiring, v8 current');
});

test('an unknown credential stays as long as the one that the ledger calls current is not there: it may be in use', async () => {
  const identityId = await onboarded();
  await plantTagged(identityId, 2);
  await sql(`DROP OWNED BY ${roleOf(identityId, 1)}`, `DROP ROLE ${roleOf(identityId, 1)}`);
  await reconcile(installation);
  await leasesEnd();
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['missing v1 open', 'unknown v2 open']);
  expect(await roles(identityId)).toEqual([roleOf(identityId, 2)]);
});

test('what a person accepted is left as it is', async () => {
  const identityId = randomIdentityId();
  await plantOurs(identityId, 1);
  await reconcile(installation);
  const { id } = await findingOf(identityId);
  const accepted = await acceptFinding(installation.ledger, { id, by: 'responder@tenure.example', reason: 'kept' });
  expect(accepted).toMatchObject({ accepted: true });
  await leasesEnd();
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['unknown v1 accepted']);
  expect(await roles(identityId)).toEqual([roleOf(identityId, 1)]);
  expect(await evidenceAbout(identityId)).toEqual(['finding.opened', 'finding.accepted']);
});

test('a missing credential is reported and nothing is done about it; a rotation puts it right and closes the finding', async () => {
  const identityId = await onboarded();
  await sql(`DROP OWNED BY ${roleOf(identityId, 1)}`, `DROP ROLE ${roleOf(identityId, 1)}`);
  await reconcile(installation);
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['missing v1 open']);
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
  expect(await installation.ledger.prisma.request.count({ where: { identityId } })).toBe(1);

  const { requestId } = await hand.open(openOrder('rotation', { identityId }));
  await hand.carryOutAll(requestId);
  const { epoch } = await installation.ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } });
  await installation.ledger.prisma.acknowledgement.create({
    data: { identityId, epoch, consumer: 'pipeline:deploy', at: new Date() },
  });
  await hand.carryOutAll(requestId);
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['missing v1 repaired']);
  expect((await findingOf(identityId)).resolution).toBe('seen no more');
  expect(await evidenceAbout(identityId)).toEqual(['finding.opened', 'finding.closed']);
});

test('a destroyed credential that is there again is destroyed again at once, each time', async () => {
  const identityId = await revoked();
  for (const repaired of [['returned v1 repaired'], ['returned v1 repaired', 'returned v1 repaired']]) {
    await plantTagged(identityId, 1);
    await reconcile(installation);
    expect(await findingsOf(installation, identityId)).toEqual(repaired);
    expect(await roles(identityId)).toEqual([]);
  }
  expect((await findingOf(identityId)).receipt).toMatchObject({ method: 'absent' });
});

test('a foreign role that bears a name of ours is reported and never touched; one of nobody here is only counted', async () => {
  const identityId = await onboarded();
  const stranger = randomIdentityId();
  const [theirs, other] = [roleOf(identityId, 2), roleOf(stranger, 1)];
  await sql(`CREATE ROLE ${theirs} LOGIN PASSWORD 'theirs'`, `CREATE ROLE ${other} LOGIN PASSWORD 'theirs'`);
  const state = `SELECT * FROM pg_authid WHERE rolname IN ('${theirs}', '${other}') ORDER BY rolname`;
  const before = await sql(state);
  await reconcile(installation);
  await leasesEnd();
  const [atIssuer] = await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['foreign v2 open']);
  expect(await findingsOf(installation, stranger)).toEqual([]);
  expect(atIssuer?.foreign).toBeGreaterThanOrEqual(2);
  expect(await sql(state)).toEqual(before);
  await sql(`DROP ROLE ${theirs}`, `DROP ROLE ${other}`);
});

test('a store that has lost what it served is written again, under the same epoch', async () => {
  const identityId = await onboarded();
  const before = await installation.store.read({ identityId });
  await sql(`DELETE FROM sealed_value WHERE "identityId" = '${identityId}' AND path = 'live'`);
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['behind repaired']);
  expect(await installation.store.read({ identityId })).toEqual(before);
});

test('a store that cannot be written again, since the issuer refuses the credential, stays as it is with the reason', async () => {
  const identityId = await onboarded();
  await sql(
    `DELETE FROM sealed_value WHERE "identityId" = '${identityId}' AND path = 'live'`,
    `ALTER ROLE ${roleOf(identityId, 1)} PASSWORD 'changed by hand'`,
  );
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['behind open']);
  expect((await findingOf(identityId)).lastError).toContain('does not accept');
  expect(await installation.store.read({ identityId })).toBeUndefined();
  await done('rotation', identityId);
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['behind repaired']);
});

test('a store that serves what the ledger never gave out is reported, and left to people', async () => {
  const identityId = await onboarded();
  await sql(`UPDATE sealed_value SET epoch = epoch + 5 WHERE "identityId" = '${identityId}' AND path = 'live'`);
  await reconcile(installation);
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['ahead open']);
  expect(await installation.store.inspect({ identityId })).toMatchObject({ live: { epoch: 6, version: 1 } });
});

test('a revoked identity whose tombstone is gone is quarantined again, whatever took its place', async () => {
  const [lost, replaced] = [await revoked(), await revoked()];
  await sql(`DELETE FROM sealed_value WHERE "identityId" = '${lost}' AND path = 'live'`);
  await installation.store.stage({ identityId: replaced, version: 9, value: 'planted' });
  await installation.store.promote({ identityId: replaced, version: 9, epoch: 40 });
  await reconcile(installation);
  for (const identityId of [lost, replaced])
    expect(await findingsOf(installation, identityId)).toEqual(['tombstone-missing repaired']);
  expect(await installation.store.read({ identityId: lost })).toEqual({ kind: 'tombstone', epoch: 2 });
  expect(await installation.store.read({ identityId: replaced })).toEqual({ kind: 'tombstone', epoch: 41 });
  await reconcile(installation);
  expect(await findingsOf(installation, replaced)).toEqual(['tombstone-missing repaired']);
});

test('the staged value of a destroyed version is discarded again', async () => {
  const identityId = await revoked();
  await sql(
    `UPDATE sealed_value SET "keyId" = 'k', envelope = 'x' WHERE "identityId" = '${identityId}' AND path = 'staged/1'`,
  );
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['staged-left v1 repaired']);
  expect(await installation.store.inspect({ identityId })).toMatchObject({ staged: [] });
});

test('a path of an identity that the ledger does not know is reported and left: it carries no tag', async () => {
  const identityId = randomIdentityId();
  await installation.store.stage({ identityId, version: 1, value: 'theirs' });
  await installation.store.promote({ identityId, version: 1, epoch: 1 });
  await reconcile(installation);
  await leasesEnd();
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['unknown open']);
  expect(await installation.store.read({ identityId })).toMatchObject({ kind: 'value', value: 'theirs' });
});

test('page by page the same is found and repaired as at once, at the edges of pages too', async () => {
  const [kept, lost, unknown] = [[], [], []] as [string[], string[], string[]];
  for (let count = 0; count < 3; count += 1) {
    kept.push(await onboarded());
    const identityId = await onboarded();
    await sql(`DROP OWNED BY ${roleOf(identityId, 1)}`, `DROP ROLE ${roleOf(identityId, 1)}`);
    await sql(`DELETE FROM sealed_value WHERE "identityId" = '${kept.at(-1)}' AND path = 'live'`);
    lost.push(identityId);
    unknown.push(randomIdentityId());
    // More credentials of one identity than a page holds.
    for (const version of [1, 2, 3]) await plantTagged(unknown.at(-1) ?? '', version);
  }
  const { ledger, effects, issuer, store } = installation;
  const onError = () => undefined;
  const page = reconcilePage({
    ...{ ledger, onError, pageSize: 2 },
    ...{ issuer: () => issuer, store: () => store, effects },
  });
  let pages = 0;
  for (const part of ['issuer/main-db', 'store/sealed']) {
    const { id } = await takeRun(ledger, partOf(part));
    do {
      await page(part);
      pages += 1;
    } while ((await ledger.prisma.reconciliation.findUniqueOrThrow({ where: { id } })).finishedAt === null);
  }
  expect(pages).toBeGreaterThan(9);
  for (const identityId of kept) expect(await findingsOf(installation, identityId)).toEqual(['behind repaired']);
  for (const identityId of lost) expect(await findingsOf(installation, identityId)).toEqual(['missing v1 open']);
  for (const identityId of unknown)
    expect((await findingsOf(installation, identityId)).sort()).toEqual([
      'unknown v1 open',
      'unknown v2 open',
      'unknown v3 open',
    ]);
});

test('an issuer that is away keeps the run where it was, with the reason, and nothing is closed for it', async () => {
  const identityId = await onboarded();
  await sql(`DROP OWNED BY ${roleOf(identityId, 1)}`, `DROP ROLE ${roleOf(identityId, 1)}`);
  await reconcile(installation);
  isIssuerAway = true;
  await expect(reconcile(installation)).rejects.toThrow('the network is down');
  isIssuerAway = false;
  const run = await installation.ledger.prisma.reconciliation.findFirstOrThrow({
    where: { part: 'issuer', finishedAt: null },
  });
  expect(run.lastError).toBe('the network is down');
  expect(await findingsOf(installation, identityId)).toEqual(['missing v1 open']);
});
