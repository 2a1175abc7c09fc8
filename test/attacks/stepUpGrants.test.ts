import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import {
  calculateJwkThumbprint,
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  importPKCS8,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type GrantedAgent, grantedAgent, postForm, serverToken } from '../api/grantedAgent.ts';
import { assertionOf, insertAgent, moveIdentity, newAgentKey } from '../setup/agents.ts';

/** Whoever holds a token, or makes one, tries what introspection and revocation are not for. */

let agent: GrantedAgent;
let token: string;
let kid: string;

beforeAll(async () => {
  agent = await grantedAgent({ lives: 'file' });
  ({ token } = await agent.granted());
  kid = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
});

/** What every attack must come to: the forged one is nothing, and the real one works on. */
async function expectNothing(forged: string): Promise<void> {
  expect(await agent.introspect(forged)).toEqual({ active: false });
  const answer = await postForm(agent.api, await serverToken(agent.api, 'search-server'), '/oauth/revoke', {
    token: forged,
  });
  expect([answer.status, answer.text]).toEqual([200, '{}']);
  expect(await agent.introspect(token)).toMatchObject({ active: true });
}

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

async function signedByAnother(header: object, claims: JWTPayload = decodeJwt(token), key?: KeyObject) {
  const { privateKey } = await newAgentKey();
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid, ...header })
    .sign(key ?? privateKey);
}

const signerKey = () => importPKCS8(agent.signer.privateKey, 'ES256');

async function signedBySigner(header: object, claims: JWTPayload = decodeJwt(token)) {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid, ...header })
    .sign(await signerKey());
}

test('a token that somebody else signed is nothing, whatever key it names', async () => {
  await expectNothing(await signedByAnother({}));
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = await exportJWK(publicKey);
  const own = await calculateJwkThumbprint(jwk);
  await expectNothing(await signedByAnother({ kid: own }, undefined, privateKey));
  await expectNothing(await signedByAnother({ jwk }, undefined, privateKey));
  await expectNothing(
    await signedByAnother({ kid: own, jku: 'https://attacker.example/jwks.json' }, undefined, privateKey),
  );
});

test('algorithm confusion: no algorithm, and the public key as a shared secret', async () => {
  const [, payload = '', signature = ''] = token.split('.');
  for (const alg of ['none', 'None', 'NONE']) {
    const header = base64url({ alg, typ: 'at+jwt', kid });
    for (const forged of [`${header}.${payload}.`, `${header}.${payload}.${signature}`]) await expectNothing(forged);
  }
  const answer = await fetch(`${agent.api.address}/.well-known/jwks.json`);
  const { keys } = (await answer.json()) as { keys: object[] };
  for (const secret of [JSON.stringify(keys[0]), JSON.stringify({ keys }), kid.repeat(2)]) {
    const shared = new SignJWT(decodeJwt(token)).setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid });
    await expectNothing(await shared.sign(new TextEncoder().encode(secret)));
  }
});

test('a token whose payload, header or signature was altered is nothing', async () => {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const claims = decodeJwt(token);
  const altered = [
    `${header}.${base64url({ ...claims, scope: 'search:write' })}.${signature}`,
    `${header}.${base64url({ ...claims, exp: (claims.exp ?? 0) + 3600 })}.${signature}`,
    `${base64url({ alg: 'ES256', typ: 'at+jwt', kid, b64: false, crit: ['b64'] })}.${payload}.${signature}`,
    `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`,
    `${header}.${payload}.${signature}.${signature}`,
    `${header}.${payload}`,
  ];
  for (const forged of altered) await expectNothing(forged);
});

test('another grant’s id under a signature of this one is nothing', async () => {
  const other = await agent.granted({ ask: { action: 'write' } });
  const [header = '', , signature = ''] = token.split('.');
  await expectNothing(`${header}.${other.token.split('.')[1]}.${signature}`);
});

test('what the signer’s key signed but is no access token of this installation is nothing', async () => {
  await expectNothing(await signedBySigner({ typ: 'JWT' }));
  await expectNothing(await signedBySigner({ typ: 'dpop+jwt' }));
  await expectNothing(await signedBySigner({ typ: undefined }));
  await expectNothing(await signedBySigner({}, { ...decodeJwt(token), iss: 'https://other.example.com' }));
  await expectNothing(await signedBySigner({}, { ...decodeJwt(token), jti: 'a'.repeat(26) }));
  await expectNothing(await signedBySigner({}, { ...decodeJwt(token), jti: "' OR true --" }));
});

test('a token of another installation is nothing, and ours is nothing there', async () => {
  const another = await grantedAgent({ lives: 'file' });
  const theirs = await another.granted();
  await expectNothing(theirs.token);
  expect(await another.introspect(token)).toEqual({ active: false });
});

test('other tokens, and what is no token, are nothing', async () => {
  const others = [
    await agent.asAgent(),
    await serverToken(agent.api, 'search-server'),
    await agent.api.tokenOf('admin'),
    'a',
    '..',
    '.'.repeat(8_000),
    '\u0000',
    '🔑'.repeat(100),
    `${token}${' '}`,
    'a'.repeat(20_000),
  ];
  for (const other of others) await expectNothing(other);
});

test('another tool’s resource server learns nothing of a token and cannot revoke it', async () => {
  expect(await agent.introspect(token, 'mail-server')).toEqual({ active: false });
  expect(await agent.introspect(token, 'deploy')).toEqual({ active: false });
  for (const server of ['mail-server', 'deploy'] as const) {
    const refused = await postForm(agent.api, await serverToken(agent.api, server), '/oauth/revoke', { token });
    expect(refused.slug).toBe('forbidden');
  }
  expect(await agent.introspect(token)).toMatchObject({ active: true });
});

test('another agent, people and strangers neither introspect nor revoke a token that they hold', async () => {
  const key = await newAgentKey();
  const identityId = await insertAgent(agent.api.ledger, { registration: { publicKey: key.publicKey } });
  const asAnother = () => assertionOf({ identityId, key, audience: agent.api.publicUrl });
  const revoked = await postForm(agent.api, await asAnother(), '/oauth/revoke', { token });
  expect(revoked.slug).toBe('forbidden');
  expect(await agent.introspect(token)).toMatchObject({ active: true });
  for (const bearer of [await asAnother(), await agent.asAgent(), await agent.api.tokenOf('admin')])
    expect((await postForm(agent.api, bearer, '/oauth/introspect', { token })).slug).toBe('forbidden');
  expect((await postForm(agent.api, await agent.api.tokenOf('admin'), '/oauth/revoke', { token })).slug).toBe(
    'forbidden',
  );
  // A grant is for its tool, not for Tenure.
  for (const path of ['/oauth/introspect', '/oauth/revoke'])
    expect((await postForm(agent.api, token, path, { token })).slug).toBe('unauthenticated');
  const path = `/v1/identities/${agent.identityId}/grants`;
  expect((await agent.api.send(await asAnother(), path)).slug).toBe('not-found');
  expect((await agent.api.send(await asAnother(), `${path}/revocation`, { body: { reason: 'a' } })).slug).toBe(
    'not-found',
  );
});

test.each<[string, (agent: GrantedAgent) => Promise<() => Promise<unknown>>]>([
  [
    'frozen, and thawed after',
    async ({ api, signer }) => {
      const freeze = { identityIds: [signer.identityId], reason: 'its key may be out' };
      const { id } = (await api.as('responder-1', '/v1/freezes', { body: freeze })).as(
        z.looseObject({ id: z.string() }),
      );
      return () => api.as('responder-2', `/v1/freezes/${id}/lift`, { body: { reason: 'it is not', override: true } });
    },
  ],
  [
    'revoked',
    async ({ api, signer }) => {
      await moveIdentity(api.ledger, signer.identityId, ['revoking']);
      return async () => undefined;
    },
  ],
])('while the signer is %s, what is given back is revoked all the same, and only that', async (_what, distrust) => {
  const mine = await grantedAgent();
  const { api, signer, identityId } = mine;
  const [given, seized, kept] = [await mine.granted(), await mine.granted(), await mine.granted()];
  const trustAgain = await distrust(mine);
  const server = await serverToken(api, 'search-server');
  for (const [bearer, { token: revoked }] of [
    [await mine.asAgent(), given],
    [server, seized],
  ] as const) {
    expect((await postForm(api, bearer, '/oauth/revoke', { token: revoked })).status).toBe(200);
    expect(await mine.introspect(revoked)).toEqual({ active: false });
  }
  // Who knows all of the grant but its signature, or signs with a key that is not the signer's, revokes nothing.
  const claims = decodeJwt(kept.token);
  const unsigned = `${kept.token.split('.').slice(0, 2).join('.')}.${given.token.split('.')[2]}`;
  const { kid: name } = decodeProtectedHeader(kept.token);
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const forged = new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: `${name}` });
  for (const nothing of [unsigned, await forged.sign(stranger)])
    expect((await postForm(api, server, '/oauth/revoke', { token: nothing })).text).toBe('{}');
  const rows = await api.ledger.prisma.accessGrant.findMany({ where: { identityId }, orderBy: { issuedAt: 'asc' } });
  const isRevoked = Object.fromEntries(rows.map(({ id, revokedAt }) => [id, revokedAt !== null]));
  expect(isRevoked).toEqual({ [given.grant.id]: true, [seized.grant.id]: true, [kept.grant.id]: false });

  await trustAgain();
  for (const { token: revoked } of [given, seized]) expect(await mine.introspect(revoked)).toEqual({ active: false });

  // With the key destroyed, nobody can say any more who signed it.
  await api.ledger.prisma.$executeRaw`DELETE FROM "signing_key" WHERE "identityId" = ${signer.identityId}`;
  expect((await postForm(api, server, '/oauth/revoke', { token: kept.token })).text).toBe('{}');
  expect(await api.ledger.prisma.accessGrant.count({ where: { identityId, revokedAt: null } })).toBe(1);
});

const form = 'application/x-www-form-urlencoded';

test.each([
  ['a parameter twice', form, (real: string) => `token=${real}&token=${real}`, 400, 'invalid-request'],
  ['an unknown parameter twice', form, (real: string) => `token=${real}&a=1&a=2`, 400, 'invalid-request'],
  ['no token', form, () => 'token_type_hint=access_token', 400, 'invalid-request'],
  ['an empty token', form, () => 'token=', 400, 'invalid-request'],
  ['nothing', form, () => '', 400, 'invalid-request'],
  ['JSON', 'application/json', (real: string) => JSON.stringify({ token: real }), 415, 'unsupported-media-type'],
  ['a form in parts', 'multipart/form-data; boundary=a', () => '--a--', 415, 'unsupported-media-type'],
  ['another charset', `${form}; charset=utf-16`, (real: string) => `token=${real}`, 415, 'unsupported-media-type'],
  ['too much', form, (real: string) => `token=${real}&a=${'a'.repeat(70_000)}`, 413, 'too-large'],
])('%s is refused, in introspection and revocation alike', async (_what, type, bodyOf, status, slug) => {
  for (const path of ['/oauth/introspect', '/oauth/revoke']) {
    const bearer = await serverToken(agent.api, 'search-server');
    const answer = await agent.api.send(bearer, path, {
      method: 'POST',
      raw: bodyOf(token),
      headers: { 'content-type': type },
    });
    expect([answer.status, answer.slug]).toEqual([status, slug]);
    expect(answer.text).not.toContain(token);
  }
  expect(await agent.introspect(token)).toMatchObject({ active: true });
});

test('a token in the address is refused, and the log holds no token', async () => {
  const bearer = await serverToken(agent.api, 'search-server');
  const answer = await agent.api.send(bearer, `/oauth/introspect?token=${token}`, {
    method: 'POST',
    raw: 'token_type_hint=a',
    headers: { 'content-type': form },
  });
  expect(answer.slug).toBe('invalid-request');
});

afterAll(() => {
  const [, payload = ''] = token.split('.');
  for (const line of agent.api.logLines) expect(line).not.toContain(payload);
});
