import { grantClaims } from '../../domain/grantClaims.ts';
import { frozenAgent } from '../../ledger/openStepUp.ts';
import { findIdentity } from '../../ledger/queries/identities.ts';
import type { StepUpSituation } from '../../ledger/queries/stepUps.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import { grantBody, type StepUpBody, stepUpBody } from '../representations/stepUp.ts';

/** @throws Problem `frozen` while a freeze holds the agent: it is told nothing of what it asked for */
export async function requireNotFrozen({ ledger }: Pick<ApiDependencies, 'ledger'>, identityId: string): Promise<void> {
  const identity = await findIdentity(ledger.prisma, identityId);
  if ((identity?.frozenBy.length ?? 0) > 0) throw new Problem('frozen', frozenAgent(identityId));
}

/**
 * What its agent is told: with the token, made anew from the grant's row each time, for as long as the grant stands.
 * @throws Problem `frozen`, `no-signer`
 */
export async function stepUpReply(
  deps: Pick<ApiDependencies, 'configuration' | 'ledger' | 'grantSigner' | 'now'>,
  found: StepUpSituation,
): Promise<StepUpBody> {
  if (found.freezes.length > 0) throw new Problem('frozen', frozenAgent(found.identityId ?? ''));
  const body = stepUpBody(found, deps.configuration.publicUrl);
  const { grant } = found;
  if (grant === undefined) return body;
  if (grant.standing !== 'active') return { ...body, reason: `grant-${grant.standing}` };
  const token = await deps.grantSigner.sign(grantClaims(grant, deps.configuration.publicUrl));
  return { ...body, grant: grantBody(grant, token, deps.now()) };
}
