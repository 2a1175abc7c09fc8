import { z } from 'zod';
import { idOfCall } from '../../ledger/callIds.ts';
import { orderFreezeReviews } from '../../ledger/freezeReviews.ts';
import { findFreezeReviews } from '../../ledger/queries/freezeReviews.ts';
import { bindKey, keyedCall } from '../keyedCall.ts';
import { personNamed } from '../namedPeople.ts';
import type { ApiDependencies } from '../ports.ts';
import { notFound, refusalProblem } from '../problem.ts';
import { Id, noQuery, person, Reason } from '../representations/fields.ts';
import { FreezeReviewsBody, freezeReviewsBody, freezeReviewsExample } from '../representations/freezeReviews.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Freezes';
const path = '/v1/freezes/{freezeId}/reviews';
const OneFreeze = z.strictObject({ freezeId: Id });

/** Reviews of whatever a freeze holds. The order is a row alone, Temporal up or down. */
export function freezeReviewRoutes(deps: ApiDependencies): Route[] {
  const { prisma } = deps.ledger;

  async function standing(freezeId: string): Promise<z.input<typeof FreezeReviewsBody>> {
    const reviews = await findFreezeReviews(prisma, freezeId);
    if (reviews === undefined) throw notFound('order of reviews for freeze', freezeId);
    return freezeReviewsBody(reviews);
  }

  return [
    defineRoute({
      method: 'post',
      path,
      operationId: 'reviewFreezeSubjects',
      tag,
      summary: "Ask for the review of each of the freeze's subjects",
      description:
        'The lifecycle opens them one after another, for whoever ordered them; each subject thaws as its own review passes. Asked for again, whoever has not been let go is asked again, and whoever matches since.',
      access: { kinds: ['person'], roles: ['responder'] },
      params: OneFreeze,
      query: noQuery,
      body: z
        .strictObject({
          newOwner: person
            .optional()
            .meta({ description: 'Attests in the present owners’ place, and owns them then.' }),
          reissue: z
            .boolean()
            .default(false)
            .meta({ description: 'A rotation follows each, so that the credentials are replaced.' }),
          reason: Reason,
        })
        .meta({ id: 'FreezeReviewsOrder' }),
      bodyExample: { reissue: true, reason: 'Host rebuilt, ticket 4711' },
      reply: {
        status: 202,
        description: 'Ordered. Follow it at Location.',
        schema: FreezeReviewsBody,
        example: freezeReviewsExample,
        headers: { Location: 'How the reviews stand.' },
      },
      problems: ['not-found', 'freeze-lifted', 'mass-revocation-running', 'owner-not-valid', 'ambiguous-address'],
      async handle({ principal, params, body, key }) {
        const call = keyedCall('freeze-reviews', { principal, key, params, body });
        await bindKey(deps, call);
        const { freezeId } = params;
        const { newOwner, reissue, reason } = body;
        const result = await orderFreezeReviews(deps.ledger, {
          id: await idOfCall(deps.ledger, 'freeze-reviews', call),
          freezeId,
          by: principal.id,
          reason,
          proposal: { ...(newOwner === undefined ? {} : { newOwner: await personNamed(deps, newOwner) }), reissue },
        });
        if (!result.ordered) throw refusalProblem(result);
        return { body: await standing(freezeId), headers: { Location: `/v1/freezes/${freezeId}/reviews` } };
      },
    }),

    defineRoute({
      method: 'get',
      path,
      operationId: 'getFreezeReviews',
      tag,
      summary: 'How the reviews that were ordered for a freeze stand',
      description: 'Counted live, of the newest order.',
      access: { kinds: ['person'] },
      params: OneFreeze,
      query: noQuery,
      reply: { status: 200, description: 'As of now.', schema: FreezeReviewsBody, example: freezeReviewsExample },
      problems: ['not-found'],
      handle: async ({ params }) => ({ body: await standing(params.freezeId) }),
    }),
  ];
}
