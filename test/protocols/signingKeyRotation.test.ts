import { randomUUID } from 'node:crypto';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { grantSigner } from '../../api/grants/signer.ts';
import { grantClaims, signerPrincipal } from '../../domain/grantClaims.ts';
import { acknowledge } from '../../ledger/acknowledge.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type InstallationApi, installationApi } from '../setup/installationApi.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { signerName } from '../setup/signer.ts';
import { plainFlows } from './flows.ts';

let installation: TestInstallation;
let hand: ByHand;
let api: InstallationApi;

beforeAll(async () => {
  installation = await testInstallation({ flows: plainFlows });
  hand = byHand(installation);
  api = await installationApi(installation);
});
afterAll(async () => {
  await api?.close();
  await installation?.close();
});

/** A signer as every API process has one of its own. */
function signer() {
  const { ledger, store } = installation;
  return grantSigner({
    configuration: { grants: { signer: signerName } },
    ledger,
    secrets: { readLive: (_store, identityId) => store.read({ identityId }), loginName: () => undefined },
  });
}

async function keySet(): Promise<JSONWebKeySet> {
  return (await fetch(`${api.address}/.well-known/jwks.json`)).json() as Promise<JSONWebKeySet>;
}

const kidsOf = ({ keys }: JSONWebKeySet) => keys.map(({ kid }) => kid);
const kidOf = (token: string) => decodeProtectedHeader(token).kid;

function someClaims() {
  const issuedAt = new Date();
  return grantClaims(
    {
      ...{ id: randomUUID(), identityId: 'a'.repeat(26), audience: 'https://search.example.com', tool: 'search' },
      ...{ action: 'read', resource: 'orders/1', workspace: 'payments', jkt: 'a thumbprint', onBehalfOf: null },
      ...{
        isOnBehalfVerified: false,
        authenticatedAt: null,
        issuedAt,
        expiresAt: new Date(issuedAt.getTime() + 600_000),
      },
    },
    api.publicUrl,
  );
}

async function onboardedSigner(): Promise<string> {
  const { requestId, identityId } = await hand.open(
    onboardingOrder({ ...signerName, issuer: 'signing', scopes: ['sign'], consumers: [signerPrincipal] }),
  );
  await hand.carryOutAll(requestId);
  return identityId;
}

test('a rotation of the signing key: what was signed before, during and after it verifies at every step', async () => {
  const early = signer();
  await expect(early.sign(someClaims())).rejects.toMatchObject({ slug: 'no-signer' });
  expect(await keySet()).toEqual({ keys: [] });

  const identityId = await onboardedSigner();
  const tokens: string[] = [];
  /** Published, and verified by it, is everything that was signed so far: by a process that was there, and by a new one. */
  async function expectAllVerify(): Promise<void> {
    tokens.push(await early.sign(someClaims()), await signer().sign(someClaims()));
    const verify = createLocalJWKSet(await keySet());
    for (const token of tokens) await jwtVerify(token, verify, { algorithms: ['ES256'], typ: 'at+jwt' });
  }
  await expectAllVerify();
  const [first] = kidsOf(await keySet());

  const { requestId } = await hand.open(openOrder('rotation', { identityId }));
  for (;;) {
    const [order] = (await hand.planOf(requestId)).effects;
    if (order === undefined) break;
    const outcome = await hand.perform(order);
    await expectAllVerify();
    await hand.report(requestId, order, outcome);
    await expectAllVerify();
  }
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-consumers' });
  const [second, ...others] = kidsOf(await keySet());
  expect(others).toEqual([first]);
  expect(new Set(tokens.map(kidOf))).toEqual(new Set([first, second]));

  const { epoch } = await hand.identityOf(requestId);
  await acknowledge(installation.ledger, { identityId, epoch, consumer: signerPrincipal });
  await hand.carryOutAll(requestId);
  expect(kidsOf(await keySet())).toEqual([second]);
  expect(kidOf(await early.sign(someClaims()))).toBe(second);
});

test('each process reads the key once for each version, with evidence first', async () => {
  const { prisma } = installation.ledger;
  const reads = () => prisma.evidenceEntry.count({ where: { body: { contains: `"actor":"${signerPrincipal}"` } } });
  const before = await reads();
  const process = signer();
  for (let signed = 0; signed < 3; signed += 1) await process.sign(someClaims());
  expect(await reads()).toBe(before + 1);
});

test('a signer that is frozen or being revoked signs nothing; the keys of a revoked one are published no more', async () => {
  const process = signer();
  const { identityId } = await installation.ledger.prisma.credential.findFirstOrThrow({ where: { state: 'current' } });
  await api.as('responder', '/v1/freezes', { identityIds: [identityId], reason: 'the store was read by somebody' });
  await expect(process.requireSigner()).rejects.toMatchObject({ slug: 'no-signer' });
  await expect(process.sign(someClaims())).rejects.toMatchObject({ slug: 'no-signer' });
  await api.as('responder', `/v1/identities/${identityId}/revocation`, { justification: 'it was' });
  await expect(process.sign(someClaims())).rejects.toMatchObject({ slug: 'no-signer' });
  expect(await keySet()).toEqual({ keys: [] });
});
