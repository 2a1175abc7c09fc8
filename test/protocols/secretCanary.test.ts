import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { namesOfHandle } from '../../activities/issuers/postgresRoleNames.ts';
import { formsFound } from '../attacks/forms.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { plainFlows } from './flows.ts';

const faults = interruptions();
/** Every secret that was ever made, with whatever came of it. */
const secrets = new Set<string>();
let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({
    flows: plainFlows,
    leaseMs: 60_000,
    wrapStore: faults.wrapStore,
    wrapIssuer: (issuer) => ({
      ...faults.wrapIssuer(issuer),
      generateSecret: async (order) => {
        const secret = await issuer.generateSecret(order);
        secrets.add(secret);
        return secret;
      },
    }),
  });
  hand = byHand(installation);
});
afterAll(() => installation.close());

/** Every row of every table, as PostgreSQL writes it: bytes in hexadecimal. */
async function ledgerText(): Promise<string> {
  const { prisma } = installation.ledger;
  const tables = await prisma.$queryRaw<{ name: string }[]>`
    SELECT tablename AS "name" FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`;
  const texts = [];
  for (const { name } of tables) {
    const rows = await prisma.$queryRawUnsafe<{ row: string }[]>(`SELECT t::text AS "row" FROM "${name}" AS t`);
    texts.push(name, ...rows.map(({ row }) => row));
  }
  return texts.join('\n');
}

/** Somebody at the server does to a login what Tenure did not ask for. */
async function atTheServer(statement: (login: string) => string, handle: string): Promise<void> {
  const login = namesOfHandle(handle)?.login;
  if (login === undefined) throw new Error(`${handle} has no login name`);
  const session = new pg.Client({ connectionString: installation.databaseUrl });
  await session.connect();
  await session.query(statement(pg.escapeIdentifier(login)));
  await session.end();
}

test('no secret is in any row of the ledger, nor in what failed: neither of what was served, nor of what died on the way', async () => {
  const served = await hand.open(onboardingOrder());
  await hand.carryOutAll(served.requestId);
  const { identityId } = served;

  // A creation that was made, and then is found with another password: its handle is lost.
  const { requestId } = await hand.open(openOrder('rotation', { identityId }));
  const mend = faults.fail('after create', identityId, new Error('the answer was lost'));
  const first = await hand.carryOut(requestId, 'create');
  mend();
  await atTheServer((login) => `ALTER ROLE ${login} PASSWORD 'changed by somebody'`, `${identityId}-v2`);
  await hand.command(requestId, { do: 'retry', by: 'responder@tenure.example', reason: 'again' });
  const lost = await hand.orderOf(requestId, 'create');
  const refused = await hand.perform(lost);
  expect(refused).toMatchObject({ ok: false, reason: 'HandleNotResumable' });
  await hand.report(requestId, lost, refused);
  await hand.carryOutAll(requestId);
  expect(await hand.credentialsOf(identityId)).toBe('v1 retiring, v2 destroying, v3 current');

  // A promote whose credential somebody disabled.
  await hand.command(requestId, { do: 'rollback', by: 'responder@tenure.example', reason: 'broken' });
  await atTheServer((login) => `ALTER ROLE ${login} NOLOGIN`, `${identityId}-v1`);
  const promote = await hand.orderOf(requestId, 'promote');
  const disabled = await hand.perform(promote);
  expect(disabled).toMatchObject({ ok: false });
  await hand.report(requestId, promote, disabled);

  const revocation = await hand.open(openOrder('revocation', { identityId }));
  await hand.carryOutAll(revocation.requestId);

  const text = Buffer.from(await ledgerText());
  // Of three versions, and one that gave way to what its first attempt had staged.
  expect(secrets.size).toBe(4);
  expect(formsFound(text, identityId), 'the search works').toContain('plain');
  const shown = Buffer.from(JSON.stringify([first, refused, disabled]));
  for (const secret of secrets) {
    expect(formsFound(text, secret), 'in the ledger').toEqual([]);
    expect(formsFound(shown, secret), 'in what failed').toEqual([]);
  }
});
