import { z } from 'zod';
import { isFinalRequestState, type RequestState } from '../../domain/states.ts';
import { findStepUp } from '../../ledger/queries/stepUps.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import { Id, noParams, noQuery } from '../representations/fields.ts';
import { defineRoute, type Route } from '../route.ts';
import { requireNotFrozen, stepUpReply } from '../stepUps/reply.ts';

/** RFC 6749 §4.5: an extension grant. What a person or a policy granted by the step-up is handed out under its id. */
export const stepUpGrantType = 'urn:tenure:params:oauth:grant-type:step-up';

const TokenRequest = z.object({
  grant_type: z.string().meta({ description: `\`${stepUpGrantType}\`, the only one.` }),
  step_up: z.string().optional().meta({ description: 'The id of a step-up of yours (`POST /v1/step-ups`).' }),
});

/** RFC 6749 §5.1. */
const TokenResponse = z
  .object({
    access_token: z.string(),
    token_type: z.literal('DPoP'),
    expires_in: z.int(),
    scope: z.string(),
  })
  .meta({ id: 'TokenResponse' });

/** The token endpoint: the same token that `GET /v1/step-ups/{stepUpId}` shows, for clients that know OAuth 2.0 alone. */
export function oauthTokenRoute(deps: ApiDependencies): Route {
  return defineRoute({
    method: 'post',
    path: '/oauth/token',
    operationId: 'getToken',
    tag: 'Grants',
    summary: 'Get the token of a step-up that was granted',
    description:
      'RFC 6749 §4.5, asked again while it is pending as in RFC 8628 §3.4. There is no other grant type: an agent asks for access by a step-up, which says what for. The token is bound to the key of the DPoP proof that the step-up was asked with.',
    access: { kinds: ['agent'] },
    isOfAgents: true,
    form: true,
    params: noParams,
    query: noQuery,
    body: TokenRequest,
    bodyExample: { grant_type: stepUpGrantType, step_up: 'qsch47vxnzj47kmpqx6qtfacpi' },
    reply: {
      status: 200,
      description: 'The token.',
      schema: TokenResponse,
      example: {
        access_token: 'eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzY29wZSI6InNlYXJjaDpyZWFkIn0.c2lnbmF0dXJl',
        token_type: 'DPoP',
        expires_in: 600,
        scope: 'search:read',
      },
      headers: { 'Cache-Control': 'no-store' },
    },
    problems: [
      'unsupported-grant-type',
      'no-step-up',
      'authorization-pending',
      'step-up-denied',
      'frozen',
      'no-signer',
    ],
    async handle({ principal, body }) {
      if (body.grant_type !== stepUpGrantType)
        throw new Problem(
          'unsupported-grant-type',
          `Tenure gives tokens for step-ups only: POST /v1/step-ups, then send grant_type=${stepUpGrantType} and step_up=<its id>.`,
        );
      const { grant } = await decided(principal.identityId ?? '', body.step_up ?? '');
      return {
        body: {
          access_token: grant.accessToken,
          token_type: grant.tokenType,
          expires_in: grant.expiresIn,
          scope: grant.scope,
        },
      };
    },
  });

  async function decided(identityId: string, id: string) {
    const found = Id.safeParse(id).success ? await findStepUp(deps.ledger, { id, identityId }) : undefined;
    if (found === undefined)
      throw new Problem(
        'no-step-up',
        'step_up names no step-up of this agent. Send the id that POST /v1/step-ups gave.',
      );
    await requireNotFrozen(deps, { identityId, stepUpId: id });
    if (!isFinalRequestState(found.state as RequestState))
      throw new Problem('authorization-pending', `Step-up ${id} is ${found.state}. Ask again in a few seconds.`);
    const { grant, reason } = await stepUpReply(deps, found);
    if (grant === undefined)
      throw new Problem('step-up-denied', `Step-up ${id} gives no token: ${reason ?? found.state}. Ask for another.`);
    return { grant };
  }
}
