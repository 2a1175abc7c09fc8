import { grantCeiling } from '../stepUp.ts';
import { type Draft, instant } from './draft.ts';
import { durationMs } from './duration.ts';
import { identityFactsOf, type StepUpRequestFacts } from './facts.ts';
import { noteRefusal } from './freezeStops.ts';
import { recheck } from './stages.ts';

/** Grants: access for a short while, given in the transaction that decides it. */

/**
 * The `grant` effect: every check again, then the grant in this transaction, under the freeze lock. Returns true when the
 * stage is passed; on false it is held, or the request was denied or sent back by a check. Whatever the flow's stages ask:
 * nothing is granted outside the agent's approved policy.
 */
export function settleGrant(draft: Draft): boolean {
  if (draft.facts.holds.length > 0) {
    noteRefusal(draft, 'begin');
    return false;
  }
  if (!recheck(draft)) return false;
  const { request } = draft.facts;
  const { subject, policy } = stepUpFactsOf(draft);
  if (!policy.coversWorkspace) {
    draft.finish('denied', 'outside-policy');
    return false;
  }
  const { stepUp } = request;
  if (stepUp === undefined) throw new TypeError(`Step-up ${request.id} asks for nothing: a defect.`);
  const ceilingMs = durationMs(grantCeiling(draft.flow.limits, draft.identity.grantTtl));
  const lifeMs = Math.min(ceilingMs, stepUp.ttl === undefined ? ceilingMs : durationMs(stepUp.ttl));
  const expiresAt = instant(Math.min(draft.nowMs + lifeMs, Date.parse(subject.expiresAt)));
  const { ttl: _wanted, ...asked } = stepUp;
  const { onBehalfOf } = request;
  // One request grants once: its id is the grant's too.
  draft.change({
    ...{ change: 'grant', grantId: request.id, ...asked, expiresAt },
    ...(onBehalfOf === '' ? {} : { onBehalfOf }),
  });
  return true;
}

function stepUpFactsOf(draft: Draft): StepUpRequestFacts {
  const facts = identityFactsOf(draft.facts.guardFacts);
  if ('tool' in facts) return facts;
  throw new TypeError(`Step-up ${draft.facts.request.id} has no facts of what it asks for: a defect of Tenure.`);
}
