import type { AmendedSubject } from '../domain/flow/events.ts';
import { identityFactsOf } from '../domain/flow/facts.ts';
import type { AmendmentCheck } from '../domain/flow/judge.ts';
import { chooseFlow } from './chooseFlow.ts';
import { flowVersion } from './flows.ts';
import type { Gathered } from './gatherFacts.ts';
import { refuse } from './openRefusal.ts';
import type { Statements } from './statements.ts';

/**
 * What an opening with the amended content would be refused for, or that it would run under another flow: guards that
 * select a flow read what is amended, and the clock. Asked under the locks of `gatherFacts`.
 */
export async function checkAmendment(
  tx: Statements,
  { facts }: Pick<Gathered, 'facts'>,
  { ownerId: newOwner, ...amended }: AmendedSubject,
): Promise<AmendmentCheck> {
  const { request, parties } = facts;
  if (request.kind !== 'onboarding' || parties.ownerId === undefined) return { obstacle: undefined };
  const ownerId = newOwner ?? parties.ownerId;
  const asked = identityFactsOf(facts.guardFacts);
  const order = {
    kind: 'onboarding' as const,
    principal: request.requesterId,
    principalKind: asked.requester.kind,
    ...(request.onBehalfOf === '' ? {} : { onBehalfOf: request.onBehalfOf }),
    trigger: asked.request.trigger,
    justification: asked.request.justification,
  };
  const chosen = await chooseFlow(tx, order, [ownerId], (_asked, person, now) => {
    const owner = person(ownerId);
    if (!owner.active) return ownerNotValid(ownerId);
    return { ...asked, subject: { ...asked.subject, ...amended }, owner, now: now.toISOString() };
  });
  if ('opened' in chosen) return { obstacle: chosen };
  if (chosen.digest === request.flowDigest) return { obstacle: undefined };
  const { flow } = await flowVersion(tx, chosen.digest);
  return {
    obstacle: refuse(
      'flow-changed',
      `With this, flow ${flow.metadata.name} (sha256 ${chosen.digest}) would govern it, and request ${request.id} runs under ${request.flowDigest}. Cancel it and ask anew.`,
    ),
  };
}

/** Of an onboarding, asked for or amended. */
export function ownerNotValid(ownerId: string) {
  return refuse('owner-not-valid', `${ownerId} is not an active person of the directory. Name an owner who is.`);
}
