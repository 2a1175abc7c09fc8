import type { AccessGrant } from '../../prisma/generated/client.ts';
import type { Transaction } from '../client.ts';
import { findRequest, type RequestSituation } from './requests.ts';

/** A step-up as its agent is told of it. */
export interface StepUpSituation extends RequestSituation {
  /** Null until it is granted. */
  readonly grant: AccessGrant | null;
}

/** The step-up of this agent; undefined when there is none, or it is another's. */
export async function findStepUp(
  ledger: Transaction,
  { id, identityId }: { id: string; identityId: string },
): Promise<StepUpSituation | undefined> {
  const request = await findRequest(ledger, id);
  if (request?.kind !== 'step-up' || request.identityId !== identityId) return undefined;
  return { ...request, grant: await ledger.accessGrant.findUnique({ where: { requestId: id } }) };
}

/** Whether this is an active person of the directory. */
export async function isActivePerson(ledger: Pick<Transaction, 'person'>, id: string): Promise<boolean> {
  return (await ledger.person.findUnique({ where: { id }, select: { active: true } }))?.active === true;
}
