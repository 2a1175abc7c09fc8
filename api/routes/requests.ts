import { z } from 'zod';
import { requestKinds } from '../../domain/flow/language.ts';
import { requestStates } from '../../domain/states.ts';
import { findPublication } from '../../ledger/publications.ts';
import { listRequests, type RequestSituation, scanRequests } from '../../ledger/queries/requests.ts';
import type { Principal } from '../auth/principal.ts';
import { pageBody, placeOf } from '../cursor.ts';
import { eligibilityOf, proofOf } from '../eligibility.ts';
import { visibleRequest } from '../findVisible.ts';
import type { ApiDependencies, RouteDependencies } from '../ports.ts';
import { notFound } from '../problem.ts';
import {
  defaultPageLimit,
  Id,
  longestWaitSeconds,
  noParams,
  pageQuery,
  wholeNumber,
} from '../representations/fields.ts';
import { PublicationReportBody } from '../representations/publication.ts';
import { RequestBody, requestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Requests';

export function requestRoutes(deps: RouteDependencies): Route[] {
  const { ledger, longPolls } = deps;
  return [
    defineRoute({
      method: 'get',
      path: '/v1/requests',
      operationId: 'listRequests',
      tag,
      summary: 'List requests',
      description:
        'Newest first. `awaiting=me` keeps those that you may decide or prove now; such a page can be short and still have a next one. A pipeline sees those it asked for, an agent those about it.',
      access: { kinds: ['person', 'pipeline', 'agent'] },
      params: noParams,
      query: z.strictObject({
        ...pageQuery,
        state: z.enum(requestStates).optional(),
        kind: z.enum(requestKinds).optional(),
        identityId: Id.optional(),
        awaiting: z.literal('me').optional(),
      }),
      reply: {
        status: 200,
        description: 'One page.',
        schema: z.object({ items: z.array(RequestBody), nextCursor: z.string().nullable() }),
        example: { items: [requestExample], nextCursor: null },
      },
      problems: [],
      async handle({ principal, query }) {
        const { limit = defaultPageLimit, cursor, awaiting, state, kind, identityId } = query;
        const about = principal.identityId ?? identityId;
        if (identityId !== undefined && identityId !== about) throw notFound('identity', identityId);
        const filter = {
          ...(state === undefined ? {} : { state }),
          ...(kind === undefined ? {} : { kind }),
          ...(about === undefined ? {} : { identityId: about }),
          ...(principal.kind === 'pipeline' ? { requesterId: principal.id } : {}),
          ...(awaiting === undefined ? {} : { isOpen: true as const }),
        };
        const asked = { limit, ...(cursor === undefined ? {} : { after: placeOf(cursor) }) };
        const page =
          awaiting === undefined
            ? await listRequests(ledger, filter, asked)
            : await scanRequests(ledger, filter, asked, (request) => awaits(request, principal));
        return { body: pageBody(page, (request) => requestBody(request, principal)) };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/requests/{requestId}',
      operationId: 'getRequest',
      tag,
      summary: 'Read a request, or wait until it changes',
      description:
        'With `waitSeconds` the answer comes when the request has moved past `afterSequence` (or past where it stood when you asked), at the latest after that time. `forMe` says whether you may decide or prove, and if not why; `digest` is what a decision or proof must name.',
      access: { kinds: ['person', 'pipeline', 'agent'] },
      isLongPoll: true,
      params: z.strictObject({ requestId: Id }),
      query: z.strictObject({
        waitSeconds: wholeNumber(0, longestWaitSeconds)
          .optional()
          .meta({ description: `How long to wait for a change, at most ${longestWaitSeconds} s.` }),
        afterSequence: wholeNumber(0, 2_147_483_647)
          .optional()
          .meta({ description: 'The `sequence` that you have seen.' }),
      }),
      reply: { status: 200, description: 'The request as it stands.', schema: RequestBody, example: requestExample },
      problems: ['not-found'],
      async handle({ principal, params: { requestId }, query: { waitSeconds = 0, afterSequence }, clientGone }) {
        const signal = clientGone();
        const found = await visibleRequest(deps, principal, requestId);
        const after = afterSequence ?? found.sequence;
        if (waitSeconds === 0 || found.sequence > after || found.finishedAt !== null)
          return { body: await wholeRequest(deps, found, principal) };
        await longPolls.waitForChange(requestId, { after, seconds: waitSeconds, signal });
        return { body: await wholeRequest(deps, await visibleRequest(deps, principal, requestId), principal) };
      },
    }),
  ];
}

/** Of a publication with its report and its documents, which lists leave out for their size. */
async function wholeRequest(
  { ledger }: ApiDependencies,
  request: RequestSituation,
  principal: Principal,
): Promise<RequestBody> {
  const body = requestBody(request, principal);
  if (request.publicationDigest === null) return body;
  const publication = await findPublication(ledger.prisma, request.publicationDigest);
  return {
    ...body,
    report: PublicationReportBody.parse(publication?.report),
    documents: (publication?.documents ?? []).map(({ name, digest, source }) => ({ name, digest, source })),
  };
}

function awaits(request: RequestSituation, principal: Principal): boolean {
  // Whoever is asked to prove is told, also while their sign-in is too old for it.
  return eligibilityOf(request, principal).may || proofOf(request, principal).may;
}
