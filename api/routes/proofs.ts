import { z } from 'zod';
import { decide, whatWasSeen } from '../deciding.ts';
import { proofBySignIn } from '../eligibility.ts';
import { keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { Id, noQuery, text } from '../representations/fields.ts';
import { RequestBody, requestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';

const ProofBody = z
  .strictObject({ stage: text(63).meta({ description: 'The `stage` that you saw.' }), ...whatWasSeen })
  .meta({ id: 'Proof' });

export function proofRoutes(deps: ApiDependencies): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/requests/{requestId}/proofs',
      operationId: 'prove',
      tag: 'Requests',
      summary: 'Prove afresh that it is you, and that you want exactly this',
      description:
        "For the person whom the request's `stepUp` stage asks. Your token says when you signed in (`auth_time`); an older sign-in than the flow takes is challenged by RFC 9470, with the `max_age` to sign in again by. Bound, signed and withdrawn as decisions are.",
      access: { kinds: ['person'] },
      params: z.strictObject({ requestId: Id }),
      query: noQuery,
      body: ProofBody,
      bodyExample: {
        stage: 'confirm',
        revision: 1,
        digest: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        comment: 'My own agent, for the quarter end',
      },
      reply: {
        status: 200,
        description: 'Recorded: the request after it.',
        schema: RequestBody,
        example: requestExample,
      },
      problems: [
        'insufficient-user-authentication',
        'not-found',
        'not-eligible',
        'already-decided',
        'not-awaiting-proof',
        'request-closed',
        'revision-changed',
        'digest-mismatch',
        'bad-signature',
      ],
      async handle({ principal, params, body, key }) {
        const { requestId } = params;
        const { authenticatedAt } = principal;
        const proven = await decide(deps, keyedCall('proof', { principal, key, params, body }), {
          principal,
          requestId,
          given: () => ({
            ...body,
            comment: body.comment ?? '',
            verdict: 'confirm',
            ...(authenticatedAt === undefined ? {} : { authenticatedAt }),
          }),
          standingOf: (request) => proofBySignIn(request, principal, { stage: body.stage, now: deps.now() }),
        });
        return { body: requestBody(proven, principal) };
      },
    }),
  ];
}
