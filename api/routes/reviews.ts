import { z } from 'zod';
import type { OpenOrder } from '../../contracts/open.ts';
import { requireStanding } from '../auth/standing.ts';
import { visibleIdentity } from '../findVisible.ts';
import { keyedCall } from '../keyedCall.ts';
import { personNamed } from '../namedPeople.ts';
import { openedReply } from '../openedReply.ts';
import { openRequest, orderFor } from '../openRequest.ts';
import type { ApiDependencies } from '../ports.ts';
import { Id, noQuery, person, Reason, scopes } from '../representations/fields.ts';
import { RequestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';

const ReviewOrder = z
  .strictObject({
    freezeId: Id.optional().meta({ description: 'The freeze that the identity thaws from when the review passes.' }),
    scopes: scopes.min(1).optional().meta({ description: 'What is left of its scopes; more than it has is refused.' }),
    newOwner: person
      .optional()
      .meta({ description: 'Attests in the present owner’s place, and owns it from then on.' }),
    reissue: z
      .boolean()
      .default(false)
      .meta({ description: 'A rotation follows, so that the credential is replaced.' }),
    justification: Reason,
  })
  .meta({ id: 'ReviewOrder' });

type Proposal = NonNullable<OpenOrder['proposal']>;

export function reviewRoutes(deps: ApiDependencies): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/identities/{identityId}/reviews',
      operationId: 'reviewIdentity',
      tag: 'Life of an identity',
      summary: 'Have ownership and scope checked anew',
      description:
        'The owner attests and security approves the scope again, as its flow says. No freeze and no pause stops a review. For the owner, and the roles requester, responder, admin.',
      access: { kinds: ['person'] },
      params: z.strictObject({ identityId: Id }),
      query: noQuery,
      body: ReviewOrder,
      bodyExample: {
        freezeId: 'l3vzm6mftpgj5cy2o4xw7rq5na',
        scopes: ['read'],
        reissue: true,
        justification: 'After the incident, ticket 4711',
      },
      reply: {
        status: 202,
        description: 'The request, open. Long-poll it at Location.',
        schema: RequestBody,
        example: { ...requestExample, kind: 'review' },
        headers: { Location: 'The request.' },
      },
      problems: [
        'not-found',
        'request-running',
        'not-active',
        'revoking',
        'not-frozen',
        'registration-required',
        'owner-not-valid',
        'ambiguous-address',
        'no-flow',
        'ambiguous-flow',
      ],
      async handle({ principal, params, body, key }) {
        const identity = await visibleIdentity(deps, principal, params.identityId);
        requireStanding(principal, 'ask for a review of this identity', {
          roles: ['requester', 'responder', 'admin'],
          principals: [identity.ownerId],
        });
        const call = keyedCall('review', { principal, key, params, body });
        const requestId = await openRequest(deps, call, async () => {
          const { newOwner } = body;
          const proposal = proposalOf({
            ...body,
            ...(newOwner === undefined ? {} : { newOwner: await personNamed(deps, newOwner) }),
          });
          const order = orderFor(deps, call, principal, {
            kind: 'review',
            identityId: identity.id,
            trigger: reviewTrigger(proposal),
            justification: body.justification,
            proposal,
          });
          return deps.gateway.open(order);
        });
        return await openedReply(deps, principal, requestId);
      },
    }),
  ];
}

/** Absent members stay absent: approvers sign the proposal's canonical form. */
export function proposalOf({
  freezeId,
  scopes: left,
  newOwner,
  reissue = false,
}: {
  freezeId?: string | undefined;
  scopes?: readonly string[] | undefined;
  newOwner?: string | undefined;
  reissue?: boolean;
}): Proposal {
  return {
    ...(freezeId === undefined ? {} : { freezeId }),
    ...(left === undefined ? {} : { scopes: left }),
    ...(newOwner === undefined ? {} : { newOwner }),
    reissue,
  };
}

/** Why a person asks, in the words that flows know. */
export function reviewTrigger({ freezeId, newOwner }: Proposal): OpenOrder['trigger'] {
  if (freezeId !== undefined) return 'incident';
  return newOwner === undefined ? 'person' : 'owner-change';
}
