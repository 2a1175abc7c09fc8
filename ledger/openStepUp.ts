import { agentPrincipal } from '../domain/agents.ts';
import { durationMs } from '../domain/flow/duration.ts';
import type { OpenResult, StepUpOrder } from '../domain/flow/open.ts';
import { grantCeiling } from '../domain/stepUp.ts';
import type { Identity } from '../prisma/generated/client.ts';
import { chooseFlow } from './chooseFlow.ts';
import type { Ledger } from './client.ts';
import { flowVersion } from './flows.ts';
import { freezeIdsOn } from './freezeSubjects.ts';
import { guardFactsOf } from './gatherFacts.ts';
import { createRequest } from './newRequest.ts';
import { refuse } from './openRefusal.ts';
import type { Statements } from './statements.ts';
import { agentPolicyOf } from './stepUpAsk.ts';

/**
 * Effect: the request of an agent for access, and its first step, within the caller's transaction, which holds the freeze
 * lock. Of one agent many go on beside each other. A frozen agent's is refused, and nothing is written.
 */
export async function openStepUp(tx: Statements, ledger: Ledger, order: StepUpOrder): Promise<OpenResult> {
  const [identity] = await tx.$queryRaw<Identity[]>`
    SELECT * FROM "identity" WHERE "id" = ${order.identityId} FOR UPDATE`;
  // An order comes through Temporal: whoever asks is the agent itself, or nobody.
  if (identity?.kind !== 'agent' || order.principal !== agentPrincipal(identity.id))
    return refuse('not-found', `${order.principal} is not the agent ${order.identityId}.`);
  if (identity.state !== 'active')
    return refuse('not-active', `Agent ${identity.id} is ${identity.state}; it is granted nothing. Ask its owner.`);
  if ((await freezeIdsOn(tx, identity.id)).length > 0) return refuse('frozen', frozenAgent(identity.id));
  const flow = await chooseFlow(tx, order, [identity.ownerId], (asked, person, now) =>
    guardFactsOf(identity, { ...asked, stepUp: order.stepUp }, person, now),
  );
  if ('opened' in flow) return flow;
  const { flow: governing } = await flowVersion(tx, flow.digest);
  const ceiling = grantCeiling(governing.limits, agentPolicyOf(identity)?.grantTtl);
  const { ttl } = order.stepUp;
  if (ttl !== undefined && durationMs(ttl) > durationMs(ceiling))
    return refuse('ttl-above-ceiling', `A grant to ${identity.id} lives at most ${ceiling}. Ask for that, or less.`);
  return createRequest(tx, ledger, order, flow, false);
}

/** What a frozen agent is told, whatever it asks for. */
export function frozenAgent(identityId: string): string {
  return `Agent ${identityId} is frozen: it is granted nothing. Ask its owner; a review or a responder ends a freeze.`;
}
