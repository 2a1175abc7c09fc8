import { z } from 'zod';
import type { SignedDecision, Verdict } from '../contracts/events.ts';
import { digestOfCaseFile } from '../domain/caseFile.ts';
import { signDecision } from '../domain/decisionSignature.ts';
import { idOfCall } from '../ledger/callIds.ts';
import { requestChain } from '../ledger/evidence.ts';
import type { KeyedCall } from '../ledger/idempotency.ts';
import { findVerdict, type RequestSituation } from '../ledger/queries/requests.ts';
import { recordRefusal, refusedKind } from '../ledger/refusals.ts';
import { requireMayGoOn } from '../ledger/restore.ts';
import type { Principal } from './auth/principal.ts';
import { maxAgeSeconds, type Standing } from './eligibility.ts';
import { visibleRequest, workflowOf } from './findVisible.ts';
import { bindKey, earlierCall } from './keyedCall.ts';
import { nudgeByOutbox } from './nudge.ts';
import type { ApiDependencies } from './ports.ts';
import { Problem, refusalProblem, unavailable } from './problem.ts';
import { text } from './representations/fields.ts';

/** What decisions and proofs have in common: asked, signed, sent to the workflow once, and answered from the ledger. */

/** The members of a body that bind it to what was seen. */
export const whatWasSeen = {
  revision: z.int().min(1).meta({ description: 'The `revision` that you saw.' }),
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits: the request's `digest`")
    .meta({ description: 'The `digest` that you saw.' }),
  comment: text(2000).optional(),
};

/** A decision but for what the API adds: ids, the approver, the clock, the signature. */
export type GivenDecision = Pick<SignedDecision, 'stage' | 'verdict' | 'revision' | 'digest' | 'comment'> &
  Pick<SignedDecision, 'authenticatedAt'>;

const VerdictShape = z.union([
  z.object({ accepted: z.literal(true) }),
  z.object({ accepted: z.literal(false), slug: z.string(), detail: z.string() }),
]);

/**
 * Carries out one decision or proof, once for its key.
 * @param standingOf asked before anything is signed; what is counted is judged again under the request's lock
 * @returns the request after it
 * @throws Problem with the refusal, which has left its evidence; `unavailable` when the outcome is unknown
 */
export async function decide(
  deps: ApiDependencies,
  call: KeyedCall,
  {
    principal,
    requestId,
    given,
    standingOf,
  }: {
    readonly principal: Principal;
    readonly requestId: string;
    given(request: RequestSituation): GivenDecision;
    standingOf(request: RequestSituation): Standing | Promise<Standing>;
  },
): Promise<RequestSituation> {
  const request = await visibleRequest(deps, principal, requestId);
  const decisionId = await idOfCall(deps.ledger, 'decision', call, requestId);
  const earlier = await earlierCall(deps, call);
  const known = earlier.kind === 'same' ? await recordedVerdict(deps, requestId, decisionId) : undefined;
  const decision = given(request);
  if (known === undefined) {
    const standing = contentSeen(request, decision, await standingOf(request));
    if (!standing.may) {
      await recordRefusal(deps.ledger, {
        chain: requestChain(requestId),
        kind: refusedKind(decision.verdict),
        actor: principal.id,
        requestId,
        // Null of a publication.
        ...(request.identityId === null ? {} : { identityId: request.identityId }),
        reason: standing.slug,
        data: { event: `decision:${decisionId}` },
      });
      throw refusalOf(request, standing);
    }
    await requireMayGoOn(deps.ledger, requestId);
    await bindKey(deps, call);
  } else await nudgeByOutbox(deps, requestId);
  const verdict = known ?? (await submit(deps, request, principal, { ...decision, id: decisionId }));
  if (!verdict.accepted) throw refusalOf(request, verdict);
  return visibleRequest(deps, principal, requestId);
}

/** Asked before it is signed, so that nobody floods a workflow with decisions about what is not there. */
function contentSeen(
  request: RequestSituation,
  { verdict, revision, digest }: GivenDecision,
  standing: Standing,
): Standing {
  if (!standing.may) return standing;
  if (revision === request.revision) {
    if (verdict === 'withdraw' || digest === digestOfCaseFile(request.caseFile.published)) return standing;
    const detail = 'The digest is not of what this request shows now. Read it again, then decide.';
    return { may: false, slug: 'digest-mismatch', detail };
  }
  const detail = `You saw revision ${revision}; request ${request.id} is now at ${request.revision}. Read it again, then decide.`;
  return { may: false, slug: 'revision-changed', detail };
}

/** A sign-in that is too old is challenged by RFC 9470 §3, so that clients know how to get a better one. */
function refusalOf({ stage }: RequestSituation, refusal: { readonly slug: string; readonly detail: string }): Problem {
  const { slug, detail } = refusal;
  if (slug !== 'insufficient-user-authentication') return refusalProblem(refusal);
  const seconds = maxAgeSeconds(stage);
  const maxAge = seconds === undefined ? '' : `, max_age="${seconds}"`;
  return new Problem(slug, detail, {
    headers: { 'WWW-Authenticate': `Bearer error="insufficient_user_authentication"${maxAge}` },
  });
}

async function submit(
  deps: ApiDependencies,
  request: RequestSituation,
  principal: Principal,
  decision: GivenDecision & { readonly id: string },
): Promise<Verdict> {
  const { keyId, privateKey } = deps.decisionSigning;
  const signed = signDecision(
    {
      ...decision,
      requestId: request.id,
      approverId: principal.id,
      decidedAt: deps.now().toISOString(),
      keyId,
    },
    { personKey: deps.ledger.evidence.personKey, privateKey },
  );
  try {
    return (await deps.gateway.decide(workflowOf(request), signed)).verdict;
  } catch (cause) {
    const recorded = await recordedVerdict(deps, request.id, decision.id);
    if (recorded === undefined) throw unavailable(cause);
    await nudgeByOutbox(deps, request.id);
    return recorded;
  }
}

async function recordedVerdict(
  { ledger }: ApiDependencies,
  requestId: string,
  decisionId: string,
): Promise<Verdict | undefined> {
  const recorded = await findVerdict(ledger.direct, { requestId, eventId: `decision:${decisionId}` });
  return recorded === undefined ? undefined : VerdictShape.parse(recorded);
}
