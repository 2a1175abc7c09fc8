import { expect, test } from 'vitest';
import { z } from 'zod';
import { acceptedTokens } from '../../api/auth/acceptedTokens.ts';
import { IdentityBody } from '../../api/representations/identity.ts';
import { apiFixture, emailOf } from './apiFixture.ts';
import { asked, onboarded } from './onboarded.ts';

test('each way a token can be wrong has its own answer, and none of them is let in', async () => {
  const api = await apiFixture();
  const { provider } = api;
  const person = { email: emailOf('requester') };
  const past = Math.floor(Date.now() / 1000) - 60;
  const wrong: [string | undefined, string][] = [
    [undefined, 'The header Authorization is missing'],
    ['not-a-jwt', 'not a well-formed signed JWT'],
    [await provider.token({ ...person, iss: 'https://elsewhere.example' }), 'is not a provider of tenure.yaml'],
    [await provider.token({ ...person, aud: 'another' }), 'not for audience "tenure'],
    [await provider.token({ ...person, exp: past }), 'has expired'],
    [await provider.token({ ...person, nbf: past + 600 }), 'not valid yet'],
    [await provider.token(person, { signedByAnother: true }), 'signature is not of provider "company"'],
    [await provider.token(person, { alg: 'HS256' }), 'an algorithm that is not accepted'],
    [await provider.token({}), 'names no person'],
    [await provider.token({ email: 'no address' }), 'claim "email" is not an e-mail address'],
    [await provider.token({ ...person, email_verified: false }), 'names no person'],
    [await provider.token({ ...person, groups: { security: true } }), 'claim "groups" is not a list of group names'],
    [await provider.token({ ...person, groups: [7] }), 'claim "groups" is not a list of group names'],
  ];
  for (const [token, detail] of wrong) {
    const answer = await api.send(token, '/v1/requests');
    expect(answer.detail).toContain(detail);
    expect([answer.status, answer.slug]).toEqual([401, 'unauthenticated']);
    expect(answer.headers.get('www-authenticate')).toContain('Bearer');
  }
});

test('a token that was verified is not verified again for a while, and never past its end', async () => {
  let now = 1_000;
  const accepted = acceptedTokens(() => new Date(now));
  const claims = {
    groupsClaim: 'groups',
    groupNames: {},
    groupsMaxAge: 'P7D',
    absentGroups: 'unknown',
    trustsEmail: false,
    addressClaim: 'email',
  } as const;
  const settings = { name: 'company', audience: 'tenure', for: 'people', ...claims } as const;
  const provider = { ...settings, issuer: 'https://sign-in.example.com' };
  accepted.keep('a short one', { provider, claims: { exp: 21 } });
  accepted.keep('a long one', { provider, claims: { exp: 3_600 } });
  now = 20_999;
  expect(accepted.of('a short one')).toMatchObject({ provider, claims: { exp: 21 } });
  expect(accepted.of('another')).toBeUndefined();
  now = 21_000;
  expect(accepted.of('a short one')).toBeUndefined();
  expect(accepted.of('a long one')).toMatchObject({ claims: { exp: 3_600 } });
  now = 31_000;
  expect(accepted.of('a long one')).toBeUndefined();
});

test('a token without a signature is not accepted', async () => {
  const api = await apiFixture();
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = `${part({ alg: 'none' })}.${part({ iss: api.provider.issuer, aud: 'tenure', email: emailOf('admin'), exp: 9_999_999_999 })}.`;
  expect((await api.send(unsigned, '/v1/requests')).slug).toBe('unauthenticated');
});

test('while the provider is down nobody is let in, and it is said that it is the provider', async () => {
  const api = await apiFixture();
  const token = await api.tokenOf('requester');
  await api.provider.stop();
  const answer = await api.send(token, '/v1/requests');
  expect([answer.status, answer.slug]).toEqual([503, 'sign-in-unavailable']);
});

test('a person who is not active is refused, whatever their token says', async () => {
  const api = await apiFixture();
  await api.as('stranger', '/v1/requests');
  await api.ledger.prisma.person.update({ where: { id: emailOf('stranger') }, data: { active: false } });
  expect((await api.as('stranger', '/v1/requests')).slug).toBe('person-inactive');
});

test('a group that the provider no longer names is gone at the next sign-in; one of tenure.yaml stays', async () => {
  const api = await apiFixture();
  const email = emailOf('security-1');
  const groupsNow = async () => (await api.ledger.prisma.person.findUniqueOrThrow({ where: { id: email } })).groups;
  await api.send(await api.provider.token({ email, groups: ['on-call'] }), '/v1/requests');
  expect(await groupsNow()).toEqual(['on-call', 'security']);
  await api.send(await api.provider.token({ email, groups: [] }), '/v1/requests');
  expect(await groupsNow()).toEqual(['security']);
});

test('only the roles that a route names may call it', async () => {
  const api = await apiFixture();
  const refusals = [
    await api.as('stranger', '/v1/identities', { body: {} }),
    await api.as('owner', '/v1/freezes', { body: {} }),
    await api.as('requester', '/v1/evidence'),
    await api.send(await api.pipelineToken(), '/v1/identities', { body: {} }),
    await api.send(await api.pipelineToken(), '/v1/freezes'),
  ];
  expect(refusals.map(({ status, slug }) => [status, slug])).toEqual(refusals.map(() => [403, 'forbidden']));
  expect((await api.as('auditor', '/v1/evidence')).status).toBe(200);
});

test('a pipeline is who its claims say exactly; near misses and double matches are nobody', async () => {
  const api = await apiFixture();
  const of = async (claims: Record<string, string>) => await api.send(await api.pipelineToken(claims), '/v1/requests');
  expect((await of({})).status).toBe(200);
  expect((await of({ environment: 'Production' })).slug).toBe('forbidden');
  expect((await of({ repository_id: '10' })).slug).toBe('forbidden');
  expect((await of({ actor: 'not an address' })).slug).toBe('forbidden');
});

test("a person's token does not pass for a pipeline, nor the other way round", async () => {
  const api = await apiFixture();
  const hybrid = { email: emailOf('responder-1'), repository_id: '1', environment: 'production' };
  const asPipeline = await api.send(await api.provider.token({ ...hybrid, aud: 'tenure-pipelines' }), '/v1/freezes');
  expect(asPipeline.slug).toBe('forbidden');
});

test('a pipeline sees and rotates what tenure.yaml allows it, and nothing else is there for it', async () => {
  const api = await apiFixture();
  const mine = await onboarded(api);
  const foreign = await onboarded(api, { name: 'other', integration: 'ledger', consumers: [] });
  const token = await api.pipelineToken();
  expect((await api.send(token, `/v1/identities/${mine.identityId}`)).as(IdentityBody).name).toBe('billing-api');
  expect((await api.send(token, `/v1/identities/${foreign.identityId}`)).slug).toBe('not-found');
  const rotation = { body: { justification: 'Deployed' } };
  expect((await api.send(token, `/v1/identities/${foreign.identityId}/rotations`, rotation)).slug).toBe('not-found');
  expect((await api.send(token, `/v1/identities/${mine.identityId}/rotations`, rotation)).status).toBe(202);
});

test('the person behind a pipeline run is recorded with its request', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const token = await api.pipelineToken({ actor: emailOf('security-1') });
  const answer = await api.send(token, `/v1/identities/${identityId}/rotations`, {
    body: { justification: 'Deployed' },
  });
  expect(answer.as(z.looseObject({ requester: z.string(), onBehalfOf: z.string() }))).toMatchObject({
    requester: 'pipeline:deploy',
    onBehalfOf: emailOf('security-1'),
  });
});

test('the requester may not decide, and the request says why before they try', async () => {
  const api = await apiFixture();
  const request = await asked(api);
  expect(request.forMe).toMatchObject({ mayDecide: false, because: 'self-approval' });
});
