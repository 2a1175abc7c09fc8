import { z } from 'zod';
import type { RequestSituation } from '../../ledger/queries/requests.ts';
import type { Principal } from '../auth/principal.ts';
import { decide, whatWasSeen } from '../deciding.ts';
import { eligibilityOf, proofOf, type Standing } from '../eligibility.ts';
import { keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { Id, noQuery } from '../representations/fields.ts';
import { RequestBody, requestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';

const DecisionBody = z
  .strictObject({
    verdict: z
      .enum(['approve', 'deny', 'withdraw'])
      .meta({ description: '`withdraw` takes your own decision or proof back while the stage is open.' }),
    ...whatWasSeen,
  })
  .meta({ id: 'Decision' });
type DecisionBody = z.output<typeof DecisionBody>;

export function decisionRoutes(deps: ApiDependencies): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/requests/{requestId}/decisions',
      operationId: 'decide',
      tag: 'Requests',
      summary: 'Approve, deny, or withdraw your decision',
      description:
        'Bound to the revision and digest that you saw: if either has changed, the decision is refused and nothing counts. Tenure signs it with a key that is outside the database.',
      access: { kinds: ['person'] },
      params: z.strictObject({ requestId: Id }),
      query: noQuery,
      body: DecisionBody,
      bodyExample: {
        verdict: 'approve',
        revision: 1,
        digest: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        comment: 'Scope matches the ticket',
      },
      reply: {
        status: 200,
        description: 'Recorded: the request after it.',
        schema: RequestBody,
        example: requestExample,
      },
      problems: [
        'not-found',
        'self-approval',
        'not-eligible',
        'already-decided',
        'nothing-to-withdraw',
        'not-awaiting-approval',
        'not-awaiting-proof',
        'request-closed',
        'revision-changed',
        'digest-mismatch',
        'bad-signature',
      ],
      async handle({ principal, params, body, key }) {
        const { requestId } = params;
        const decided = await decide(deps, keyedCall('decision', { principal, key, params, body }), {
          principal,
          requestId,
          given: ({ stage }) => ({ ...body, comment: body.comment ?? '', stage: stage?.id ?? '' }),
          standingOf: (request) => standingOf(request, principal, body),
        });
        return { body: requestBody(decided, principal) };
      },
    }),
  ];
}

function standingOf(request: RequestSituation, principal: Principal, { verdict }: DecisionBody): Standing {
  if (verdict !== 'withdraw') return eligibilityOf(request, principal);
  const isAtProof = request.stage !== undefined && 'stepUp' in request.stage;
  const standing = isAtProof ? proofOf(request, principal) : eligibilityOf(request, principal);
  // What was decided is what can be withdrawn.
  return !standing.may && standing.slug === 'already-decided' ? { may: true } : standing;
}
