import { z } from 'zod';
import { agentPrincipal } from '../../domain/agents.ts';
import { listGrants, revokeGrants } from '../../ledger/grants.ts';
import { requireStanding } from '../auth/standing.ts';
import { pageBody, placeOf } from '../cursor.ts';
import { visibleIdentity } from '../findVisible.ts';
import { bindKey, keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { defaultPageLimit, Id, noQuery, pageQuery, Reason } from '../representations/fields.ts';
import { GrantBody, grantBody, grantExample } from '../representations/grant.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Grants';
const OneIdentity = z.strictObject({ identityId: Id });
const PageQuery = z.strictObject(pageQuery);
type PageQuery = z.output<typeof PageQuery>;
const page = {
  status: 200 as const,
  description: 'One page.',
  schema: z.object({ items: z.array(GrantBody), nextCursor: z.string().nullable() }),
  example: { items: [grantExample], nextCursor: null as string | null },
};

/** The grants of one agent, listed and revoked together. */
export function grantRoutes(deps: ApiDependencies): Route[] {
  const { ledger } = deps;

  async function pageOfGrants(identityId: string, { limit = defaultPageLimit, cursor }: PageQuery) {
    const after = cursor === undefined ? {} : { after: placeOf(cursor) };
    return pageBody(await listGrants(ledger.prisma, identityId, { limit, ...after }), grantBody);
  }

  return [
    defineRoute({
      method: 'get',
      path: '/v1/identities/{identityId}/grants',
      operationId: 'listGrants',
      tag,
      summary: 'List the grants of an agent',
      description: 'All that its step-ups gave, the newest first, each with how it stands now. Never a token.',
      access: { kinds: ['person', 'agent'] },
      params: OneIdentity,
      query: PageQuery,
      reply: page,
      problems: ['not-found'],
      async handle({ principal, params, query }) {
        const { id } = await visibleIdentity(deps, principal, params.identityId);
        return { body: await pageOfGrants(id, query) };
      },
    }),

    defineRoute({
      method: 'post',
      path: '/v1/identities/{identityId}/grants/revocation',
      operationId: 'revokeGrants',
      takesUnvouched: true,
      tag,
      summary: 'Revoke all grants of an agent',
      description:
        'Introspection calls them inactive from now on; who verifies tokens offline accepts them until they expire. The agent may still step up: freeze or revoke it to stop that. For its owner, responders, administrators, and the agent itself.',
      access: { kinds: ['person', 'agent'] },
      params: OneIdentity,
      query: noQuery,
      body: z.strictObject({ reason: Reason }),
      bodyExample: { reason: 'The run was injected, ticket 4711' },
      reply: { ...page, description: 'Its grants after it, the newest first.' },
      problems: ['not-found'],
      async handle({ principal, params, body, key }) {
        const { id: identityId, ownerId } = await visibleIdentity(deps, principal, params.identityId);
        requireStanding(principal, "revoke this agent's grants", {
          roles: ['responder', 'admin'],
          principals: [ownerId, agentPrincipal(identityId)],
        });
        await bindKey(deps, keyedCall('grants-revocation', { principal, key, params, body }));
        await revokeGrants(ledger, { identityId, by: principal.id, reason: body.reason });
        return { body: await pageOfGrants(identityId, {}) };
      },
    }),
  ];
}
