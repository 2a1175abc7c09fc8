import { grantClaims } from '../../domain/grantClaims.ts';
import { frozenAgent } from '../../ledger/openStepUp.ts';
import { findIdentity } from '../../ledger/queries/identities.ts';
import { findStepUp, type StepUpSituation } from '../../ledger/queries/stepUps.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import { grantBody, type StepUpBody, stepUpBody } from '../representations/stepUp.ts';

/**
 * @param stepUpId of the step-up that the call is about, whether there is one or not
 * @throws Problem `frozen` while a freeze holds the agent: it is told whether that step-up is there, and nothing else of it.
 *   One that is not there was not opened, and is not while the freeze is in force
 */
export async function requireNotFrozen(
  { ledger }: Pick<ApiDependencies, 'ledger'>,
  { identityId, stepUpId }: { identityId: string; stepUpId: string },
): Promise<void> {
  const identity = await findIdentity(ledger.prisma, identityId);
  if ((identity?.frozenBy.length ?? 0) === 0) return;
  // After the freeze was seen: whatever was opened before it is seen now, and nothing is opened under it.
  const opened = await findStepUp(ledger, { id: stepUpId, identityId });
  throw opened === undefined ? new Problem('frozen', frozenAgent(identityId)) : frozenStepUp(opened);
}

/** Without its id, an agent whose earlier call was not answered could not know that it was carried out. */
function frozenStepUp({ id, identityId }: StepUpSituation): Problem {
  const detail = `${frozenAgent(identityId ?? '')} Step-up ${id} was opened before: look at it when the freeze is over.`;
  return new Problem('frozen', detail, { extensions: { stepUpId: id } });
}

/**
 * What its agent is told: with the token, made anew from the grant's row each time, for as long as the grant stands.
 * @throws Problem `frozen`, `no-signer`
 */
export async function stepUpReply(
  deps: Pick<ApiDependencies, 'configuration' | 'ledger' | 'grantSigner' | 'now'>,
  found: StepUpSituation,
): Promise<StepUpBody> {
  if (found.freezes.length > 0) throw frozenStepUp(found);
  const body = stepUpBody(found, deps.configuration.publicUrl);
  const { grant } = found;
  if (grant === undefined) return body;
  if (grant.standing !== 'active') return { ...body, reason: `grant-${grant.standing}` };
  const token = await deps.grantSigner.sign(grantClaims(grant, deps.configuration.publicUrl));
  return { ...body, grant: grantBody(grant, token, deps.now()) };
}
