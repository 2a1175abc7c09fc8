import type { Ledger, Transaction } from '../client.ts';
import { findGrantOfRequest, type KnownGrant } from '../grants.ts';
import { findPersonNow } from '../people.ts';
import { findRequest, type RequestSituation } from './requests.ts';

/** A step-up as its agent is told of it. */
export interface StepUpSituation extends RequestSituation {
  /** Undefined until it is granted. */
  readonly grant: KnownGrant | undefined;
}

/** The step-up of this agent; undefined when there is none, or it is another's. */
export async function findStepUp(
  ledger: Pick<Ledger, 'direct' | 'evidence' | 'decisionKeys'>,
  { id, identityId }: { id: string; identityId: string },
): Promise<StepUpSituation | undefined> {
  const request = await findRequest(ledger, id);
  if (request?.kind !== 'step-up' || request.identityId !== identityId) return undefined;
  return { ...request, grant: await findGrantOfRequest(ledger.direct, id) };
}

/** Whether this is an active person of the directory. */
export async function isActivePerson(ledger: Pick<Transaction, '$queryRaw'>, id: string): Promise<boolean> {
  return (await findPersonNow(ledger, id))?.active === true;
}
