import type { ReviewProposal } from '../domain/flow/review.ts';
import type { ProblemSlug } from '../domain/problems.ts';
import type { Identity } from '../prisma/generated/client.ts';
import { freezeIdsOn } from './freezeSubjects.ts';
import { findPersonNow } from './people.ts';
import { needsNewKey } from './registration.ts';
import type { Statements } from './statements.ts';

/**
 * Why this proposal cannot be reviewed on this identity; undefined when it can. Asked under the identity's lock: a review
 * narrows and never widens, its new owner is an active person, and the freeze it names holds the identity.
 */
export async function reviewObstacle(
  tx: Statements,
  identity: Identity,
  { freezeId, scopes, newOwner, reissue }: ReviewProposal,
): Promise<{ slug: ProblemSlug; detail: string } | undefined> {
  const wider = scopes?.find((scope) => !identity.scopes.includes(scope));
  if (wider !== undefined) {
    return {
      slug: 'no-flow',
      detail: `Scope ${wider} would widen access, and a review only narrows. Leave it out, or onboard a new identity.`,
    };
  }
  if (reissue && (await needsNewKey(tx, identity))) {
    return {
      slug: 'registration-required',
      detail: `Agent ${identity.id} authenticates with a public key, and only it has the private half. Ask for the review without reissue, and rotate it with a new key.`,
    };
  }
  if (newOwner !== undefined) {
    if ((await findPersonNow(tx, newOwner))?.active !== true) {
      return {
        slug: 'owner-not-valid',
        detail: `${newOwner} is not an active person of the directory. Name an owner who is.`,
      };
    }
  }
  if (freezeId === undefined) return undefined;
  const holding = await freezeIdsOn(tx, identity.id);
  if (holding.includes(freezeId)) return undefined;
  const others = holding.join(', ');
  return {
    slug: 'not-frozen',
    detail: `Freeze ${freezeId} does not hold identity ${identity.id}${others === '' ? '' : `; these do: ${others}`}. Name one that does, or leave freezeId out.`,
  };
}
