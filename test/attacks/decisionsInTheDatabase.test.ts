import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { approvedFlow, plainFlows } from '../protocols/flows.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { at, reviewFlow, underReview } from '../setup/reviews.ts';

/**
 * Whoever may write to the database, as its owner and with every trigger off, but has no key: approvals are forged in no way,
 * and what was approved is not changed under them.
 */

const flows = [
  ...plainFlows,
  reviewFlow,
  approvedFlow('onboarding'),
  approvedFlow('rotation'),
  `apiVersion: tenure/v1
kind: Flow
metadata: {name: onboarding-proven, owner: tests, description: "the requester confirms"}
on: onboarding
subject: {where: 'subject.environment == "proven"'}
stages:
  - {id: confirm, stepUp: {method: session, by: requester, maxAge: PT5M}}
  - {id: effect, effect: issue}
`,
];

let installation: TestInstallation;
let hand: ByHand;
let intruder: pg.Client;

beforeAll(async () => {
  installation = await testInstallation({ flows, leaseMs: 60_000 });
  hand = byHand(installation);
  intruder = new pg.Client({ connectionString: installation.databaseUrl });
  await intruder.connect();
  await intruder.query('SET session_replication_role = replica');
});
afterAll(async () => {
  await intruder?.end();
  await installation.close();
});

const accepted = { accepted: true };

async function waiting(environment = 'production', order = {}): Promise<string> {
  const { requestId } = await hand.open(onboardingOrder({ environment, scopes: [] }, order));
  return requestId;
}

async function decided(requestId: string, by: string, rest = {}): Promise<void> {
  expect((await hand.decide({ requestId, by: at(by), ...rest })).verdict).toEqual(accepted);
}

const write = async (statement: string, ...values: unknown[]): Promise<void> => {
  expect((await intruder.query(statement, values)).rowCount).toBe(1);
};

/** Nothing is ordered, now and after another look. */
async function stillWaits(requestId: string, state = 'awaiting-approval'): Promise<void> {
  expect(await hand.planOf(requestId)).toMatchObject({ state, effects: [] });
  expect(await installation.ledger.prisma.credential.count({ where: { requestId } })).toBe(0);
}

/** The row of the first decision, changed, as another decision. */
async function copied(requestId: string, change: Readonly<Record<string, unknown>>): Promise<void> {
  await write(
    `INSERT INTO "decision" SELECT (jsonb_populate_record(d, jsonb_build_object('id', $2::text) || $3::jsonb)).*
     FROM "decision" d WHERE "requestId" = $1 ORDER BY "approverId" LIMIT 1`,
    requestId,
    randomUUID(),
    JSON.stringify(change),
  );
}

test('a copy of an approval in another name, and one without any signature, count for nobody', async () => {
  const requestId = await waiting();
  await decided(requestId, 'security-1');
  await copied(requestId, { approverId: at('security-2') });
  await copied(requestId, { approverId: at('security-lead'), signature: '' });
  await stillWaits(requestId);
  // Nor do they keep those from deciding in whose names they are.
  await decided(requestId, 'security-2');
  expect((await hand.planOf(requestId)).effects).toMatchObject([{ activity: 'create' }]);
});

test.each([
  ['approver', { approverId: at('security-2') }],
  ['instant', { decidedAt: '2026-01-01T00:00:00.000Z' }],
  ['comment', { comment: 'quite another' }],
  ['key', { keyId: 'another' }],
  ['version', { version: 1 }],
])('an approval whose %s was changed afterwards counts no more', async (_what, change) => {
  const requestId = await waiting();
  await decided(requestId, 'security-1');
  const [column = '', value] = Object.entries(change)[0] ?? [];
  await write(`UPDATE "decision" SET "${column}" = $2 WHERE "requestId" = $1`, requestId, value);
  await decided(requestId, 'security-lead');
  await stillWaits(requestId);
});

test('a denial does not become an approval, nor an approval of an earlier revision one of the present', async () => {
  const denied = await waiting();
  await decided(denied, 'security-1', { verdict: 'deny' });
  await write(`UPDATE "decision" SET "verdict" = 'approve' WHERE "requestId" = $1`, denied);
  await write(
    `UPDATE "request" SET "state" = 'evaluating', "finishedAt" = NULL, "reason" = NULL WHERE "id" = $1`,
    denied,
  );
  await hand.planOf(denied);
  await decided(denied, 'security-2');
  await stillWaits(denied);

  const amended = await waiting();
  await decided(amended, 'security-1');
  const command = { by: at('requester'), reason: 'other', subject: { purpose: 'another purpose' } };
  await hand.command(amended, { do: 'amend', ...command });
  await write(`UPDATE "decision" SET "revision" = 2 WHERE "requestId" = $1`, amended);
  await hand.planOf(amended);
  await decided(amended, 'security-2');
  await stillWaits(amended);
});

test.each([
  ['scopes', `UPDATE "identity" SET "scopes" = '{admin}' WHERE "id" = $1`],
  ['owner', `UPDATE "identity" SET "ownerId" = 'security-lead@tenure.example' WHERE "id" = $1`],
  ['consumers', `UPDATE "identity" SET "consumers" = '{agent:other}' WHERE "id" = $1`],
  ['store', `UPDATE "identity" SET "store" = 'another' WHERE "id" = $1`],
  ['labels', `UPDATE "identity" SET "labels" = '{"a": "b"}' WHERE "id" = $1`],
])(
  'what was changed after the approvals (%s) is approved by nobody: nothing is issued until people decide again',
  async (_what, change) => {
    const requestId = await waiting();
    await decided(requestId, 'security-1');
    await decided(requestId, 'security-2');
    const { id } = await hand.identityOf(requestId);
    // As between the approval and `commit`: the mint of what was approved goes.
    await write(change, id);
    const order = await hand.orderOf(requestId, 'create');
    await hand.report(requestId, order, { ok: true, result: { fingerprint: 'a test' } });
    expect(await hand.credentialsOf(id)).not.toMatch(/staged|current/);
    expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  },
);

test('who decided before the content changed decides again on what there is, and evidence tells that the earlier one is void', async () => {
  const requestId = await waiting();
  await decided(requestId, 'security-1');
  const { id } = await hand.identityOf(requestId);
  await write(`UPDATE "identity" SET "purpose" = 'another' WHERE "id" = $1`, id);
  await decided(requestId, 'security-2');
  await stillWaits(requestId);
  await decided(requestId, 'security-1');
  expect((await hand.planOf(requestId)).effects).toMatchObject([{ activity: 'create' }]);
  const entries = await installation.ledger.prisma.evidenceEntry.findMany({ where: { requestId } });
  const voided = entries.map(({ body }) => JSON.parse(body)).filter(({ kind }) => kind === 'decision.voided');
  expect(voided).toMatchObject([{ data: { because: 'content-changed' } }]);
});

test('what a review would change is not changed under its approval', async () => {
  const by = underReview(installation, hand);
  const identityId = await by.onboarded();
  const { requestId } = await by.review(identityId, { reissue: false });
  await decided(requestId, 'owner');
  await write(`UPDATE "request" SET "proposal" = '{"reissue": true}' WHERE "id" = $1`, requestId);
  await decided(requestId, 'security-1');
  await stillWaits(requestId);
});

test('a requester who takes the row of their asking away approves nothing', async () => {
  const { identityId, requestId: onboarding } = await hand.open(onboardingOrder({ environment: 'staging' }));
  await hand.carryOutAll(onboarding);
  await write(`UPDATE "identity" SET "environment" = 'production' WHERE "id" = $1`, identityId);
  const { requestId } = await hand.open(openOrder('rotation', { identityId }));
  await hand.open(openOrder('rotation', { identityId, principal: at('security-1') }));
  expect((await hand.decide({ requestId, by: at('security-1') })).verdict).toMatchObject({ slug: 'self-approval' });
  await write(`DELETE FROM "requester" WHERE "requestId" = $1 AND "principal" = $2`, requestId, at('security-1'));
  await hand.decide({ requestId, by: at('security-1') });
  await hand.decide({ requestId, by: at('security-2') });
  await stillWaits(requestId);
});

test('nor does the person behind a pipeline whose name is taken out of the row', async () => {
  const pipeline = { principal: 'pipeline:deploy', principalKind: 'pipeline', onBehalfOf: at('security-1') };
  const requestId = await waiting('production', pipeline);
  await write(`UPDATE "requester" SET "onBehalfOf" = NULL WHERE "requestId" = $1`, requestId);
  await hand.decide({ requestId, by: at('security-1') });
  await hand.decide({ requestId, by: at('security-2') });
  await stillWaits(requestId);
});

test('a withdrawn approval stays withdrawn, also where its entries are taken out of the evidence', async () => {
  const requestId = await waiting();
  await decided(requestId, 'security-1');
  await decided(requestId, 'security-1', { verdict: 'withdraw' });
  await decided(requestId, 'security-2');
  await write(
    `UPDATE "decision" SET "withdrawnAt" = NULL WHERE "requestId" = $1 AND "approverId" = $2`,
    requestId,
    at('security-1'),
  );
  await stillWaits(requestId);
  await intruder.query('ALTER TABLE "evidence_entry" DISABLE TRIGGER ALL');
  await write(`DELETE FROM "evidence_entry" WHERE "requestId" = $1 AND "body" LIKE '%decision.withdrawn%'`, requestId);
  await intruder.query('ALTER TABLE "evidence_entry" ENABLE TRIGGER ALL');
  await stillWaits(requestId);
});

test('a request put under a flow that asks nobody is denied, whichever stage its row says that it has reached', async () => {
  const flow = `(SELECT "digest" FROM "published_flow" WHERE "name" = 'onboarding-plain')`;
  for (const stage of [0, 2]) {
    const requestId = await waiting();
    await write(
      `UPDATE "request" SET "flowDigest" = ${flow}, "flowState" = jsonb_set("flowState", '{stage}', $2::jsonb) WHERE "id" = $1`,
      requestId,
      String(stage),
    );
    await hand.planOf(requestId);
    expect(await hand.stateOf(requestId)).toEqual({ state: 'denied', reason: 'request-altered' });
    expect(await installation.ledger.prisma.credential.count({ where: { requestId } })).toBe(0);
  }
});

test('a request that is put behind its approval goes back to it', async () => {
  const requestId = await waiting();
  await write(`UPDATE "request" SET "flowState" = jsonb_set("flowState", '{stage}', '2') WHERE "id" = $1`, requestId);
  await stillWaits(requestId);
});

test('a row that says its effect has happened makes no forged approval count, of a review or of a credential', async () => {
  const by = underReview(installation, hand);
  const { requestId: review } = await by.review(await by.onboarded(), { reissue: false });
  const onboarding = await waiting();
  await decided(review, 'owner');
  await decided(onboarding, 'security-1');
  for (const approver of ['security-1', 'security-2'])
    await copied(review, { approverId: at(approver), stage: 'security', signature: '' });
  for (const approver of ['security-2', 'security-lead'])
    await copied(onboarding, { approverId: at(approver), signature: '' });
  for (const requestId of [review, onboarding]) {
    await write(
      `UPDATE "request" SET "flowState" = jsonb_set("flowState", '{effect,committedVersion}', '1') WHERE "id" = $1`,
      requestId,
    );
    await stillWaits(requestId);
  }
});

test('a request in the name of somebody else than who opened it issues nothing', async () => {
  const requestId = await waiting();
  await write(`UPDATE "request" SET "requesterId" = 'owner@tenure.example' WHERE "id" = $1`, requestId);
  await hand.decide({ requestId, by: at('security-1') });
  await hand.decide({ requestId, by: at('security-2') });
  await hand.planOf(requestId);
  expect(await installation.ledger.prisma.credential.count({ where: { requestId } })).toBe(0);
});

test('a proof is not forged either: neither out of a proof on another request, nor out of a withdrawn one', async () => {
  const [requestId, other] = [await waiting('proven'), await waiting('proven')];
  const authenticatedAt = new Date().toISOString();
  await hand.command(other, { do: 'pause', by: at('responder'), reason: 'a look first' });
  await decided(other, 'requester', { verdict: 'confirm', change: { authenticatedAt } });
  await write(
    `INSERT INTO "decision" SELECT (jsonb_populate_record(d, jsonb_build_object('id', $2::text, 'requestId', $3::text))).*
     FROM "decision" d WHERE "requestId" = $1`,
    other,
    randomUUID(),
    requestId,
  );
  await stillWaits(requestId, 'awaiting-proof');
  await decided(other, 'requester', { verdict: 'withdraw' });
  await hand.command(other, { do: 'resume', by: at('responder'), reason: 'seen', all: true });
  await write(`UPDATE "decision" SET "withdrawnAt" = NULL WHERE "requestId" = $1`, other);
  await stillWaits(other, 'awaiting-proof');
});
