import {
  type AuthorizationServer,
  allowInsecureRequests,
  DPoP,
  generateKeyPair,
  protectedResourceRequest,
  validateJwtAccessToken,
} from 'oauth4webapi';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dpopProof, newAgentKeys, publicHalf } from '../../integrations/agent/agentTokens.ts';
import { audience, type GrantIssuer, grantIssuer } from './grantIssuer.ts';
import { type ToolServer, toolServer } from './toolServer.ts';

// oauth4webapi signs and verifies on Web Crypto by itself: what it and we agree on is the RFCs, not a library.

let issuer: GrantIssuer;
let server: ToolServer;
beforeAll(async () => {
  issuer = await grantIssuer();
  server = await toolServer(issuer);
});
afterAll(async () => {
  await server.close();
  await issuer.close();
});

test.each(['ES256', 'Ed25519', 'PS256', 'RS256'])(
  'a proof that oauth4webapi signs with %s lets its call in',
  async (algorithm) => {
    const keys = await generateKeyPair(algorithm, { extractable: true });
    const token = await issuer.token({ publicJwk: await crypto.subtle.exportKey('jwk', keys.publicKey) });
    const url = new URL(`${server.url}/papers/2026?page=2`);
    const options = { DPoP: DPoP({}, keys), [allowInsecureRequests]: true };
    for (const _ of ['a call', 'another, with a proof of its own']) {
      const answer = await protectedResourceRequest(token, 'GET', url, undefined, undefined, options);
      expect(answer.status).toBe(200);
    }
  },
);

test("oauth4webapi lets in a call with a grant and a proof of our agents' code, and none with another key's proof", async () => {
  const keys = await newAgentKeys();
  const accessToken = await issuer.token({ publicJwk: publicHalf(keys.possession) });
  const authorizationServer: AuthorizationServer = {
    issuer: issuer.url,
    jwks_uri: `${issuer.url}/.well-known/jwks.json`,
  };
  const url = 'https://search.example.com/papers/2026';
  const validated = async (by: typeof keys) => {
    const proof = await dpopProof({ method: 'GET', url, accessToken, keys: by });
    const request = new Request(url, { headers: { authorization: `DPoP ${accessToken}`, dpop: proof } });
    return validateJwtAccessToken(authorizationServer, request, audience, {
      requireDPoP: true,
      [allowInsecureRequests]: true,
    });
  };
  expect(await validated(keys)).toMatchObject({ scope: 'search:read', aud: audience });
  await expect(validated(await newAgentKeys())).rejects.toThrow('confirmation mismatch');
});
