import { canonicalJson } from '../domain/evidence/canonicalJson.ts';
import type { NewSubject, OpenOrder, OpenResult } from '../domain/flow/open.ts';
import type { ReviewProposal } from '../domain/flow/review.ts';
import { type FlowState, initialFlowState } from '../domain/flow/state.ts';
import { parseName } from '../domain/names.ts';
import { isFinalRequestState, mintStates, type RequestState } from '../domain/states.ts';
import { type Identity, Prisma, type Request } from '../prisma/generated/client.ts';
import { advanceWithin } from './advance.ts';
import { issuingTransaction, type Ledger, type Transaction } from './client.ts';
import { appendEvidence } from './evidence.ts';
import { flowFor } from './flows.ts';
import { guardFactsOf } from './gatherFacts.ts';
import { enqueue } from './outbox.ts';
import { proposalOf } from './proposal.ts';
import { LedgerRestored, restoreInForce } from './restore.ts';
import { reviewObstacle } from './reviewObstacle.ts';

type Refusal = Extract<OpenResult, { opened: false }>;

/** Runs around an opening, in its transaction; a refusal rolls everything back. */
export type Within = (tx: Transaction, open: () => Promise<OpenResult>) => Promise<OpenResult>;

/**
 * Stores a request and takes its first step, in one transaction. Idempotent by (principal, Idempotency-Key): a repeated
 * order finds its request, also a finished one; another body under the same key is refused. On a refusal nothing is written.
 * @param atOnce a responder's revocation: its transaction runs now, whatever the flow's stages
 * @param within what else the transaction asks before it opens, and writes after
 */
export async function openRequest(
  ledger: Ledger,
  order: OpenOrder,
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

async function openWithin(tx: Transaction, ledger: Ledger, order: OpenOrder, atOnce: boolean): Promise<OpenResult> {
  const { principal, idempotencyKey: key, bodyDigest, requestId } = order;
  const { count } = await tx.idempotentCall.createMany({
    data: [{ principal, key, operation: order.kind, bodyDigest, requestId }],
    skipDuplicates: true,
  });
  if (count === 0) {
    const call = await tx.idempotentCall.findUniqueOrThrow({ where: { principal_key: { principal, key } } });
    if (call.bodyDigest !== bodyDigest || call.requestId === null) {
      return refuse('key-reused', `Idempotency-Key ${key} was used for another call. Use a new key for a new call.`);
    }
    return answer(tx, ledger, call.requestId, false);
  }
  if (order.kind !== 'revocation' && (await restoreInForce(tx)) !== undefined) {
    return refuse('observe-only', new LedgerRestored(`this ${order.kind}`).message);
  }
  if (order.kind === 'onboarding') return openOnboarding(tx, ledger, order);
  return openOnIdentity(tx, ledger, order, atOnce);
}

async function openOnboarding(tx: Transaction, ledger: Ledger, order: OpenOrder): Promise<OpenResult> {
  const { subject } = order;
  if (subject === undefined) return refuse('invalid-request', 'An onboarding names its subject.');
  const identity = newIdentity(order.identityId, subject);
  const taken = await tx.identity.findFirst({
    where: {
      nameKey: identity.nameKey,
      environment: identity.environment,
      state: { in: ['requested', 'active', 'revoking'] },
    },
    select: { id: true, name: true },
  });
  if (taken !== null) return nameTaken(subject, taken.id);
  const owner = await tx.person.findUnique({ where: { id: subject.ownerId } });
  if (owner === null || !owner.active) {
    return refuse(
      'owner-not-valid',
      `${subject.ownerId} is not an active person of the directory. Name an owner who is.`,
    );
  }
  const flow = await chooseFlow(tx, order, { ...identity, createdAt: new Date() });
  if ('opened' in flow) return flow;
  await tx.identity.create({ data: { ...identity, labels: { ...subject.labels } } });
  return createRequest(tx, ledger, order, flow.digest, false);
}

async function openOnIdentity(tx: Transaction, ledger: Ledger, order: OpenOrder, atOnce: boolean): Promise<OpenResult> {
  const [identity] = await tx.$queryRaw<Identity[]>`
    SELECT * FROM "identity" WHERE "id" = ${order.identityId} FOR UPDATE`;
  if (identity === undefined) return refuse('not-found', `There is no identity ${order.identityId}.`);
  const isRevocation = order.kind === 'revocation';
  const mayRun = identity.state === 'active' || (isRevocation && identity.state === 'requested');
  const running = await runningRequest(tx, identity.id, order.kind);
  if (!mayRun && running?.kind !== 'revocation') {
    const slug = identity.state === 'revoking' ? 'revoking' : 'not-active';
    return refuse(slug, `Identity ${identity.id} is ${identity.state}; a ${order.kind} cannot begin.`);
  }
  const obstacle = order.kind === 'review' ? await reviewObstacle(tx, identity, reviewed(order)) : undefined;
  if (obstacle !== undefined) return refuse(obstacle.slug, obstacle.detail);
  const flow = await chooseFlow(tx, order, identity);
  if ('opened' in flow) return flow;
  if (running !== undefined) return join(tx, ledger, order, running, flow.digest, atOnce);
  return createRequest(tx, ledger, order, flow.digest, atOnce);
}

/** What a review is asked to change; an order that names nothing asks for the attestation alone. */
function reviewed({ proposal = { reissue: false } }: OpenOrder): ReviewProposal {
  return proposal;
}

/** Two reviews are one only if they would change the same. */
function wantsTheSame(order: OpenOrder, running: Request): boolean {
  if (order.kind !== 'review') return true;
  return canonicalJson({ ...reviewed(order) }) === canonicalJson({ ...proposalOf(running) });
}

/** A second trigger joins what runs only under the same flow and before `begin`; whoever joins becomes a requester. */
async function join(
  tx: Transaction,
  ledger: Ledger,
  order: OpenOrder,
  running: Request,
  flowDigest: string,
  atOnce: boolean,
): Promise<OpenResult> {
  const { effect } = running.flowState as unknown as FlowState;
  const mints = await tx.credential.count({ where: { requestId: running.id, state: { in: [...mintStates] } } });
  const hasBegun = effect.committedVersion !== undefined || mints > 0;
  const mayJoin =
    running.kind === order.kind &&
    running.flowDigest === flowDigest &&
    !hasBegun &&
    !effect.revoked &&
    wantsTheSame(order, running);
  if (!mayJoin && !(atOnce && running.kind === 'revocation')) {
    return {
      opened: false,
      slug: 'request-running',
      detail: `Request ${running.id} (${running.kind}) is running on identity ${running.identityId}. Wait for it, or cancel it.`,
      runningRequestId: running.id,
    };
  }
  await tx.requester.createMany({
    data: [{ requestId: running.id, principal: order.principal, onBehalfOf: order.onBehalfOf ?? null }],
    skipDuplicates: true,
  });
  await tx.idempotentCall.update({
    where: { principal_key: { principal: order.principal, key: order.idempotencyKey } },
    data: { requestId: running.id },
  });
  await appendEvidence(tx, ledger.evidence, [
    {
      chain: `request/${running.id}`,
      kind: 'request.joined',
      actor: order.principal,
      requestId: running.id,
      identityId: running.identityId,
      at: new Date(),
      data: { trigger: order.trigger, ...(order.onBehalfOf === undefined ? {} : { onBehalfOf: order.onBehalfOf }) },
    },
  ]);
  if (atOnce && !effect.revoked) {
    await advanceWithin(tx, ledger, running.id, { kind: 'opened', id: 'opened-at-once', atOnce: true });
    await enqueue(tx, { kind: 'nudge', requestId: running.id });
  }
  return answer(tx, ledger, running.id, false);
}

async function createRequest(
  tx: Transaction,
  ledger: Ledger,
  order: OpenOrder,
  flowDigest: string,
  atOnce: boolean,
): Promise<OpenResult> {
  const [clock] = await tx.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS "now"`;
  const now = clock?.now ?? new Date();
  const { requestId, identityId } = order;
  await tx.request.create({
    data: {
      id: requestId,
      kind: order.kind,
      identityId,
      flowDigest,
      state: 'evaluating',
      trigger: order.trigger,
      requesterId: order.principal,
      requesterKind: order.principalKind,
      onBehalfOf: order.onBehalfOf ?? null,
      justification: order.justification,
      ...(order.kind === 'review' ? { proposal: { ...reviewed(order) } as unknown as Prisma.InputJsonObject } : {}),
      flowState: initialFlowState(now.toISOString()) as unknown as Prisma.InputJsonObject,
      workflowId: `${order.kind}/${identityId}`,
      createdAt: now,
      updatedAt: now,
      requesters: { create: { principal: order.principal, onBehalfOf: order.onBehalfOf ?? null, joinedAt: now } },
    },
  });
  await appendEvidence(tx, ledger.evidence, [
    {
      chain: `request/${requestId}`,
      kind: 'request.opened',
      actor: order.principal,
      requestId,
      identityId,
      at: now,
      data: {
        request: order.kind,
        trigger: order.trigger,
        flow: flowDigest,
        justification: order.justification,
        ...(order.onBehalfOf === undefined ? {} : { onBehalfOf: order.onBehalfOf }),
        ...(order.subject === undefined ? {} : { subject: JSON.parse(JSON.stringify(order.subject)) }),
        ...(order.kind === 'review' ? { proposal: JSON.parse(JSON.stringify(reviewed(order))) } : {}),
      },
    },
  ]);
  const advanced = await advanceWithin(tx, ledger, requestId, { kind: 'opened', id: 'opened', atOnce });
  // At once means past the workflow, which the outbox then starts.
  if (atOnce) await enqueue(tx, { kind: 'nudge', requestId });
  return { opened: true, requestId, identityId, created: true, ...advanced };
}

/** The request as it stands: for a repeated order and for one that joined. */
async function answer(tx: Transaction, ledger: Ledger, requestId: string, created: boolean): Promise<OpenResult> {
  const advanced = await advanceWithin(tx, ledger, requestId, { kind: 'nudge', id: 'nudge' });
  const { identityId } = await tx.request.findUniqueOrThrow({ where: { id: requestId }, select: { identityId: true } });
  return { opened: true, requestId, identityId, created, ...advanced };
}

/** Of which kinds one identity has one open request at a time, as PostgreSQL's partial indexes have it. */
function rivalsOf(kind: OpenOrder['kind']): OpenOrder['kind'][] {
  return kind === 'revocation' || kind === 'review' ? [kind] : ['onboarding', 'rotation'];
}

async function runningRequest(
  tx: Transaction,
  identityId: string,
  kind: OpenOrder['kind'],
): Promise<Request | undefined> {
  const requests = await tx.request.findMany({
    where: { identityId, kind: { in: rivalsOf(kind) }, finishedAt: null },
  });
  return requests.find(({ state }) => !isFinalRequestState(state as RequestState));
}

async function chooseFlow(
  tx: Transaction,
  order: OpenOrder,
  identity: Omit<Identity, 'labels'> & { labels: unknown },
): Promise<{ digest: string } | Refusal> {
  const named = [identity.ownerId, order.principal, order.onBehalfOf, order.proposal?.newOwner];
  const ids = named.filter((id) => id !== undefined);
  const people = await tx.person.findMany({ where: { id: { in: ids } } });
  const facts = guardFactsOf(
    identity,
    {
      kind: order.kind,
      trigger: order.trigger,
      justification: order.justification,
      requesterId: order.principal,
      requesterKind: order.principalKind,
      onBehalfOf: order.onBehalfOf ?? null,
      proposal: order.proposal,
    },
    (id) => people.find((person) => person.id === id) ?? { id, active: false, groups: [] },
    new Date(),
  );
  const chosen = await flowFor(tx, order.kind, facts);
  return 'found' in chosen ? { digest: chosen.found.digest } : refuse(chosen.slug, chosen.detail);
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

function refuse(slug: string, detail: string): Refusal {
  return { opened: false, slug, detail };
}

function nameTaken(subject: NewSubject, identityId: string): Refusal {
  return refuse(
    'name-taken',
    `Identity ${identityId} in environment ${subject.environment} has this name, or one that looks like it. Choose another name, or revoke that identity first.`,
  );
}

/** Two transactions at once wanted the same place; the other has it. */
function racedRefusal(order: OpenOrder): Refusal {
  if (order.kind === 'onboarding') {
    return refuse('name-taken', 'An identity of this name was requested at the same moment. Choose another name.');
  }
  return refuse(
    'request-running',
    `Another request began on identity ${order.identityId} at the same moment. Retry to join it.`,
  );
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';
}

/** Carries a refusal out of the transaction, so that it rolls back. */
class Refused extends Error {
  override readonly name = 'Refused';
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.detail);
    this.refusal = refusal;
  }
}
