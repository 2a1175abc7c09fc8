import { z } from 'zod';
import { agentPrincipal } from '../../domain/agents.ts';
import { grantClaims } from '../../domain/grantClaims.ts';
import { revokeGrants } from '../../ledger/grants.ts';
import type { SignedGrant } from '../../ledger/signedGrants.ts';
import { mayIntrospect } from '../auth/pipelines.ts';
import type { Principal } from '../auth/principal.ts';
import { grantTokens } from '../grants/grantTokens.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import { Id, noParams, noQuery } from '../representations/fields.ts';
import { defineRoute, type Route } from '../route.ts';
import { oauthTokenRoute } from './oauthToken.ts';

const tag = 'Grants';

/** RFC 7523 §2.2; `presentedToken` has read them when a route is asked. */
const clientAuthentication = {
  client_assertion: z
    .string()
    .optional()
    .meta({ description: 'The bearer token, where no header Authorization is sent.' }),
  client_assertion_type: z.string().optional(),
  client_id: z.string().optional(),
};

/** RFC 7662 §2.1, RFC 7009 §2.1; what else a client sends is ignored (RFC 6749 §3.2). */
const Token = z.object({
  token: z.string(),
  ...clientAuthentication,
  token_type_hint: z.string().optional().meta({ description: 'Not needed: there is one kind of token.' }),
});
const tokenExample = { token: '(the access token)' };

const Introspection = z
  .discriminatedUnion('active', [
    z.object({
      active: z.literal(true),
      token_type: z.literal('DPoP'),
      iss: z.string(),
      aud: z.string(),
      sub: z.string(),
      client_id: z.string(),
      iat: z.int(),
      exp: z.int(),
      jti: Id,
      scope: z.string(),
      cnf: z.object({ jkt: z.string() }),
      act: z.object({ sub: z.string() }).optional(),
      acr: z.string().optional(),
      auth_time: z.int().optional(),
      asserted_sub: z.string().optional(),
      tenure_resource: z.string(),
      tenure_workspace: z.string(),
    }),
    z.object({ active: z.literal(false) }),
  ])
  .meta({ id: 'Introspection' });

const inactive = { active: false } as const;

/** Introspection and revocation of grants' tokens, as OAuth 2.0 clients know them. */
export function oauthRoutes(deps: ApiDependencies): Route[] {
  const {
    ledger,
    configuration: { publicUrl },
  } = deps;
  const tokens = grantTokens(deps);
  return [
    oauthTokenRoute(deps),

    defineRoute({
      method: 'post',
      path: '/oauth/introspect',
      operationId: 'introspectToken',
      tag,
      summary: 'Ask whether a token may be used now',
      description:
        'RFC 7662. For pipelines with `introspect` in tenure.yaml, about tokens of the tools that it names; every other token is inactive. The ledger is asked each time: a revocation, a freeze, a narrowed scope, and an owner or person who left count from their commit on. Do not cache a yes.',
      access: { kinds: ['pipeline'] },
      form: true,
      isFrequent: true,
      params: noParams,
      query: noQuery,
      body: Token,
      bodyExample: tokenExample,
      reply: {
        status: 200,
        description: 'What the token says, while it may be used; `{"active": false}` and nothing else otherwise.',
        schema: Introspection,
        example: {
          active: true,
          token_type: 'DPoP',
          iss: 'https://tenure.example.com',
          aud: 'https://search.example.com',
          sub: 'ana@example.com',
          client_id: 'agent:b5mzfaqsxcjgvhsx3bqvyyqzda',
          iat: 1_795_341_600,
          exp: 1_795_342_200,
          jti: 'w5f2rrq3cjm2nyo4bf7x5w2yzi',
          scope: 'search:read',
          cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' },
          act: { sub: 'agent:b5mzfaqsxcjgvhsx3bqvyyqzda' },
          acr: 'urn:tenure:acr:person',
          auth_time: 1_795_341_000,
          tenure_resource: 'orders/4711',
          tenure_workspace: 'payments',
        },
        headers: { 'Cache-Control': 'no-store' },
      },
      problems: [],
      async handle({ principal, body }) {
        const grant = await tokens.trusted(body.token);
        if (grant?.standing !== 'active' || !mayIntrospect(principal.may ?? [], grant.tool)) return { body: inactive };
        return { body: { active: true as const, token_type: 'DPoP' as const, ...grantClaims(grant, publicUrl) } };
      },
    }),

    defineRoute({
      method: 'post',
      path: '/oauth/revoke',
      operationId: 'revokeToken',
      tag,
      summary: 'Give a token back',
      description:
        'RFC 7009. By the agent that it was given to, or by a pipeline that may introspect it. What is no token of ours, or was revoked or expired before, is answered alike. It counts while the signer is frozen or revoked too, though introspection calls the token inactive then anyway.',
      access: { kinds: ['agent', 'pipeline'] },
      form: true,
      params: noParams,
      query: noQuery,
      body: Token,
      bodyExample: tokenExample,
      reply: { status: 200, description: 'It cannot be used any more.', schema: z.object({}), example: {} },
      problems: [],
      async handle({ principal, body }) {
        const grant = await tokens.genuine(body.token);
        if (grant === undefined) return { body: {} };
        requireMayRevoke(principal, grant);
        const { id: grantId, identityId } = grant;
        const reason = principal.kind === 'agent' ? 'the agent gave it back' : 'its resource server revoked it';
        await revokeGrants(ledger, { identityId, grantId, by: principal.id, reason });
        return { body: {} };
      },
    }),
  ];
}

/** RFC 7009 §2.1: who presents the token of another is refused, and told so; the token lives on. */
function requireMayRevoke(principal: Principal, { identityId, tool }: SignedGrant): void {
  if (principal.id === agentPrincipal(identityId) || mayIntrospect(principal.may ?? [], tool)) return;
  throw new Problem(
    'forbidden',
    `${principal.id} may not revoke this token: it was given to another agent, or for a tool that "may" in tenure.yaml does not name.`,
  );
}
