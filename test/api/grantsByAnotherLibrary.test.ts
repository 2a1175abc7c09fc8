import * as oauth from 'oauth4webapi';
import { beforeAll, expect, test } from 'vitest';
import { exampleAsk } from '../setup/grants.ts';
import { type GrantedAgent, grantedAgent, serverToken } from './grantedAgent.ts';

/** Another implementation of JOSE and OAuth than ours (docs/decisions/mcp-sdk.md) finds, verifies, introspects and revokes. */

const toolUrl = new URL('https://search.example.com/orders/4711');
let agent: GrantedAgent;
let server: oauth.AuthorizationServer;
let dpop: oauth.DPoPHandle;
let token: string;

type Call = oauth.CustomFetchOptions<string, URLSearchParams | undefined>;

/** The installation's public address is another than the port that the test listens at. */
const atTheTestsPort = {
  [oauth.allowInsecureRequests]: true,
  [oauth.customFetch]: (url: string, { method, headers, body }: Call) =>
    fetch(url.replace(agent.api.publicUrl, agent.api.address), { method, headers, ...(body == null ? {} : { body }) }),
} as const;

beforeAll(async () => {
  agent = await grantedAgent({ lives: 'file' });
  const issuer = new URL(agent.api.publicUrl);
  const discovery = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...atTheTestsPort });
  server = await oauth.processDiscoveryResponse(issuer, discovery);
  dpop = oauth.DPoP({ [oauth.clockSkew]: 0 }, await oauth.generateKeyPair('ES256', { extractable: true }));
  ({ token } = await agent.granted({ ask: { jkt: await dpop.calculateThumbprint() } }));
});

/** The agent's call of the tool, as it leaves the library. */
async function callOfTheTool(proofOf: oauth.DPoPHandle = dpop): Promise<Request> {
  const { promise, resolve } = Promise.withResolvers<Request>();
  await oauth.protectedResourceRequest(token, 'GET', toolUrl, undefined, undefined, {
    DPoP: proofOf,
    [oauth.customFetch]: async (url, { method, headers }) => {
      resolve(new Request(url, { method, headers }));
      return new Response();
    },
  });
  return promise;
}

const validate = (request: Request, audience: string) =>
  oauth.validateJwtAccessToken(server, request, audience, { requireDPoP: true, ...atTheTestsPort });

test('it verifies a grant with the published keys, and the proof of the key that the grant is bound to', async () => {
  const claims = await validate(await callOfTheTool(), exampleAsk.audience);
  expect(claims).toMatchObject({ client_id: `agent:${agent.identityId}`, scope: 'search:read' });
  await expect(validate(await callOfTheTool(), 'https://mail.example.com')).rejects.toThrow();
  const another = oauth.DPoP({ [oauth.clockSkew]: 0 }, await oauth.generateKeyPair('ES256'));
  await expect(validate(await callOfTheTool(another), exampleAsk.audience)).rejects.toThrow();
});

test('it introspects and revokes as any OAuth client does', async () => {
  const bearer = await serverToken(agent.api, 'search-server');
  const client = { client_id: 'search-server' };
  const authentication: oauth.ClientAuth = (_server, _client, _body, headers) =>
    headers.set('authorization', `Bearer ${bearer}`);
  const introspection = async () =>
    oauth.processIntrospectionResponse(
      server,
      client,
      await oauth.introspectionRequest(server, client, authentication, token, atTheTestsPort),
    );
  expect(await introspection()).toMatchObject({ active: true, token_type: 'DPoP' });
  const revocation = await oauth.revocationRequest(server, client, authentication, token, atTheTestsPort);
  await oauth.processRevocationResponse(revocation);
  expect(await introspection()).toEqual({ active: false });
});
