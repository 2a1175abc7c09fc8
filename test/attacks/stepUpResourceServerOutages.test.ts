import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { dpopKey } from '../integrations/dpopKey.ts';
import { type GrantIssuer, grantIssuer } from '../integrations/grantIssuer.ts';
import { type Answer, called, toolServer } from '../integrations/toolServer.ts';

// Taking away what a grant is checked with must not let anybody in.

const key = dpopKey();
let issuer: GrantIssuer;
let token: string;

beforeAll(async () => {
  issuer = await grantIssuer();
});
afterAll(() => issuer.close());
beforeEach(async () => {
  token = await issuer.token(key);
});

function unavailable(answer: Answer): void {
  expect(answer.status, JSON.stringify(answer.body)).toBe(503);
  expect(answer.body).toEqual({
    error: 'temporarily_unavailable',
    error_description: expect.stringContaining('try again'),
  });
  expect(answer.headers['retry-after']).toBe('5');
}

describe('while it cannot be known, nobody is let in, and the server says so', () => {
  const bearer = () => 'token-of-the-pipeline';
  const outages = [
    { status: 500 },
    { status: 404 },
    { status: 200, body: 'not JSON' },
    { status: 200, body: '[]' },
    { status: 200, body: '{}' },
  ];

  test.each(outages)('the keys are not to be had: %j', async (fault) => {
    const broken = await grantIssuer();
    const here = await toolServer(broken);
    const at = { url: `${here.url}/papers/2026`, token: await broken.token(key) };
    try {
      broken.faults.keys = fault;
      unavailable(await called(key, at));
      expect(here.outages.length).toBeGreaterThan(0);
      delete broken.faults.keys;
      expect((await called(key, at)).status).toBe(200);
      expect(here.served).toHaveLength(1);
    } finally {
      await Promise.all([here.close(), broken.close()]);
    }
  });

  test('the issuer is gone', async () => {
    const gone = await grantIssuer();
    const here = await toolServer(gone);
    const lost = await gone.token(key);
    await gone.close();
    try {
      unavailable(await called(key, { url: `${here.url}/papers/2026`, token: lost }));
      expect(here.served).toEqual([]);
    } finally {
      await here.close();
    }
  });

  const silences = [
    ...outages,
    { status: 200, body: '{"active":"true"}' },
    { status: 401 },
    { status: 503, body: '{"active":true}' },
  ];
  test.each(silences)('the introspection does not answer: %j', async (fault) => {
    const here = await toolServer(issuer, { introspect: { scopes: 'all', bearer } });
    try {
      issuer.faults.introspection = fault;
      const at = { url: `${here.url}/papers/2026`, token };
      unavailable(await called(key, at));
      expect(here.served).toEqual([]);
      expect(here.outages).toHaveLength(1);
      expect(String(here.outages[0]?.cause ?? here.outages[0])).not.toContain(token);
      delete issuer.faults.introspection;
      expect((await called(key, at)).status).toBe(200);
    } finally {
      delete issuer.faults.introspection;
      await here.close();
    }
  });

  test('another server is pointed to: it is not asked, and is not sent the token', async () => {
    const other = await grantIssuer();
    const pointed = await grantIssuer();
    const here = await toolServer(pointed, { introspect: { scopes: 'all', bearer } });
    const at = { url: `${here.url}/papers/2026`, token: await pointed.token(key) };
    try {
      pointed.faults.keys = { status: 302, headers: { location: `${other.url}/.well-known/jwks.json` } };
      unavailable(await called(key, at));
      delete pointed.faults.keys;
      for (const status of [302, 307, 308]) {
        pointed.faults.introspection = { status, headers: { location: `${other.url}/oauth/introspect` } };
        unavailable(await called(key, at));
      }
      expect(other.seen).toEqual({ keys: 0, introspections: [] });
      expect(here.served).toEqual([]);
    } finally {
      await Promise.all([here.close(), pointed.close(), other.close()]);
    }
  });

  test('this server cannot authenticate at the issuer', async () => {
    const here = await toolServer(issuer, {
      introspect: { scopes: 'all', bearer: () => Promise.reject(new Error('the provider of pipelines is down')) },
    });
    try {
      unavailable(await called(key, { url: `${here.url}/papers/2026`, token }));
      expect(here.served).toEqual([]);
    } finally {
      await here.close();
    }
  });

  test('the shared memory of proofs is down', async () => {
    const here = await toolServer(issuer, { useOnce: () => Promise.reject(new Error('the memory is down')) });
    try {
      unavailable(await called(key, { url: `${here.url}/papers/2026`, token }));
      expect(here.served).toEqual([]);
      expect(here.outages).toHaveLength(1);
    } finally {
      await here.close();
    }
  });
});
