import { statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { expect, onTestFinished, test } from 'vitest';
import { requestToken, startIdentityProvider } from '../../embedded/identityProvider.ts';
import { freePort } from '../../embedded/ports.ts';
import { temporaryDirectory } from './stateDirectory.ts';

async function start() {
  const stateDirectory = temporaryDirectory();
  const port = await freePort();
  const provider = await startIdentityProvider({ stateDirectory, port });
  onTestFinished(() => provider.stop());
  const claims = async (token: string) =>
    (await jwtVerify(token, createRemoteJWKSet(new URL(`${provider.issuer}/jwks`)), { issuer: provider.issuer }))
      .payload;
  return { provider, port, stateDirectory, claims };
}

test("a person's token is a JWT access token (RFC 9068) with e-mail address, name and groups, for people only", async () => {
  const { provider, claims } = await start();
  const token = await requestToken(provider, { person: 'security-lead' });
  expect(decodeProtectedHeader(token)).toMatchObject({ typ: 'at+jwt', alg: 'RS256' });
  expect(await claims(token)).toMatchObject({
    aud: 'tenure',
    sub: 'security-lead@tenure.example',
    email: 'security-lead@tenure.example',
    name: 'security-lead',
    groups: ['security', 'security-lead'],
  });
});

test("a person's token says when they signed in, whole seconds ago, so that it is fresh for a proof; a pipeline's does not", async () => {
  const { provider, claims } = await start();
  const before = Math.floor(Date.now() / 1000);
  const { auth_time: signedIn } = await claims(await requestToken(provider, { person: 'owner' }));
  expect(signedIn).toBeGreaterThanOrEqual(before);
  expect(signedIn).toBeLessThanOrEqual(Date.now() / 1000);
  expect(await claims(await requestToken(provider, { pipeline: 'deploy' }))).not.toHaveProperty('auth_time');
});

test('a token for agents says who the person is and nothing of what they may, for minutes, and has an audience of its own', async () => {
  const { provider, claims } = await start();
  const payload = await claims(await requestToken(provider, { person: 'requester', for_agents: 'true' }));
  expect(payload).toMatchObject({ aud: 'tenure-for-agents', email: 'requester@tenure.example' });
  expect(Number(payload.exp) - Number(payload.iat)).toBe(300);
  for (const claim of ['groups', 'auth_time']) expect(payload).not.toHaveProperty(claim);
});

test("a pipeline's token names the run's claims and the person who pushed, and has an audience of its own", async () => {
  const { provider, claims } = await start();
  const token = await requestToken(provider, { pipeline: 'deploy', triggered_by: 'requester' });
  const payload = await claims(token);
  expect(payload).toMatchObject({
    aud: 'tenure-pipelines',
    sub: 'pipeline:deploy',
    repository_id: '1',
    environment: 'production',
    triggered_by: 'requester@tenure.example',
  });
  expect(payload).not.toHaveProperty('groups');
  expect(await claims(await requestToken(provider, { pipeline: 'deploy' }))).not.toHaveProperty('triggered_by');
});

test('who is unknown gets no token but the list of who there is', async () => {
  const { provider } = await start();
  await expect(requestToken(provider, { person: 'nobody' })).rejects.toThrow(
    /There is no person "nobody"\. The people: owner, requester, security-1,/,
  );
  await expect(requestToken(provider, { pipeline: 'nightly' })).rejects.toThrow(
    'There is no pipeline "nightly". The pipelines: deploy, search-server.',
  );
  await expect(requestToken(provider, { pipeline: 'deploy', triggered_by: 'nobody' })).rejects.toThrow(
    'There is no person "nobody"',
  );
});

test('without the secret of the state directory there is no token', async () => {
  const { provider, stateDirectory } = await start();
  const body = new URLSearchParams({ grant_type: provider.signIn.grantType, person: 'admin' });
  const authorization = `Basic ${Buffer.from(`${provider.signIn.clientId}:wrong`).toString('base64')}`;
  const answer = await fetch(provider.signIn.tokenEndpoint, { method: 'POST', headers: { authorization }, body });
  expect(answer.status).toBe(401);
  expect(await answer.json()).not.toHaveProperty('access_token');
  for (const file of ['sign-in.json', 'sign-in/client-secret', 'sign-in/jwks.json']) {
    expect((statSync(join(stateDirectory, file)).mode & 0o777).toString(8)).toBe('600');
  }
});

test('a request under a host name that is not its own is turned away (DNS rebinding)', async () => {
  const { port } = await start();
  const statusFor = (host: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const ask = request({ host: '127.0.0.1', port, path: '/.well-known/openid-configuration', headers: { host } });
      ask.once('response', (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      ask.once('error', reject).end();
    });
  expect(await statusFor(`127.0.0.1:${port}`)).toBe(200);
  expect(await statusFor(`localhost:${port}`)).toBe(200);
  expect(await statusFor('evil.example')).toBe(421);
  expect(await statusFor(`evil.example:${port}`)).toBe(421);
});
