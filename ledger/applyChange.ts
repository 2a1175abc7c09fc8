import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../domain/evidence/canonicalJson.ts';
import type { Change } from '../domain/flow/changes.ts';
import type { Prisma } from '../prisma/generated/client.ts';
import type { Transaction } from './client.ts';
import { completeReview, scheduleReview } from './completeReview.ts';
import { setDue } from './dueWork.ts';
import { issueGrant } from './issueGrant.ts';
import { enqueue } from './outbox.ts';
import { publish } from './publications.ts';

/** Where a change happens. */
export interface Place {
  readonly requestId: string;
  /** Absent of a publication. */
  readonly identityId?: string;
  readonly now: Date;
}

/** @throws TypeError for a publication: nothing of an identity changes by one */
export function identityAt({ identityId, requestId }: Place): string {
  if (identityId === undefined) throw new TypeError(`Request ${requestId} is about no identity: a defect of Tenure.`);
  return identityId;
}

/**
 * Carries out one change of `advance` as rows. Only ever called under the locks of `gatherFacts`; PostgreSQL's triggers
 * and partial unique indexes check every transition again.
 * @returns the other requests that it ended: evidence tells of the end of each
 */
export async function applyChange(tx: Transaction, place: Place, change: Change): Promise<readonly string[]> {
  if (change.change === 'begin-revocation') return beginRevocation(tx, place, change.epoch);
  const ofIdentity = await applyToRequest(tx, place, change);
  if (ofIdentity !== undefined) await applyToIdentity(tx, place, ofIdentity);
  return [];
}

type OwnChange = Exclude<Change, { change: 'begin-revocation' }>;

/** What `applyToRequest` leaves. A change that has a case neither there nor in `applyToIdentity` does not compile. */
type IdentityChange = Exclude<
  OwnChange,
  {
    change:
      | 'record-decision'
      | 'withdraw-decision'
      | 'pause'
      | 'resume'
      | 'notify'
      | 'stopped-by-freeze'
      | 'publish-flow'
      | 'retire-flow'
      | 'grant';
  }
>;

/** Changes of the request itself, and of the published flows. Returns one that is of its identity. */
async function applyToRequest(tx: Transaction, place: Place, change: OwnChange): Promise<IdentityChange | undefined> {
  const { requestId, now } = place;
  switch (change.change) {
    case 'record-decision': {
      const { decision } = change;
      const { decidedAt, authenticatedAt } = decision;
      // The signed instants, so that the stored row can be verified again.
      await tx.decision.create({
        data: {
          ...decision,
          decidedAt: new Date(decidedAt),
          ...(authenticatedAt === undefined ? {} : { authenticatedAt: new Date(authenticatedAt) }),
        },
      });
      return;
    }
    case 'withdraw-decision':
      await tx.decision.update({ where: { id: change.decisionId }, data: { withdrawnAt: now } });
      return;
    case 'pause':
      await tx.pause.create({
        data: { id: randomUUID(), requestId, principal: change.by, reason: change.reason, createdAt: now },
      });
      return;
    case 'resume':
      await tx.pause.updateMany({
        where: { requestId, liftedAt: null, ...(change.all ? {} : { principal: change.by }) },
        data: { liftedAt: now, liftedBy: change.by },
      });
      return;
    case 'notify':
      await enqueue(tx, { kind: 'notify', requestId, to: change.to, about: change.about });
      return;
    case 'stopped-by-freeze':
      await tx.freezeStop.createMany({
        data: change.freezeIds.map((freezeId) => ({ freezeId, requestId, what: change.what, at: now })),
        skipDuplicates: true,
      });
      return;
    case 'publish-flow':
    case 'retire-flow':
      await publish(tx, { requestId, now }, change);
      return;
    case 'grant':
      await issueGrant(tx, { requestId, identityId: identityAt(place), now }, change);
      return;
    default:
      return change;
  }
}

async function applyToIdentity(tx: Transaction, place: Place, change: IdentityChange): Promise<void> {
  const { requestId, now } = place;
  const identityId = identityAt(place);
  const credential = (version: number, data: Prisma.CredentialUpdateInput) =>
    tx.credential.update({ where: { identityId_version: { identityId, version } }, data });
  switch (change.change) {
    case 'mint':
      await tx.identity.update({ where: { id: identityId }, data: { highestVersion: change.version } });
      await tx.credential.create({
        data: {
          handle: handleOf(identityId, change.version),
          identityId,
          version: change.version,
          requestId,
          state: 'minting',
          leaseEndsAt: change.leaseEndsAt,
          createdAt: now,
        },
      });
      return;
    case 'renew-lease':
      await credential(change.version, { leaseEndsAt: change.leaseEndsAt });
      return;
    case 'stage':
      await credential(change.version, { state: 'staged', fingerprint: change.fingerprint });
      return;
    case 'retire':
      await credential(change.version, { state: 'retiring', retiringAt: now });
      return;
    case 'make-current':
      await tx.identity.update({ where: { id: identityId }, data: { epoch: change.epoch } });
      await credential(change.version, {
        state: 'current',
        epoch: change.epoch,
        expiresAt: change.expiresAt,
        committedAt: now,
        retiringAt: null,
      });
      await setDue(tx, 'rotation', identityId, rotationDue(now, new Date(change.expiresAt)));
      return;
    case 'record-promote':
      await credential(change.version, { promotedEpoch: change.epoch, promotedAt: now });
      return;
    case 'destroy':
      await credential(change.version, { state: 'destroying', destroyingAt: now });
      return;
    case 'record-receipt': {
      const { leaseEndsAt, handle } = await credential(change.version, { receipt: { ...change.receipt } as object });
      await setDue(tx, 'sweep', handle, leaseEndsAt);
      return;
    }
    case 'destroyed':
      await credential(change.version, {
        state: 'destroyed',
        destroyedAt: now,
        receipt: { ...change.receipt } as object,
      });
      return;
    case 'activate-identity': {
      const { expiresAt } = await tx.identity.update({ where: { id: identityId }, data: { state: 'active' } });
      await setDue(tx, 'expiry', identityId, expiresAt);
      await scheduleReview(tx, { identityId, by: new Date(change.reviewBy), now });
      return;
    }
    case 'reject-identity':
      await tx.identity.update({ where: { id: identityId }, data: { state: 'rejected' } });
      return;
    case 'finish-revocation':
      await tx.identity.update({ where: { id: identityId }, data: { state: 'revoked' } });
      return;
    case 'amend': {
      const { scopes, consumers, ...scalars } = change.subject;
      await tx.identity.update({
        where: { id: identityId },
        data: {
          ...scalars,
          ...(scopes === undefined ? {} : { scopes: [...scopes] }),
          ...(consumers === undefined ? {} : { consumers: [...consumers] }),
        },
      });
      await tx.request.update({ where: { id: requestId }, data: { revision: { increment: 1 } } });
      return;
    }
    case 'complete-review':
      await completeReview(tx, place, change);
      return;
    case 'record-quarantine':
      // It leaves its evidence and no row.
      return;
    default:
      change satisfies never;
  }
}

/** The whole transaction of a revocation: nothing issued before it counts any more, whatever state it was in. */
async function beginRevocation(tx: Transaction, place: Place, epoch: number): Promise<readonly string[]> {
  const { requestId, now } = place;
  const identityId = identityAt(place);
  const { state } = await tx.identity.findUniqueOrThrow({ where: { id: identityId }, select: { state: true } });
  await tx.identity.update({
    where: { id: identityId },
    data: { state: state === 'requested' ? 'rejected' : 'revoking', epoch },
  });
  await tx.credential.updateMany({
    where: { identityId, state: { notIn: ['destroying', 'destroyed'] } },
    data: { state: 'destroying', destroyingAt: now },
  });
  await tx.dueWork.deleteMany({ where: { subjectId: identityId } });
  const others = await tx.request.findMany({
    where: { identityId, id: { not: requestId }, finishedAt: null },
    orderBy: { id: 'asc' },
    select: { id: true },
  });
  for (const { id } of others) {
    await tx.request.update({
      where: { id },
      data: {
        ...endedByRevocation,
        finishedAt: now,
        updatedAt: now,
        owesDestroys: false,
        wakeAt: null,
        sequence: { increment: 1 },
      },
    });
    await enqueue(tx, { kind: 'nudge', requestId: id });
  }
  return others.map(({ id }) => id);
}

/** How a request ends whose identity is revoked beside it. */
export const endedByRevocation = { state: 'cancelled', reason: 'revoking' } as const;

/** Two thirds of a credential's life: time for approvals and for a failure or two before it expires. */
function rotationDue(issuedAt: Date, expiresAt: Date): Date {
  return new Date(issuedAt.getTime() + ((expiresAt.getTime() - issuedAt.getTime()) * 2) / 3);
}

/** The handle at the issuer: identity id and version, never made twice. */
export function handleOf(identityId: string, version: number): string {
  return `${identityId}-v${version}`;
}

const evidenceKinds: Readonly<Record<Change['change'], string>> = {
  mint: 'credential.minting',
  'renew-lease': 'credential.lease-renewed',
  stage: 'credential.staged',
  retire: 'credential.retiring',
  'make-current': 'credential.current',
  'record-promote': 'credential.promoted',
  'record-quarantine': 'credential.quarantined',
  destroy: 'credential.destroying',
  'record-receipt': 'credential.receipt',
  destroyed: 'credential.destroyed',
  'activate-identity': 'identity.activated',
  'reject-identity': 'identity.rejected',
  'begin-revocation': 'identity.revoking',
  'finish-revocation': 'identity.revoked',
  'record-decision': 'decision.recorded',
  'withdraw-decision': 'decision.withdrawn',
  pause: 'request.paused',
  resume: 'request.resumed',
  amend: 'request.amended',
  notify: 'request.notified',
  'complete-review': 'identity.reviewed',
  'publish-flow': 'flow.published',
  'retire-flow': 'flow.retired',
  'stopped-by-freeze': 'request.frozen',
  grant: 'grant.issued',
};

/** What a change leaves as evidence: its kind and its own fields (promise 9). Proofs have kinds of their own. */
export function evidenceOf(change: Change): { kind: string; data: JsonObject } {
  const { change: name, ...data } = change;
  if (change.change === 'record-decision') {
    const { decision } = change;
    return { kind: decision.verdict === 'confirm' ? 'proof.recorded' : evidenceKinds[name], data: { ...decision } };
  }
  if (change.change === 'withdraw-decision') {
    const { what, decisionId, by } = change;
    return { kind: `${what}.withdrawn`, data: { decisionId, by } };
  }
  return { kind: evidenceKinds[name], data: JSON.parse(JSON.stringify(data)) as JsonObject };
}
