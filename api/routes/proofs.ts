import { z } from 'zod';
import type { RequestSituation } from '../../ledger/queries/requests.ts';
import { agentProofs, type ProofVerifier } from '../auth/agentProof.ts';
import type { Principal } from '../auth/principal.ts';
import { decide, whatWasSeen } from '../deciding.ts';
import { proofBySignIn, type Standing } from '../eligibility.ts';
import { keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { invalidRequest } from '../problem.ts';
import { Id, noQuery, text } from '../representations/fields.ts';
import { RequestBody, requestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';

const ProofBody = z
  .strictObject({
    stage: text(63)
      .optional()
      .meta({ description: 'The `stage` that you saw. Of people; an agent signs what is shown.' }),
    ...whatWasSeen,
    proof: z.string().min(1).max(8_192).optional().meta({
      description:
        "Of agents: a JWT of typ `tenure-proof+jwt`, signed with the agent's registered key, with `iss` the agent, `aud` the publicUrl, `nonce` the digest, `iat` and a `jti` of its own.",
    }),
  })
  .meta({ id: 'Proof' });

export function proofRoutes(deps: ApiDependencies): Route[] {
  const verify = agentProofs(deps);
  return [
    defineRoute({
      method: 'post',
      path: '/v1/requests/{requestId}/proofs',
      operationId: 'prove',
      tag: 'Requests',
      summary: 'Prove afresh that it is you, and that you want exactly this',
      description:
        "For whom the request's `stepUp` stage asks. A person's token says when they signed in (`auth_time`); an older sign-in than the flow takes is challenged by RFC 9470, with the `max_age` to sign in again by. An agent proves with its key (`proof`). Bound, signed and withdrawn as decisions are.",
      access: { kinds: ['person', 'agent'] },
      isOfAgents: true,
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
        'agent-proof-refused',
      ],
      async handle({ principal, params, body, key }) {
        const { requestId } = params;
        const { proof, stage, ...seen } = body;
        // Whoever asks again signs again: the repeat is told by what was proven, not by its signature.
        const call = keyedCall('proof', { principal, key, params, body: { stage, ...seen } });
        const way = await wayOf(deps, verify, principal, { stage, proof, digest: seen.digest });
        const proven = await decide(deps, call, {
          principal,
          requestId,
          given: (request) => ({
            ...seen,
            stage: stage ?? request.stage?.id ?? '',
            comment: seen.comment ?? '',
            verdict: 'confirm',
            ...(way.authenticatedAt === undefined ? {} : { authenticatedAt: way.authenticatedAt }),
          }),
          standingOf: way.standingOf,
        });
        return { body: requestBody(proven, principal) };
      },
    }),
  ];
}

/** How this principal proves it: when they did, and whether that counts. */
interface Way {
  readonly authenticatedAt: string | undefined;
  standingOf(request: RequestSituation): Standing | Promise<Standing>;
}

interface Shown {
  readonly stage: string | undefined;
  readonly proof: string | undefined;
  readonly digest: string;
}

async function wayOf(
  deps: Pick<ApiDependencies, 'now'>,
  verify: ProofVerifier,
  principal: Principal,
  { stage, proof, digest }: Shown,
): Promise<Way> {
  const { identityId } = principal;
  if (identityId === undefined) {
    if (stage === undefined || proof !== undefined)
      throw invalidRequest([{ field: 'body', message: 'a person names the stage, and sends no proof' }]);
    const { authenticatedAt } = principal;
    const standingOf = (request: RequestSituation) => proofBySignIn(request, principal, { stage, now: deps.now() });
    return { authenticatedAt, standingOf };
  }
  if (proof === undefined)
    throw invalidRequest([{ field: 'body.proof', message: 'is missing: an agent proves with its key' }]);
  const verified = await verify({ agent: principal.id, identityId, digest, proof });
  const refused = (why: string): Standing => ({
    may: false,
    slug: 'agent-proof-refused',
    detail: `The proof of ${principal.id} is not accepted. ${why} Sign a new one.`,
  });
  if ('refused' in verified) return { authenticatedAt: undefined, standingOf: () => refused(verified.refused) };
  const authenticatedAt = verified.signedAt;
  return {
    authenticatedAt,
    async standingOf(request) {
      const asked = { now: deps.now(), ...(stage === undefined ? {} : { stage }) };
      const standing = proofBySignIn(request, { ...principal, authenticatedAt }, asked);
      // Last: what is refused for another reason uses nothing up.
      return !standing.may || (await verified.use()) ? standing : refused('It was used before.');
    },
  };
}
