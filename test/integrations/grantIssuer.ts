import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { calculateJwkThumbprint, exportJWK, type JWK, SignJWT } from 'jose';
import type { DpopKey } from './dpopKey.ts';

/** What a test changes of a token; `undefined` leaves a member out. */
export interface TokenChanges {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  /** Signed with this key of the issuer; with its newest unless told. */
  readonly signedBy?: SigningKey;
}

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicJwk: JWK;
}

/** Signs grants as Tenure does, and can be made to fail: what a resource server sees of an installation. */
export interface GrantIssuer {
  readonly url: string;
  /** Published; the last one signs. */
  readonly keys: SigningKey[];
  /** Tokens that introspection calls inactive. */
  readonly inactive: Set<string>;
  /** What the two endpoints were asked. */
  readonly seen: { keys: number; introspections: { authorization: string | undefined; token: string | null }[] };
  /** How an endpoint answers instead of properly. */
  readonly faults: { keys?: Fault; introspection?: Fault };
  token(key: Pick<DpopKey, 'publicJwk'>, changes?: TokenChanges): Promise<string>;
  close(): Promise<void>;
}

type Fault = { readonly status: number; readonly body?: string; readonly headers?: Record<string, string> };

export const audience = 'https://search.example.com';
export const agent = 'agent:4xk2';

export async function grantIssuer(): Promise<GrantIssuer> {
  const keys = [await signingKey()];
  const inactive = new Set<string>();
  const seen: GrantIssuer['seen'] = { keys: 0, introspections: [] };
  const faults: GrantIssuer['faults'] = {};

  const server = createServer(async (req, res) => {
    const answer = (body: unknown, fault?: Fault) =>
      res
        .writeHead(fault?.status ?? 200, { 'content-type': 'application/json', ...fault?.headers })
        .end(fault === undefined ? JSON.stringify(body) : (fault.body ?? ''));
    if (req.url === '/.well-known/jwks.json') {
      seen.keys += 1;
      return answer({ keys: keys.map(({ publicJwk }) => publicJwk) }, faults.keys);
    }
    if (req.url !== '/oauth/introspect' || req.method !== 'POST') return answer({}, { status: 404 });
    let body = '';
    for await (const chunk of req) body += String(chunk);
    const token = new URLSearchParams(body).get('token');
    seen.introspections.push({ authorization: req.headers.authorization, token });
    return answer({ active: token !== null && !inactive.has(token) }, faults.introspection);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url,
    keys,
    inactive,
    seen,
    faults,
    async token(key, { claims = {}, header = {}, signedBy } = {}) {
      const signer = signedBy ?? keys.at(-1);
      if (signer === undefined) throw new Error('The issuer has no key.');
      const nowSeconds = Math.floor(Date.now() / 1000);
      return new SignJWT({
        iss: url,
        aud: audience,
        sub: agent,
        client_id: agent,
        iat: nowSeconds,
        exp: nowSeconds + 600,
        jti: randomUUID(),
        scope: 'search:read',
        cnf: { jkt: await calculateJwkThumbprint(key.publicJwk) },
        tenure_resource: 'papers/2026',
        tenure_workspace: 'research',
        ...claims,
      })
        .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: signer.kid, ...header })
        .sign(signer.privateKey);
    },
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

export async function signingKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  return { kid, privateKey, publicJwk: { ...jwk, kid, alg: 'ES256', use: 'sig' } };
}
