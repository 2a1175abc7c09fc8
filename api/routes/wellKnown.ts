import { z } from 'zod';
import { dpopAlgorithms } from '../../integrations/resource-server/dpopProof.ts';
import { signingAlgorithms } from '../../ledger/signingKeys.ts';
import { algorithms } from '../auth/signatures.ts';
import type { ApiDependencies } from '../ports.ts';
import { noParams, noQuery } from '../representations/fields.ts';
import { defineRoute, type Route } from '../route.ts';
import { shared } from '../shared.ts';
import { stepUpGrantType } from './oauthToken.ts';

/** A verifier that meets an unknown key asks again; short, so that a key that was revoked is soon trusted no more. */
const cacheControl = 'public, max-age=15';

const ofEveryKey = {
  kid: z.string().meta({ description: 'RFC 7638 thumbprint.' }),
  alg: z.enum(Object.values(signingAlgorithms)),
  use: z.literal('sig'),
};

const KeySet = z
  .object({
    keys: z.array(
      z.discriminatedUnion('kty', [
        z.object({ ...ofEveryKey, kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() }),
        z.object({ ...ofEveryKey, kty: z.literal('RSA'), n: z.string(), e: z.string() }),
      ]),
    ),
  })
  .meta({ id: 'KeySet' });

/** RFC 8414 §3.2: what has no elements is left out. */
const words = z.array(z.string()).min(1);

const Metadata = z
  .object({
    issuer: z.string(),
    jwks_uri: z.string(),
    token_endpoint: z.string(),
    token_endpoint_auth_methods_supported: words,
    token_endpoint_auth_signing_alg_values_supported: words,
    response_types_supported: words,
    grant_types_supported: words,
    dpop_signing_alg_values_supported: words,
    introspection_endpoint: z.string(),
    introspection_endpoint_auth_methods_supported: words,
    introspection_endpoint_auth_signing_alg_values_supported: words,
    revocation_endpoint: z.string(),
    revocation_endpoint_auth_methods_supported: words,
    revocation_endpoint_auth_signing_alg_values_supported: words,
    service_documentation: z.string(),
  })
  .meta({ id: 'AuthorizationServer' });

/** What resource servers find by themselves. */
export function wellKnownRoutes({ grantSigner, configuration: { publicUrl } }: ApiDependencies): Route[] {
  // Anybody may ask: however many do, it is looked up once.
  const keySet = shared(() => grantSigner.jwks());
  const metadata = metadataOf(publicUrl);
  return [
    defineRoute({
      method: 'get',
      path: '/.well-known/jwks.json',
      operationId: 'getKeySet',
      tag: 'Grants',
      summary: "Read the keys that grants' tokens are verified with",
      description:
        'RFC 7517. A key is here before it signs, and as long as its credential is not being destroyed; a revoked one is gone at once. Without a signer there are no keys.',
      access: 'anyone',
      params: noParams,
      query: noQuery,
      reply: {
        status: 200,
        description: 'The keys.',
        schema: KeySet,
        example: {
          keys: [
            {
              kty: 'EC',
              crv: 'P-256',
              x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
              y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
              kid: 'oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U',
              alg: 'ES256',
              use: 'sig',
            },
          ],
        },
        headers: { 'Cache-Control': cacheControl },
      },
      problems: [],
      handle: async () => ({
        body: await keySet(),
        headers: { 'Cache-Control': cacheControl },
      }),
    }),

    defineRoute({
      method: 'get',
      path: '/.well-known/oauth-authorization-server',
      operationId: 'getAuthorizationServer',
      tag: 'Grants',
      summary: 'Read where keys, introspection and revocation are',
      description:
        'RFC 8414. The token endpoint gives the token of a step-up that was granted, and nothing else; there is no authorization endpoint, so that the one response type is `none`. Resource servers and agents authenticate by a bearer token, as everywhere here, or by the same token as `client_assertion` (RFC 7523).',
      access: 'anyone',
      params: noParams,
      query: noQuery,
      reply: {
        status: 200,
        description: 'The metadata.',
        schema: Metadata,
        example: metadataOf('https://tenure.example.com'),
        headers: { 'Cache-Control': cacheControl },
      },
      problems: [],
      handle: async () => ({ body: metadata, headers: { 'Cache-Control': cacheControl } }),
    }),
  ];
}

/** RFC 8414 §2 takes access token types of RFC 6749 here too. */
const clientAuthentication = ['private_key_jwt', 'Bearer'];

function metadataOf(issuer: string): z.input<typeof Metadata> {
  return {
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    token_endpoint: `${issuer}/oauth/token`,
    token_endpoint_auth_methods_supported: clientAuthentication,
    token_endpoint_auth_signing_alg_values_supported: algorithms,
    // Required, and none may be empty (RFC 8414 §2, §3.2): without an authorization endpoint nothing is responded.
    response_types_supported: ['none'],
    grant_types_supported: [stepUpGrantType],
    dpop_signing_alg_values_supported: [...dpopAlgorithms],
    introspection_endpoint: `${issuer}/oauth/introspect`,
    introspection_endpoint_auth_methods_supported: clientAuthentication,
    introspection_endpoint_auth_signing_alg_values_supported: algorithms,
    revocation_endpoint: `${issuer}/oauth/revoke`,
    revocation_endpoint_auth_methods_supported: clientAuthentication,
    revocation_endpoint_auth_signing_alg_values_supported: algorithms,
    service_documentation: `${issuer}/docs`,
  };
}
