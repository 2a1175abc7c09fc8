import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { dpopKey, hmacProof, signedProof, unsignedProof } from '../integrations/dpopKey.ts';
import {
  agent,
  audience,
  type GrantIssuer,
  grantIssuer,
  signingKey,
  type TokenChanges,
} from '../integrations/grantIssuer.ts';
import { type Answer, called, proofFor, sent, type ToolServer, toolServer } from '../integrations/toolServer.ts';

// Attempts to get a call served without a grant for it, at a real Express server with real keys.

const key = dpopKey();
const attacker = dpopKey();
let issuer: GrantIssuer;
let server: ToolServer;
let url: string;
let token: string;

beforeAll(async () => {
  issuer = await grantIssuer();
  server = await toolServer(issuer);
  url = `${server.url}/papers/2026`;
});
afterAll(async () => {
  await server.close();
  await issuer.close();
});
beforeEach(async () => {
  token = await issuer.token(key);
});
/** What every attempt here must leave true; a served call of its own shows that the server serves at all. */
afterEach(async () => {
  expect(server.served).toEqual([]);
  expect((await called(key, { url, token: await issuer.token(key) })).status).toBe(200);
  server.served.length = 0;
});

function refused(answer: Answer, status: number, error: string): void {
  expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  expect(answer.body.error).toBe(error);
  if (status < 500) expect(answer.headers['www-authenticate']).toMatch(/^DPoP /);
  expect(JSON.stringify(answer)).not.toContain(token);
}

async function withProof(proof: string, target = url): Promise<Answer> {
  return sent(target, {
    headers: [
      ['Authorization', `DPoP ${token}`],
      ['DPoP', proof],
    ],
  });
}

describe('a stolen token', () => {
  test('is worth nothing without the key, whatever is sent instead of its proof', async () => {
    refused(await sent(url, { headers: [['Authorization', `DPoP ${token}`]] }), 401, 'invalid_dpop_proof');
    refused(await called(attacker, { url, token }), 401, 'invalid_token');
    // The attacker's signature under the owner's public key.
    const forged = signedProof(attacker, proofClaims(), { jwk: key.publicJwk });
    refused(await withProof(forged), 401, 'invalid_dpop_proof');
  });

  test('cannot be sent as a bearer token, in the query or in any other scheme', async () => {
    const proof = () => proofFor(key, { url, token });
    for (const scheme of ['Bearer', 'bearer', 'Basic', 'DPoP Bearer', 'DPoP,'])
      refused(
        await sent(url, {
          headers: [
            ['Authorization', `${scheme} ${token}`],
            ['DPoP', proof()],
          ],
        }),
        401,
        'invalid_token',
      );
    refused(await sent(`${url}?access_token=${token}`, { headers: [['DPoP', proof()]] }), 401, 'invalid_token');
    refused(
      await sent(url, {
        headers: [
          ['Authorization', token],
          ['DPoP', proof()],
        ],
      }),
      401,
      'invalid_token',
    );
  });
});

describe('a captured proof', () => {
  test('cannot be used again, not even at once and twice at the same time', async () => {
    const proof = proofFor(key, { url, token });
    const statuses = (await Promise.all([1, 2, 3, 4].map(() => withProof(proof)))).map(({ status }) => status);
    expect(statuses.toSorted()).toEqual([200, 401, 401, 401]);
    server.served.length = 0;
    refused(await withProof(proof), 401, 'invalid_dpop_proof');
  });

  test('cannot be used with another grant of the same key', async () => {
    const other = await issuer.token(key);
    refused(await withProof(proofFor(key, { url, token: other })), 401, 'invalid_dpop_proof');
    refused(await withProof(proofFor(key, { url, token }, { ath: undefined })), 401, 'invalid_dpop_proof');
    // One made for POST /v1/step-ups, before there was a grant.
    refused(
      await withProof(proofFor(key, { url: `${issuer.url}/v1/step-ups`, method: 'POST', token }, { ath: undefined })),
      401,
      'invalid_dpop_proof',
    );
  });

  test('cannot be used for another method, path, host or port', async () => {
    const { port } = new URL(url);
    const elsewhere = [
      `${server.url}/papers/2025`,
      `${server.url}/papers/2026/`,
      `${server.url}/Papers/2026`,
      `${server.url}/papers%2F2026`,
      `${server.url}/`,
      `http://localhost:${port}/papers/2026`,
      'http://127.0.0.1/papers/2026',
      `https://127.0.0.1:${port}/papers/2026`,
      'https://search.example.com/papers/2026',
    ];
    for (const htu of elsewhere)
      refused(await withProof(proofFor(key, { url: htu, token })), 401, 'invalid_dpop_proof');
    for (const method of ['POST', 'get', 'HEAD', '*'])
      refused(await withProof(proofFor(key, { url, method, token })), 401, 'invalid_dpop_proof');
  });

  test('cannot be carried to this server by headers that name another host, nor by the request target', async () => {
    const elsewhere = 'https://search.example.com/papers/2026';
    const proof = () => proofFor(key, { url: elsewhere, token });
    const authorization: [string, string] = ['Authorization', `DPoP ${token}`];
    const claims: [string, string][][] = [
      [['Host', 'search.example.com']],
      [
        ['X-Forwarded-Host', 'search.example.com'],
        ['X-Forwarded-Proto', 'https'],
      ],
      [['Forwarded', 'host=search.example.com;proto=https']],
      [
        ['X-Original-URL', '/papers/2026'],
        ['X-Forwarded-Prefix', elsewhere],
      ],
    ];
    for (const headers of claims)
      refused(await sent(url, { headers: [authorization, ['DPoP', proof()], ...headers] }), 401, 'invalid_dpop_proof');
    for (const target of [elsewhere, 'http://search.example.com/papers/2026', '/papers\\2026'])
      refused(await sent(url, { target, headers: [authorization, ['DPoP', proof()]] }), 400, 'invalid_request');
    refused(
      await sent(url, { target: '//search.example.com/papers/2026', headers: [authorization, ['DPoP', proof()]] }),
      401,
      'invalid_dpop_proof',
    );
  });

  test('cannot be sent beside a second one', async () => {
    const [first, second] = [proofFor(key, { url, token }), proofFor(key, { url, token })];
    const authorization: [string, string] = ['Authorization', `DPoP ${token}`];
    refused(
      await sent(url, { headers: [authorization, ['DPoP', first], ['dpop', second]] }),
      401,
      'invalid_dpop_proof',
    );
    refused(await withProof(`${first}, ${second}`), 401, 'invalid_dpop_proof');
  });
});

describe('a proof that nobody careful would sign', () => {
  test('is refused: a private key in it, a shared secret, no signature, another kind of token, another time', async () => {
    const { kty, crv, x, y } = key.publicJwk;
    const nowSeconds = Math.floor(Date.now() / 1000);
    const proofs = [
      signedProof(key, proofClaims(), { jwk: key.privateKey.export({ format: 'jwk' }) }),
      signedProof(key, proofClaims(), { jwk: { kty, crv, x, y, d: '' } }),
      signedProof(key, proofClaims(), { jwk: { kty: 'oct', k: 'c2VjcmV0' } }),
      signedProof(key, proofClaims(), { jwk: undefined, kid: '1', jku: `${issuer.url}/.well-known/jwks.json` }),
      hmacProof(key, proofClaims()),
      unsignedProof({ typ: 'dpop+jwt', alg: 'none', jwk: key.publicJwk }, proofClaims()),
      signedProof(key, proofClaims(), { typ: 'JWT' }),
      signedProof(key, proofClaims(), { typ: 'at+jwt' }),
      signedProof(key, proofClaims({ iat: nowSeconds - 120 })),
      signedProof(key, proofClaims({ iat: nowSeconds + 120 })),
      signedProof(key, proofClaims({ jti: undefined })),
      signedProof(key, proofClaims({ jti: 'x'.repeat(300) })),
      token,
      'x'.repeat(9_000),
    ];
    for (const proof of proofs) refused(await withProof(proof), 401, 'invalid_dpop_proof');
  });
});

describe('a token', () => {
  const changed: [string, TokenChanges][] = [
    ['that has expired', { claims: { exp: seconds(-60) } }],
    ['without an end', { claims: { exp: undefined } }],
    ['that is dated in the future', { claims: { iat: seconds(120), exp: seconds(600) } }],
    ['that is not valid yet', { claims: { nbf: seconds(120) } }],
    ['without a date', { claims: { iat: undefined } }],
    ['for another audience', { claims: { aud: 'https://other.example.com' } }],
    ['for an audience that only begins as ours', { claims: { aud: `${audience}.evil.example` } }],
    ['without an audience', { claims: { aud: undefined } }],
    ['of another issuer', { claims: { iss: 'https://tenure.example.com' } }],
    ['without an issuer', { claims: { iss: undefined } }],
    ['that is an ID token', { header: { typ: 'JWT' } }],
    ['without a typ', { header: { typ: undefined } }],
    ['that is a DPoP proof', { header: { typ: 'dpop+jwt' } }],
    ['that is bound to no key', { claims: { cnf: undefined } }],
    ['that is bound to an empty thumbprint', { claims: { cnf: { jkt: '' } } }],
    ['that is bound by something else', { claims: { cnf: { 'x5t#S256': 'a' } } }],
    ['of nobody', { claims: { sub: undefined } }],
    ['of no client', { claims: { client_id: undefined } }],
    ['without an id', { claims: { jti: undefined } }],
    ['without a scope', { claims: { scope: undefined } }],
    ['whose scope is a list', { claims: { scope: ['search:read'] } }],
    ['without a resource', { claims: { tenure_resource: undefined } }],
    ['without a workspace', { claims: { tenure_workspace: undefined } }],
    ['for a person without saying who acts', { claims: { sub: 'pat@example.com' } }],
    ['whose agent acts for itself as if for a person', { claims: { act: { sub: agent } } }],
    ['of an agent without a name', { claims: { client_id: '', sub: '' } }],
    ['that another party acts with', { claims: { sub: 'pat@example.com', act: { sub: 'agent:other' } } }],
  ];
  test.each(changed)('%s is refused', async (_what, changes) => {
    token = await issuer.token(key, changes);
    refused(await called(key, { url, token }), 401, 'invalid_token');
  });

  test('of another key is refused, also under the name of a key of the issuer, or with a key of its own', async () => {
    const [published] = issuer.keys;
    const stranger = await signingKey();
    for (const header of [
      {},
      { kid: published?.kid },
      { kid: undefined },
      { kid: stranger.kid, jwk: stranger.publicJwk },
    ]) {
      token = await issuer.token(key, { signedBy: stranger, header });
      refused(await called(key, { url, token }), 401, 'invalid_token');
    }
  });

  test('cannot choose how it is checked: no signature, the public key as a shared secret, and more', async () => {
    const [header, claims] = (await issuer.token(key)).split('.');
    const { kid } = JSON.parse(Buffer.from(header ?? '', 'base64url').toString());
    const as = (alg: string, more = {}) =>
      Buffer.from(JSON.stringify({ alg, typ: 'at+jwt', kid, ...more })).toString('base64url');
    const [published] = issuer.keys;
    const input = `${as('HS256')}.${claims}`;
    const secret = JSON.stringify(published?.publicJwk);
    const tokens = [
      `${as('none')}.${claims}.`,
      `${as('None')}.${claims}.`,
      `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`,
      `${as('ES384')}.${claims}.${Buffer.alloc(96).toString('base64url')}`,
      `${as('ES256', { crit: ['exp'], exp: 1 })}.${claims}.${Buffer.alloc(64, 1).toString('base64url')}`,
      // CVE-2022-21449: r and s of zero.
      `${as('ES256')}.${claims}.${Buffer.alloc(64).toString('base64url')}`,
    ];
    for (token of tokens) refused(await called(key, { url, token }), 401, 'invalid_token');
  });

  test('that is changed by a byte is refused', async () => {
    const [header, claims = '', signature] = token.split('.');
    const wider = JSON.parse(Buffer.from(claims, 'base64url').toString());
    wider.scope = 'search:read search:write';
    token = [header, Buffer.from(JSON.stringify(wider)).toString('base64url'), signature].join('.');
    refused(await called(key, { url, token }), 401, 'invalid_token');
  });

  test('must come in one header, of bounded length', async () => {
    const authorization: [string, string] = ['Authorization', `DPoP ${token}`];
    const proof: [string, string] = ['DPoP', proofFor(key, { url, token })];
    refused(await sent(url, { headers: [authorization, authorization, proof] }), 400, 'invalid_request');
    refused(
      await sent(url, { headers: [['Authorization', 'Bearer x'], authorization, proof] }),
      400,
      'invalid_request',
    );
    refused(
      await sent(url, { headers: [['Authorization', `DPoP ${token}${'x'.repeat(9_000)}`], proof] }),
      400,
      'invalid_request',
    );
    for (const value of [`DPoP ${token}, DPoP ${token}`, `DPoP  ${token}`, `DPoP ${token} x`, 'DPoP', ''])
      refused(await sent(url, { headers: [['Authorization', value], proof] }), 401, 'invalid_token');
  });
});

test('proofs of other keys do not fill the memory of proofs', async () => {
  const uses: string[] = [];
  const here = await toolServer(issuer, { useOnce: (value) => uses.push(value) === 1 });
  const at = { url: `${here.url}/papers/2026`, token };
  try {
    for (const stranger of [attacker, dpopKey(), dpopKey('Ed25519')])
      refused(await called(stranger, at), 401, 'invalid_token');
    expect(uses).toEqual([]);
    expect((await called(key, at)).status).toBe(200);
  } finally {
    await here.close();
  }
});

test('tokens with made-up keys do not make the server fetch keys for each', async () => {
  await called(key, { url, token });
  server.served.length = 0;
  const { keys } = issuer.seen;
  const rounds = 20;
  for (let round = 0; round < rounds; round += 1) {
    token = await issuer.token(key, { signedBy: await signingKey() });
    refused(await called(key, { url, token }), 401, 'invalid_token');
  }
  expect(issuer.seen.keys).toBeLessThan(keys + rounds);
});

function proofClaims(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const claims = proofFor(key, { url, token }, { jti: randomUUID(), ...changes }).split('.')[1] ?? '';
  return JSON.parse(Buffer.from(claims, 'base64url').toString());
}

function seconds(ahead: number): number {
  return Math.floor(Date.now() / 1000) + ahead;
}
