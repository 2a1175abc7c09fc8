import { z } from 'zod';
import type { ApiDependencies } from '../ports.ts';
import { noParams, noQuery } from '../representations/fields.ts';
import { defineRoute, type Route } from '../route.ts';
import { shared } from '../shared.ts';

/** A verifier that meets an unknown key asks again; short, so that a key that was revoked is soon trusted no more. */
const cacheControl = 'public, max-age=15';

const KeySet = z
  .object({
    keys: z.array(
      z.object({
        kty: z.literal('EC'),
        crv: z.literal('P-256'),
        x: z.string(),
        y: z.string(),
        kid: z.string().meta({ description: 'RFC 7638 thumbprint.' }),
        alg: z.literal('ES256'),
        use: z.literal('sig'),
      }),
    ),
  })
  .meta({ id: 'KeySet' });

const Metadata = z
  .object({
    issuer: z.string(),
    jwks_uri: z.string(),
    response_types_supported: z.array(z.string()),
    grant_types_supported: z.array(z.string()),
    introspection_endpoint: z.string(),
    introspection_endpoint_auth_methods_supported: z.array(z.string()),
    revocation_endpoint: z.string(),
    revocation_endpoint_auth_methods_supported: z.array(z.string()),
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
        'RFC 8414. There is no token endpoint: an agent asks for a grant by a step-up. Resource servers and agents authenticate as everywhere here, by a bearer token.',
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

function metadataOf(issuer: string): z.input<typeof Metadata> {
  return {
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    response_types_supported: [],
    grant_types_supported: [],
    introspection_endpoint: `${issuer}/oauth/introspect`,
    introspection_endpoint_auth_methods_supported: ['Bearer'],
    revocation_endpoint: `${issuer}/oauth/revoke`,
    revocation_endpoint_auth_methods_supported: ['Bearer'],
    service_documentation: `${issuer}/docs`,
  };
}
