import { z } from 'zod';
import type { Verdict } from '../../contracts/events.ts';
import { signDecision } from '../../domain/decisions.ts';
import { idFromKey } from '../../domain/ids.ts';
import { findVerdict, type RequestSituation } from '../../ledger/queries/requests.ts';
import { recordRefusedDecision } from '../../ledger/refusedDecision.ts';
import { requireMayGoOn } from '../../ledger/restore.ts';
import type { Principal } from '../auth/principal.ts';
import { eligibilityOf } from '../eligibility.ts';
import { visibleRequest, workflowOf } from '../findVisible.ts';
import { bindKey, earlierCall, keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem, refusalProblem, unavailable } from '../problem.ts';
import { Id, noQuery, text } from '../representations/fields.ts';
import { RequestBody, requestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';

const DecisionBody = z
  .strictObject({
    verdict: z
      .enum(['approve', 'deny', 'withdraw'])
      .meta({ description: '`withdraw` takes your own decision back while the stage is open.' }),
    revision: z.int().min(1).meta({ description: 'The `revision` that you saw.' }),
    digest: z
      .string()
      .regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits: the request's `digest`")
      .meta({ description: 'The `digest` that you saw.' }),
    comment: text(2000).optional(),
  })
  .meta({ id: 'Decision' });
type DecisionBody = z.output<typeof DecisionBody>;

const VerdictShape = z.union([
  z.object({ accepted: z.literal(true) }),
  z.object({ accepted: z.literal(false), slug: z.string(), detail: z.string() }),
]);

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
        'request-closed',
        'revision-changed',
        'digest-mismatch',
        'bad-signature',
      ],
      async handle({ principal, params, body, key }) {
        const call = keyedCall('decision', { principal, key, params, body });
        const { requestId } = params;
        const decisionId = idFromKey('decision', call);
        const request = await visibleRequest(deps, principal, requestId);
        const earlier = await earlierCall(deps, call);
        const known = earlier.kind === 'same' ? await recordedVerdict(deps, requestId, decisionId) : undefined;
        if (known === undefined) {
          const refusal = refusalOf(request, principal, body);
          if (refusal !== undefined) {
            const { identityId } = request;
            const reason = refusal.slug;
            const who = { requestId, identityId, approverId: principal.id, decisionId };
            await recordRefusedDecision(deps.ledger, { ...who, reason, at: deps.now() });
            throw refusal;
          }
          await requireMayGoOn(deps.ledger, requestId);
          await bindKey(deps, call);
        }
        const verdict = known ?? (await submit(deps, request, principal, { ...body, id: decisionId }));
        if (!verdict.accepted) throw refusalProblem(verdict);
        return { body: requestBody(await visibleRequest(deps, principal, requestId), principal) };
      },
    }),
  ];
}

/** Asked before signing. What is counted is judged again under the request's lock. */
function refusalOf(
  request: RequestSituation,
  principal: Principal,
  { verdict, revision }: DecisionBody,
): Problem | undefined {
  const standing = eligibilityOf(request, principal);
  const isWithdrawal = verdict === 'withdraw' && !standing.may && standing.slug === 'already-decided';
  if (!standing.may && !isWithdrawal) return new Problem(standing.slug, standing.detail);
  if (revision !== request.revision)
    return new Problem(
      'revision-changed',
      `You decided on revision ${revision}; request ${request.id} is now at ${request.revision}. Read it again, then decide.`,
    );
  return undefined;
}

async function submit(
  deps: ApiDependencies,
  request: RequestSituation,
  principal: Principal,
  decision: DecisionBody & { id: string },
): Promise<Verdict> {
  const { keyId, privateKey } = deps.decisionSigning;
  const signed = signDecision(
    {
      id: decision.id,
      requestId: request.id,
      stage: request.stage?.id ?? '',
      revision: decision.revision,
      approverId: principal.id,
      verdict: decision.verdict,
      digest: decision.digest,
      comment: decision.comment ?? '',
      decidedAt: deps.now().toISOString(),
      keyId,
    },
    privateKey,
  );
  try {
    return (await deps.gateway.decide(workflowOf(request), signed)).verdict;
  } catch (cause) {
    const recorded = await recordedVerdict(deps, request.id, decision.id);
    if (recorded !== undefined) return recorded;
    throw unavailable(cause);
  }
}

async function recordedVerdict(
  { ledger }: ApiDependencies,
  requestId: string,
  decisionId: string,
): Promise<Verdict | undefined> {
  const recorded = await findVerdict(ledger.prisma, { requestId, eventId: `decision:${decisionId}` });
  return recorded === undefined ? undefined : VerdictShape.parse(recorded);
}
