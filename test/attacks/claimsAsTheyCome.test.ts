import type { JWTPayload } from 'jose';
import { expect, test } from 'vitest';
import { type PersonClaims, readPersonClaims } from '../../api/auth/personClaims.ts';
import { configurationSchema } from '../../configuration/configurationSchema.ts';

const now = new Date('2026-12-01T10:00:00Z');
const iat = now.getTime() / 1000 - 5;

/** What a token says of a person, by a provider that is configured so. */
function read(claims: JWTPayload, settings: object = {}): PersonClaims {
  const [provider] = configurationSchema.parse({
    keys: { directory: 'keys' },
    oidc: [{ name: 'company', issuer: 'https://id.example', audience: 'tenure', for: 'people', ...settings }],
  }).oidc;
  if (provider === undefined) throw new Error('no provider');
  return readPersonClaims({ sub: 'u-77', iat, email: 'ann@example.com', ...claims }, provider, now);
}

/** The names that count, or undefined where the token says nothing of groups. */
function groupsOf(claims: JWTPayload, settings?: object): readonly string[] | undefined {
  const { groups } = read(claims, settings);
  return groups.kind === 'listed' ? groups.names : undefined;
}

test('groups that do not fit into a token are never taken for none', () => {
  const overages: [JWTPayload, object?][] = [
    [{ _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'https://graph.example' } } }],
    [{ _claim_names: { roles: 'src1' } }, { groupsClaim: 'roles' }],
    [{ hasgroups: true }],
    [{ hasgroups: 'true' }],
    [{ groups: ['security'], _claim_names: { groups: 'src1' } }],
  ];
  for (const [claims, settings] of overages)
    expect(() => read(claims, settings)).toThrow(/"(groups|roles)" was left out .*groupsClaim of oidc "company"/);
  // What is said of another claim is of no matter.
  expect(groupsOf({ _claim_names: { address: 'src1' }, groups: ['security'] })).toEqual(['security']);
  expect(groupsOf({ hasgroups: true, roles: ['security'] }, { groupsClaim: 'roles' })).toEqual(['security']);
});

test('a token without the claim of groups says nothing of them, which is not an empty list', () => {
  expect(groupsOf({})).toBeUndefined();
  expect(groupsOf({ groups: null })).toBeUndefined();
  expect(groupsOf({ groups: [] })).toEqual([]);
  expect(groupsOf({ groups: '' })).toEqual([]);
});

test('a claim is found by its own name before any path, and never outside the token', () => {
  expect(groupsOf({ realm_access: { roles: ['security'] } }, { groupsClaim: 'realm_access.roles' })).toEqual([
    'security',
  ]);
  const literal = { 'https://example.com/groups': ['security'] };
  expect(groupsOf(literal, { groupsClaim: 'https://example.com/groups' })).toEqual(['security']);
  const both = { 'a.b': ['literal'], a: { b: ['inner'] } };
  expect(groupsOf(both, { groupsClaim: 'a.b' })).toEqual(['literal']);
  const client = { resource_access: { 'tenure.prod': { roles: ['security'] } } };
  expect(groupsOf(client, { groupsClaim: 'resource_access.tenure.prod.roles' })).toEqual(['security']);
  for (const groupsClaim of ['constructor.name', '__proto__', 'email.constructor.name', 'toString'])
    expect(groupsOf({}, { groupsClaim })).toBeUndefined();
});

test('groups keep capitals, spaces and slashes, and are renamed where tenure.yaml says so', () => {
  const groupNames = { '/security': 'security', SG_Platform_Admins: 'platform-admins' };
  const groups = ['/security', 'SG_Platform_Admins', 'SG Platform Admins', '/Security', '__proto__', 'security'];
  expect(groupsOf({ groups }, { groupNames })).toEqual([
    ...['security', 'platform-admins', 'SG Platform Admins', '/Security', '__proto__'],
  ]);
  expect(groupsOf({ groups: '/security' }, { groupNames })).toEqual(['security']);
});

test('an address is vouched for by "email_verified" of "email" alone, and true may be text', () => {
  expect(read({ email_verified: 'true' }).addressVerified).toBe(true);
  expect(read({ email_verified: 'false' }).addressVerified).toBe(false);
  expect(read({}).addressVerified).toBe('not-said');
  for (const email_verified of ['yes', 1, {}]) expect(() => read({ email_verified })).toThrow('"email_verified"');
  const another = read({ email_verified: true, upn: 'Bo@Example.com' }, { addressClaim: 'upn' });
  expect(another).toMatchObject({ address: 'bo@example.com', addressVerified: 'not-said' });
});

test('a claim that fails is named with the setting that chooses another', () => {
  const wrong: [JWTPayload, object, string][] = [
    [{ email: 'ann' }, {}, '"email" is not an e-mail address. Correct it at provider "company", or name another claim'],
    [{ upn: ['ann@example.com'] }, { addressClaim: 'upn' }, 'as addressClaim of oidc "company"'],
    [{ groups: { security: true } }, {}, 'as groupsClaim of oidc "company"'],
    [{ groups: ['a', 7] }, {}, '"groups" is not a list of group names'],
    [{ sub: '' }, {}, '"sub" is missing'],
    [{ iat: Number.NaN }, {}, '"iat" is missing'],
    [{ iat: iat + 3600 }, {}, '"iat" is in the future'],
  ];
  for (const [claims, settings, said] of wrong) expect(() => read(claims, settings)).toThrow(said);
});

test('a bad name, or a bad time of sign-in, refuses nobody', () => {
  for (const name of [7, '', '   ', 'x'.repeat(201), 'Ann\u202eboB', 'Ann\nBo', null, ['Ann']])
    expect(read({ name })).not.toHaveProperty('name');
  expect(read({ name: ' Ann ' }).name).toBe('Ann');
  expect(read({ profile: { full: 'Ann' } }, { nameClaim: 'profile.full' }).name).toBe('Ann');
  expect(read({ auth_time: 'yesterday' })).not.toHaveProperty('authenticatedAt');
  expect(read({ auth_time: iat + 0.5 }).authenticatedAt).toBe('2026-12-01T09:59:55.500Z');
});
