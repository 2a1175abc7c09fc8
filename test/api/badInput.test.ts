import { request as httpRequest } from 'node:http';
import { beforeAll, expect, test } from 'vitest';
import { type ApiFixture, apiFixture, onboarding } from './apiFixture.ts';

let api: ApiFixture;
beforeAll(async () => {
  api = await apiFixture({ lives: 'file' });
});

async function rowCounts({ ledger }: ApiFixture): Promise<number[]> {
  const { identity, request, idempotentCall, evidenceEntry } = ledger.prisma;
  return await Promise.all([identity.count(), request.count(), idempotentCall.count(), evidenceEntry.count()]);
}

const ask = (changes: object) => ({ body: { ...onboarding, ...changes } });
const signing = { issuer: 'signing', scopes: ['sign'] };
const many = (count: number) => Array.from({ length: count }, (_, index) => `scope-${index}`);

test.each([
  ['an unknown field', { privileged: true }, 'body.privileged'],
  ['a missing owner', { owner: undefined }, 'body.owner'],
  ['a kind that does not exist', { kind: 'robot' }, 'body.kind'],
  ['a number for a name', { name: 7 }, 'body.name'],
  ['a name with a line break', { name: 'billing\napi' }, 'body.name'],
  ['a name in two scripts', { name: 'p\u0430yments' }, 'body.name'],
  ['a name of 201 characters', { name: 'x'.repeat(201) }, 'body.name'],
  ['an owner that is no address', { owner: 'Ann' }, 'body.owner'],
  ['201 scopes', { scopes: many(201) }, 'body.scopes'],
  ['no scope', { scopes: [] }, 'body.scopes'],
  ['the same scope twice', { scopes: ['read', 'read'] }, 'body.scopes'],
  ['201 consumers', { consumers: many(201).map((name) => `pipeline:${name}`) }, 'body.consumers'],
  ['a consumer that tenure.yaml does not declare', { consumers: ['pipeline:unknown'] }, 'body.consumers.0'],
  ['the reader of signing keys as a consumer', { consumers: ['system:grants'] }, 'body.consumers'],
  [
    'a signing key that a pipeline reads',
    { ...signing, consumers: ['system:grants', 'pipeline:deploy'] },
    'body.consumers',
  ],
  ['a signing key that nobody reads', { ...signing, consumers: [] }, 'body.consumers'],
  ['51 labels', { labels: Object.fromEntries(many(51).map((name) => [name, 'x'])) }, 'body.labels'],
  ['an environment with a slash', { environment: 'prod/eu' }, 'body.environment'],
  ['an expiry that is a day without a time', { expiresAt: '2030-01-01' }, 'body.expiresAt'],
  ['an expiry in the past', { expiresAt: '2020-01-01T00:00:00Z' }, 'body.expiresAt'],
  ['an expiry beyond ten years', { expiresAt: '2050-01-01T00:00:00Z' }, 'body.expiresAt'],
  ['a purpose with a terminal escape', { purpose: 'nice\u001b[2J' }, 'body.purpose'],
])('an onboarding with %s is refused, names the field, and writes nothing', async (_what, changes, field) => {
  // A first sign-in leaves evidence of its own.
  await api.as('requester', '/v1/requests');
  const before = await rowCounts(api);
  const answer = await api.as('requester', '/v1/identities', ask(changes));
  expect([answer.status, answer.slug]).toEqual([400, 'invalid-request']);
  expect(answer.text).toContain(`"field":"${field}"`);
  expect(await rowCounts(api)).toEqual(before);
});

test.each([
  ['unknown-issuer', { issuer: 'nowhere' }],
  ['unknown-issuer', { issuer: 'constructor' }],
  ['unknown-store', { store: 'nowhere' }],
  ['unsupported-scope', { scopes: ['superuser'] }],
  ['unsupported-scope', { scopes: ['toString'] }],
])('what tenure.yaml cannot carry out is refused before anybody approves it: %s', async (slug, changes) => {
  const answer = await api.as('requester', '/v1/identities', ask(changes));
  expect([answer.status, answer.slug]).toEqual([422, slug]);
});

test('names with quotes and of 200 characters are kept as written; look-alikes are refused as taken', async () => {
  const quoted = `Robert'); DROP TABLE "identity"; --`;
  expect((await api.as('requester', '/v1/identities', ask({ name: quoted }))).text).toContain(JSON.stringify(quoted));
  expect((await api.as('requester', '/v1/identities', ask({ name: 'n'.repeat(200) }))).status).toBe(202);
  expect((await api.as('requester', '/v1/identities', ask({ name: 'payroll' }))).status).toBe(202);
  const lookAlike = await api.as('requester', '/v1/identities', ask({ name: 'PAYRO11' }));
  expect([lookAlike.status, lookAlike.slug]).toEqual([409, 'name-taken']);
});

test('malformed JSON is refused without repeating it', async () => {
  const answer = await api.as('requester', '/v1/identities', { raw: '{"name": "canary-of-the-body' });
  expect([answer.status, answer.slug]).toEqual([400, 'invalid-request']);
  expect(answer.text).not.toContain('canary-of-the-body');
});

test.each(['[]', '"text"', 'null', '7'])('a body that is no object (%s) is refused', async (raw) => {
  expect((await api.as('requester', '/v1/identities', { raw })).slug).toBe('invalid-request');
});

test('a body above 64 KiB is refused', async () => {
  const answer = await api.as('requester', '/v1/identities', ask({ justification: 'x'.repeat(70_000) }));
  expect([answer.status, answer.slug]).toEqual([413, 'too-large']);
});

test.each([
  [{ 'content-type': 'text/plain' }],
  [{ 'content-type': 'application/x-www-form-urlencoded' }],
  [{ 'content-type': 'application/json; charset=utf-16' }],
  [{ 'content-encoding': 'gzip' }],
])('a body that is not plain UTF-8 JSON (%j) is refused', async (headers) => {
  const answer = await api.as('requester', '/v1/identities', { ...ask({}), headers });
  expect([answer.status, answer.slug]).toEqual([415, 'unsupported-media-type']);
});

test('a method that a resource does not take is 405 with those it takes', async () => {
  const answer = await api.as('requester', '/v1/identities', { method: 'DELETE' });
  expect([answer.status, answer.slug, answer.headers.get('allow')]).toEqual([
    405,
    'method-not-allowed',
    'GET, HEAD, POST',
  ]);
});

test('an unknown resource is 404, and so is an id that nothing has', async () => {
  expect((await api.as('requester', '/v1/robots')).slug).toBe('not-found');
  expect((await api.as('requester', `/v1/requests/${'a'.repeat(26)}`)).slug).toBe('not-found');
});

test('a client that accepts no JSON is told so', async () => {
  const answer = await api.as('requester', '/v1/identities', { headers: { accept: 'text/html' } });
  expect([answer.status, answer.slug]).toEqual([406, 'not-acceptable']);
});

test.each([
  '/v1/identities?limit=0',
  '/v1/identities?limit=201',
  '/v1/identities?limit=ten',
  '/v1/identities?limit=1&limit=2',
  '/v1/identities?colour=red',
  '/v1/identities?cursor=nonsense',
  `/v1/identities?cursor=${Buffer.from("1,' OR 1=1").toString('base64url')}`,
  '/v1/requests?state=asleep',
  '/v1/requests?awaiting=you',
  '/v1/requests/not-an-id',
  `/v1/requests/${'a'.repeat(26)}?waitSeconds=61`,
  '/v1/requests/%E0%A4%A',
])('the malformed address %s is 400', async (path) => {
  expect((await api.as('requester', path)).slug).toBe('invalid-request');
});

test('a write without Idempotency-Key is refused, and so is one that is malformed or sent twice', async () => {
  const token = await api.tokenOf('requester');
  const status = (headers: string[]) =>
    new Promise<string>((resolve, reject) => {
      const request = httpRequest(
        `${api.address}/v1/identities`,
        {
          method: 'POST',
          headers: [
            'host',
            new URL(api.address).host,
            'authorization',
            `Bearer ${token}`,
            'content-type',
            'application/json',
            ...headers,
          ],
        },
        (response) => {
          let text = '';
          response.on('data', (chunk) => {
            text += chunk;
          });
          response.on('end', () => resolve(/urn:tenure:problem:([a-z-]+)/.exec(text)?.[1] ?? text));
        },
      );
      request.once('error', reject);
      request.end(JSON.stringify(onboarding));
    });
  expect(await status([])).toBe('key-required');
  expect(await status(['idempotency-key', 'with space'])).toBe('invalid-request');
  expect(await status(['idempotency-key', 'x'.repeat(201)])).toBe('invalid-request');
  expect(await status(['idempotency-key', 'one', 'idempotency-key', 'two'])).toBe('invalid-request');
});

test('more requests than a principal may send are refused until the minute is over', async () => {
  const limited = await apiFixture({ limits: { perAddress: 100, perPrincipal: 2, analyses: 2 } });
  await limited.as('requester', '/v1/requests');
  await limited.as('requester', '/v1/requests');
  const third = await limited.as('requester', '/v1/requests');
  expect([third.status, third.slug]).toEqual([429, 'too-many-requests']);
  expect(third.headers.get('retry-after')).not.toBeNull();
  expect((await limited.as('owner', '/v1/requests')).status).toBe(200);
});
