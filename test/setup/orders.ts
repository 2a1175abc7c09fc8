import { randomUUID } from 'node:crypto';
import type { AdvanceResult, SignedDecision } from '../../contracts/events.ts';
import type { NewSubject, OpenOrder, OpenResult } from '../../contracts/open.ts';
import { digestOfCaseFile } from '../../domain/caseFile.ts';
import { signDecision } from '../../domain/decisionSignature.ts';
import { idFromKey } from '../../domain/ids.ts';
import { ownKey } from '../../domain/ownKey.ts';
import { findRequest } from '../../ledger/queries/requests.ts';
import { findTarget } from '../../ledger/requests.ts';
import type { TestInstallation } from './installation.ts';
import { repeated } from './repeated.ts';

/** A valid new subject, changed where the test says so. */
export function subject(change: Partial<NewSubject> = {}): NewSubject {
  return {
    kind: 'service-account',
    name: `orders ${randomUUID().slice(0, 8)}`,
    environment: 'staging',
    ownerId: 'owner@tenure.example',
    purpose: 'reads orders for the tests',
    scopes: [],
    integration: 'payments',
    labels: {},
    consumers: ['pipeline:deploy'],
    expiresAt: new Date(Date.now() + 30 * 86_400_000).toISOString(),
    issuer: 'main-db',
    store: 'sealed',
    ...change,
  };
}

export function onboardingOrder(change: Partial<NewSubject> = {}, order: Partial<OpenOrder> = {}): OpenOrder {
  return openOrder('onboarding', { subject: subject(change), ...order });
}

/** An order of its own key, so that it is never mistaken for another's repeat. */
export function openOrder(kind: OpenOrder['kind'], change: Partial<OpenOrder> = {}): OpenOrder {
  const principal = change.principal ?? 'requester@tenure.example';
  const key = change.idempotencyKey ?? randomUUID();
  return {
    ...ownKey(principal, key),
    kind,
    identityId: idFromKey('identity', { principal, key }),
    principalKind: 'person',
    trigger: 'person',
    justification: 'the tests want it',
    ...change,
  };
}

/** A request on an identity that was opened. */
export type Opened = Extract<OpenResult, { opened: true }> & { readonly identityId: string };

/** Insists that a request on an identity was opened. */
export function openedOnIdentity(result: OpenResult): Opened {
  if (!result.opened) throw new Error(`${result.slug}: ${result.detail}`);
  const { identityId } = result;
  if (identityId === undefined) throw new Error(`request ${result.requestId} is about no identity`);
  return { ...result, identityId };
}

/** Opens, as often as its outcome is unknown, and insists on success. */
export async function opened(installation: TestInstallation, order: OpenOrder): Promise<Opened> {
  return openedOnIdentity(await repeated(() => installation.gateway.open(order), 3));
}

export interface DecisionAsked {
  readonly requestId: string;
  readonly by: string;
  readonly verdict?: SignedDecision['verdict'];
  /** Changed before it is signed: what a decision on something else would say. */
  readonly change?: Partial<SignedDecision>;
}

/** A decision as the API makes it: on exactly what the request shows now, signed. */
export async function signedDecision(
  { ledger, keys }: Pick<TestInstallation, 'ledger' | 'keys'>,
  { requestId, by, verdict = 'approve', change = {} }: DecisionAsked,
): Promise<SignedDecision> {
  const request = await findRequest(ledger, requestId);
  if (request === undefined) throw new Error(`no request ${requestId}`);
  const { review, caseFile } = request;
  const { keyId, privateKey } = keys.decisionSigning;
  return signDecision(
    {
      id: idFromKey('decision', { principal: by, key: randomUUID() }),
      requestId,
      stage: review.stage,
      revision: review.revision,
      approverId: by,
      verdict,
      digest: digestOfCaseFile(caseFile.published),
      comment: '',
      decidedAt: new Date().toISOString(),
      keyId,
      ...change,
    },
    { personKey: ledger.evidence.personKey, privateKey },
  );
}

/** Decides through the workflow, as the API does. */
export async function decide(installation: TestInstallation, asked: DecisionAsked): Promise<AdvanceResult> {
  const decision = await signedDecision(installation, asked);
  const target = await findTarget(installation.ledger, asked.requestId);
  return repeated(() => installation.gateway.decide(target, decision), 3);
}
