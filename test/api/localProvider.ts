import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

export interface LocalProvider {
  readonly issuer: string;
  /** A token as a provider would sign it; `claims` overrides everything. */
  token(claims: JWTPayload, options?: { readonly alg?: string; readonly signedByAnother?: boolean }): Promise<string>;
  stop(): Promise<void>;
}

/** An OpenID provider of the test's own on the loopback: discovery, keys, and tokens of any content. */
export async function localProvider(): Promise<LocalProvider> {
  const ours = await generateKeyPair('ES256', { extractable: true });
  const another = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(ours.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
  const server = createServer((req, res) => {
    const body = req.url === '/jwks' ? { keys: [jwk] } : { issuer, jwks_uri: `${issuer}/jwks` };
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    issuer,
    token: (claims, { alg = 'ES256', signedByAnother = false } = {}) =>
      new SignJWT({
        ...{ iss: issuer, aud: 'tenure', sub: typeof claims['email'] === 'string' ? claims['email'] : 'somebody' },
        ...{ iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 600, ...claims },
      })
        .setProtectedHeader({ alg, kid: 'one' })
        .sign(
          alg === 'HS256'
            ? new TextEncoder().encode('a shared secret of thirty-two bytes')
            : (signedByAnother ? another : ours).privateKey,
        ),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
