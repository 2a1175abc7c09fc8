import type { NewSubject, OpenOrder, OpenResult, RequestOrder } from '../domain/flow/open.ts';
import { parseName } from '../domain/names.ts';
import type { Identity, Prisma } from '../prisma/generated/client.ts';
import { ownerNotValid } from './amendment.ts';
import { type ChosenFlow, chooseFlow } from './chooseFlow.ts';
import { issuingTransaction, type Ledger } from './client.ts';
import { guardFactsOf } from './gatherFacts.ts';
import { answer, join, runningRequest, supersede } from './joinRequest.ts';
import { createRequest, reviewed } from './newRequest.ts';
import { openPublication } from './openPublication.ts';
import { type Refusal, Refused, refuse } from './openRefusal.ts';
import { openStepUp } from './openStepUp.ts';
import { registrationFor } from './registration.ts';
import { carryReissue, triggerOf } from './reissueOrders.ts';
import { reviewObstacle } from './reviewObstacle.ts';
import { mayBeRevoked } from './revocable.ts';
import { insertNewRow, insertRow } from './rows.ts';
import type { Statements } from './statements.ts';

/** Runs around an opening, in its transaction; a refusal rolls everything back. */
export type Within = (tx: Statements, open: () => Promise<OpenResult>) => Promise<OpenResult>;

/**
 * Stores a request and takes its first step, in one transaction. Idempotent by (principal, Idempotency-Key): a repeated
 * order finds its request, also a finished one; another body under the same key is refused. On a refusal nothing is written.
 * @param atOnce a responder's revocation: its transaction runs now, whatever the flow's stages
 * @param within what else the transaction asks before it opens, and writes after
 */
export async function openRequest(
  ledger: Ledger,
  order: RequestOrder,
  { atOnce = false, within = (_tx, open) => open() }: { atOnce?: boolean; within?: Within } = {},
): Promise<OpenResult> {
  try {
    return await issuingTransaction(ledger, async (tx) => {
      const result = await within(tx, () => openWithin(tx, ledger, order, atOnce));
      // The claim of the key must not outlive the refusal.
      if (!result.opened) throw new Refused(result);
      return result;
    });
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    if (isUniqueViolation(error)) return racedRefusal(order);
    throw error;
  }
}

async function openWithin(tx: Statements, ledger: Ledger, order: RequestOrder, atOnce: boolean): Promise<OpenResult> {
  if (order.kind === 'onboarding') {
    const [isNew, onboarding] = await Promise.all([claimKey(tx, order), onboardingOf(tx, order)]);
    if (!isNew) return repeated(tx, ledger, order);
    return 'opened' in onboarding ? onboarding : openOnboarding(tx, ledger, onboarding);
  }
  if (!(await claimKey(tx, order))) return repeated(tx, ledger, order);
  if (order.kind === 'publication') return openPublication(tx, ledger, order);
  if (order.kind === 'step-up') return openStepUp(tx, ledger, order);
  return openOnIdentity(tx, ledger, order, atOnce);
}

/** @returns false when the key was used before */
function claimKey(
  tx: Statements,
  { principal, idempotencyKey: key, kind: operation, bodyDigest, requestId }: RequestOrder,
): Promise<boolean> {
  return insertNewRow(tx, 'idempotent_call', { principal, key, operation, bodyDigest, requestId });
}

async function repeated(
  tx: Statements,
  ledger: Ledger,
  { principal, idempotencyKey: key, bodyDigest }: RequestOrder,
): Promise<OpenResult> {
  const [call] = await tx.$queryRaw<{ requestId: string | null }[]>`
    SELECT "requestId" FROM "idempotent_call"
    WHERE "principal" = ${principal} AND "key" = ${key} AND "bodyDigest" = ${bodyDigest}`;
  if (call === undefined || call.requestId === null) {
    return refuse('key-reused', `Idempotency-Key ${key} was used for another call. Use a new key for a new call.`);
  }
  return answer(tx, ledger, call.requestId, false);
}

/** What an onboarding would write. */
interface Onboarding {
  readonly order: OpenOrder;
  readonly identity: Prisma.IdentityCreateManyInput;
  readonly flow: ChosenFlow;
}

/** Only reads, so that it may be asked for beside the key. */
async function onboardingOf(tx: Statements, order: OpenOrder): Promise<Onboarding | Refusal> {
  const { subject } = order;
  if (subject === undefined) return refuse('invalid-request', 'An onboarding names its subject.');
  if ((subject.kind === 'agent') !== (subject.policy !== undefined))
    return refuse('invalid-request', 'An agent has a policy, and nothing else has one.');
  const identity = newIdentity(order.identityId, subject);
  const [[taken], registering, flow] = await Promise.all([
    tx.$queryRaw<{ id: string }[]>`
      SELECT "id" FROM "identity" WHERE "nameKey" = ${identity.nameKey} AND "environment" = ${identity.environment}
        AND "state" IN ('requested', 'active', 'revoking') LIMIT 1`,
    withRegistration(tx, identity, order),
    chooseFlow(tx, order, [subject.ownerId], (asked, person, now) =>
      person(subject.ownerId).active
        ? guardFactsOf({ ...identity, createdAt: now }, asked, person, now)
        : ownerNotValid(subject.ownerId),
    ),
  ]);
  if (taken !== undefined) return nameTaken(subject, taken.id);
  if ('opened' in registering) return registering;
  if ('opened' in flow) return flow;
  const agentPolicy = subject.policy === undefined ? {} : { agentPolicy: JSON.parse(JSON.stringify(subject.policy)) };
  return { order: registering, identity: { ...identity, labels: { ...subject.labels }, ...agentPolicy }, flow };
}

/** Without waiting for the identity: what is asked for later meets it. */
async function openOnboarding(
  tx: Statements,
  ledger: Ledger,
  { order, identity, flow }: Onboarding,
): Promise<OpenResult> {
  const [, opened] = await Promise.all([
    insertRow(tx, 'identity', identity),
    createRequest(tx, ledger, order, flow, false),
  ]);
  return opened;
}

async function openOnIdentity(tx: Statements, ledger: Ledger, asked: OpenOrder, atOnce: boolean): Promise<OpenResult> {
  const [identity] = await tx.$queryRaw<Identity[]>`
    SELECT * FROM "identity" WHERE "id" = ${asked.identityId} FOR UPDATE`;
  if (identity === undefined) return refuse('not-found', `There is no identity ${asked.identityId}.`);
  const trigger = await triggerOf(tx, asked);
  if (typeof trigger !== 'string') return trigger;
  const order = { ...asked, trigger };
  const isRevocation = order.kind === 'revocation';
  const mayRun =
    identity.state === 'active' ||
    (isRevocation && identity.state !== 'revoking' && (await mayBeRevoked(tx, identity.id)));
  const running = await runningRequest(tx, identity.id, order.kind);
  if (!mayRun && running?.kind !== 'revocation') {
    const slug = identity.state === 'revoking' ? 'revoking' : 'not-active';
    return refuse(slug, `Identity ${identity.id} is ${identity.state}; a ${order.kind} cannot begin.`);
  }
  const obstacle = order.kind === 'review' ? await reviewObstacle(tx, identity, reviewed(order)) : undefined;
  if (obstacle !== undefined) return refuse(obstacle.slug, obstacle.detail);
  const registering = await withRegistration(tx, identity, order);
  if ('opened' in registering) return registering;
  const flow = await chooseFlow(tx, order, [identity.ownerId, order.proposal?.newOwner], (about, person, now) =>
    guardFactsOf(identity, { ...about, proposal: order.proposal }, person, now),
  );
  if ('opened' in flow) return flow;
  const create = (supersedes?: string) => createOnIdentity(tx, ledger, registering, flow, atOnce, supersedes);
  if (running === undefined) return create();
  return (
    (await supersede(tx, ledger, registering, running, create)) ??
    join(tx, ledger, registering, running, flow.digest, atOnce)
  );
}

/** What a review ordered carries the requesters of that review, and what supersedes another those of that one. */
async function createOnIdentity(
  tx: Statements,
  ledger: Ledger,
  order: OpenOrder,
  flow: ChosenFlow,
  atOnce: boolean,
  supersedes: string | undefined,
): Promise<OpenResult> {
  const { reissues, requestId } = order;
  const requestersOf = [reissues, supersedes].filter((id) => id !== undefined);
  const inherited = { requestersOf, ...(supersedes === undefined ? {} : { supersedes }) };
  const result = await createRequest(tx, ledger, order, flow, atOnce, inherited);
  if (reissues !== undefined) await carryReissue(tx, reissues, requestId);
  return result;
}

/** The order with what it registers, also where it does not say so. */
async function withRegistration(
  tx: Statements,
  identity: Pick<Identity, 'id' | 'kind'>,
  order: OpenOrder,
): Promise<OpenOrder | Refusal> {
  const registration = await registrationFor(tx, identity, order);
  if (registration === undefined) return order;
  return 'opened' in registration ? registration : { ...order, registration };
}

function newIdentity(id: string, subject: NewSubject) {
  const name = parseName(subject.name);
  if (!name.ok) throw new Refused(refuse('invalid-request', `name: ${name.reason}`));
  return {
    id,
    kind: subject.kind,
    name: name.name,
    nameKey: name.key,
    environment: subject.environment,
    ownerId: subject.ownerId,
    purpose: subject.purpose,
    scopes: [...subject.scopes],
    integration: subject.integration,
    labels: subject.labels as unknown,
    consumers: [...subject.consumers],
    expiresAt: new Date(subject.expiresAt),
    issuer: subject.issuer,
    store: subject.store,
    state: 'requested',
    epoch: 0,
    highestVersion: 0,
  };
}

function nameTaken(subject: NewSubject, identityId: string): Refusal {
  return refuse(
    'name-taken',
    `Identity ${identityId} in environment ${subject.environment} has this name, or one that looks like it. Choose another name, or revoke that identity first.`,
  );
}

/** Two transactions at once wanted the same place; the other has it. */
function racedRefusal(order: RequestOrder): Refusal {
  if (order.kind === 'onboarding') {
    return refuse('name-taken', 'An identity of this name was requested at the same moment. Choose another name.');
  }
  return refuse(
    'request-running',
    `Another request began on ${order.kind === 'publication' ? 'this publication' : `identity ${order.identityId}`} at the same moment. Retry to join it.`,
  );
}

const uniqueViolation = '23505';

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === uniqueViolation;
}
