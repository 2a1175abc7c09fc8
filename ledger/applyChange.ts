import { type KeyObject, randomUUID } from 'node:crypto';
import { publishedDecision } from '../domain/decisionSignature.ts';
import type { JsonObject } from '../domain/evidence/canonicalJson.ts';
import type { Change } from '../domain/flow/changes.ts';
import { Prisma } from '../prisma/generated/client.ts';
import { completeReview, scheduleReview } from './completeReview.ts';
import { newestDateWins, setDue } from './dueWork.ts';
import { issueGrant } from './issueGrant.ts';
import { enqueue } from './outbox.ts';
import { isSamePerson } from './people.ts';
import { publish } from './publications.ts';
import { insertNewRow, insertRow, updateRow } from './rows.ts';
import type { Statements } from './statements.ts';

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
 * and partial unique indexes check every transition again. Statements of one change are asked for in their order before it
 * waits for any of them, so that changes may be made in one go, one after the other; only a publication reads first.
 * @returns the other requests that it ended: evidence tells of the end of each
 */
export async function applyChange(tx: Statements, place: Place, change: Change): Promise<readonly string[]> {
  if (change.change === 'begin-revocation') return beginRevocation(tx, place, change.epoch);
  await (changeOfRequest(tx, place, change) ?? Promise.all(changesOfIdentity(tx, place, change as IdentityChange)));
  return [];
}

type OwnChange = Exclude<Change, { change: 'begin-revocation' }>;

/** What `changeOfRequest` leaves. A change that has a case neither there nor in `changesOfIdentity` does not compile. */
type IdentityChange = Exclude<
  OwnChange,
  {
    change:
      | 'record-case-file'
      | 'record-decision'
      | 'withdraw-decision'
      | 'void-decision'
      | 'pause'
      | 'resume'
      | 'notify'
      | 'stopped-by-freeze'
      | 'publish-flow'
      | 'retire-flow'
      | 'grant';
  }
>;

/** Changes of the request itself, and of the published flows; undefined for one that is of its identity. */
function changeOfRequest(tx: Statements, place: Place, change: OwnChange): Promise<unknown> | undefined {
  const { requestId, now } = place;
  switch (change.change) {
    case 'record-decision': {
      const { decision, risk } = change;
      const { version = 1, decidedAt, authenticatedAt } = decision;
      const { id, stage, revision, approverId, verdict, digest, comment, keyId, signature } = decision;
      // The signed instants, so that the stored row can be verified again.
      return insertRow(tx, 'decision', {
        ...{ id, requestId, version, stage, revision, approverId, verdict, digest, comment, keyId, signature },
        ...(risk === undefined || version === 1 ? {} : { risk: { ...risk, contributions: [...risk.contributions] } }),
        decidedAt: new Date(decidedAt),
        ...(authenticatedAt === undefined ? {} : { authenticatedAt: new Date(authenticatedAt) }),
      });
    }
    case 'withdraw-decision':
    case 'void-decision':
      return updateRow(tx, 'decision', { id: change.decisionId }, { withdrawnAt: now });
    case 'record-case-file':
      // It leaves its evidence and no row.
      return Promise.resolve();
    case 'pause': {
      const { by: principal, reason } = change;
      return insertRow(tx, 'pause', { id: randomUUID(), requestId, principal, reason, createdAt: now });
    }
    case 'resume':
      return tx.$executeRaw`
        UPDATE "pause" SET "liftedAt" = ${now}, "liftedBy" = ${change.by}
        WHERE "requestId" = ${requestId} AND "liftedAt" IS NULL AND (
          ${change.all}::boolean OR ${isSamePerson(Prisma.sql`"principal"`, Prisma.sql`${change.by}::text`)})`;
    case 'notify':
      return enqueue(tx, { kind: 'notify', requestId, to: change.to, about: change.about });
    case 'stopped-by-freeze': {
      const { freezeIds, what } = change;
      return Promise.all(
        freezeIds.map((freezeId) => insertNewRow(tx, 'freeze_stop', { freezeId, requestId, what, at: now })),
      );
    }
    case 'publish-flow':
    case 'retire-flow':
      return publish(tx, { requestId, now }, change);
    case 'grant':
      return issueGrant(tx, { requestId, identityId: identityAt(place), now }, change);
    default:
      change satisfies IdentityChange;
      return undefined;
  }
}

function changesOfIdentity(tx: Statements, place: Place, change: IdentityChange): readonly Promise<unknown>[] {
  const { requestId, now } = place;
  const identityId = identityAt(place);
  const identity = (values: Parameters<typeof updateRow<'identity'>>[3]) =>
    updateRow(tx, 'identity', { id: identityId }, values);
  const credential = (version: number, values: Parameters<typeof updateRow<'credential'>>[3]) =>
    updateRow(tx, 'credential', { identityId, version }, values);
  switch (change.change) {
    case 'mint': {
      const { version, leaseEndsAt } = change;
      const minted = { handle: handleOf(identityId, version), identityId, version, requestId };
      return [
        identity({ highestVersion: version }),
        insertRow(tx, 'credential', {
          ...minted,
          state: 'minting',
          leaseEndsAt: new Date(leaseEndsAt),
          createdAt: now,
        }),
      ];
    }
    case 'renew-lease':
      return [credential(change.version, { leaseEndsAt: new Date(change.leaseEndsAt) })];
    case 'stage':
      return [credential(change.version, { state: 'staged', fingerprint: change.fingerprint })];
    case 'retire':
      return [credential(change.version, { state: 'retiring', retiringAt: now })];
    case 'make-current': {
      const { version, epoch } = change;
      const expiresAt = new Date(change.expiresAt);
      return [
        identity({ epoch }),
        credential(version, { state: 'current', epoch, expiresAt, committedAt: now, retiringAt: null }),
        setDue(tx, 'rotation', identityId, rotationDue(now, expiresAt)),
      ];
    }
    case 'record-promote':
      return [credential(change.version, { promotedEpoch: change.epoch, promotedAt: now })];
    case 'destroy':
      return [credential(change.version, { state: 'destroying', destroyingAt: now })];
    case 'record-receipt':
      return [
        credential(change.version, { receipt: { ...change.receipt } }),
        tx.$executeRaw`
          INSERT INTO "due_work" ("kind", "subjectId", "dueAt")
          SELECT 'sweep', "handle", "leaseEndsAt" FROM "credential"
          WHERE "identityId" = ${identityId} AND "version" = ${change.version} ${newestDateWins}`,
      ];
    case 'destroyed':
      return [credential(change.version, { state: 'destroyed', destroyedAt: now, receipt: { ...change.receipt } })];
    case 'activate-identity':
      return [
        identity({ state: 'active' }),
        tx.$executeRaw`
          INSERT INTO "due_work" ("kind", "subjectId", "dueAt")
          SELECT 'expiry', "id", "expiresAt" FROM "identity" WHERE "id" = ${identityId} ${newestDateWins}`,
        scheduleReview(tx, { identityId, by: new Date(change.reviewBy), now }),
      ];
    case 'reject-identity':
      return [identity({ state: 'rejected' }), lookOnceMore(tx, place)];
    case 'finish-revocation':
      return [identity({ state: 'revoked' })];
    case 'amend': {
      const { scopes, consumers, expiresAt, ...scalars } = change.subject;
      return [
        identity({
          ...scalars,
          ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt) }),
          ...(scopes === undefined ? {} : { scopes: [...scopes] }),
          ...(consumers === undefined ? {} : { consumers: [...consumers] }),
        }),
        tx.$executeRaw`UPDATE "request" SET "revision" = "revision" + 1 WHERE "id" = ${requestId}`,
      ];
    }
    case 'complete-review':
      return [completeReview(tx, place, change)];
    case 'deliver-reissue':
      return [
        tx.$executeRaw`
          UPDATE "reissue_order" SET "deliveredAt" = ${now}, "deliveredVersion" = ${change.version}::int
          WHERE "reviewRequestId" = ${change.order}`,
      ];
    case 'waive-reissue':
      return [
        tx.$executeRaw`
          UPDATE "reissue_order" SET "waivedAt" = ${now}, "waivedBy" = ${change.by}, "waivedBecause" = ${change.reason}
          WHERE "reviewRequestId" = ${change.order}`,
      ];
    case 'record-quarantine':
      // It leaves its evidence and no row.
      return [];
    default:
      return change satisfies never;
  }
}

/** The whole transaction of a revocation: nothing issued before it counts any more, whatever state it was in. */
async function beginRevocation(tx: Statements, place: Place, epoch: number): Promise<readonly string[]> {
  const { requestId, now } = place;
  const identityId = identityAt(place);
  const [, , , ended] = await Promise.all([
    tx.$executeRaw`
      UPDATE "identity" SET "state" = CASE WHEN "state" IN ('requested', 'rejected') THEN 'rejected' ELSE 'revoking' END, "epoch" = ${epoch}
      WHERE "id" = ${identityId}`,
    tx.$executeRaw`
      UPDATE "credential" SET "state" = 'destroying', "destroyingAt" = ${now}
      WHERE "identityId" = ${identityId} AND "state" NOT IN ('destroying', 'destroyed')`,
    tx.$executeRaw`DELETE FROM "due_work" WHERE "subjectId" = ${identityId}`,
    // Each is told in the outbox, and is ended in the order of the ids.
    tx.$queryRaw<{ id: string }[]>`
      WITH "other" AS (
        UPDATE "request" SET "state" = ${endedByRevocation.state}, "reason" = ${endedByRevocation.reason},
          "finishedAt" = ${now}, "updatedAt" = ${now}, "owesDestroys" = false, "wakeAt" = NULL, "sequence" = "sequence" + 1
        WHERE "identityId" = ${identityId} AND "id" <> ${requestId} AND "finishedAt" IS NULL RETURNING "id"),
      "told" AS (
        INSERT INTO "outbox_message" ("kind", "payload")
        SELECT 'nudge', jsonb_build_object('kind', 'nudge', 'requestId', "id") FROM "other" ORDER BY "id")
      SELECT "id" FROM "other" ORDER BY "id"`,
    lookOnceMore(tx, place),
  ]);
  return ended.map(({ id }) => id);
}

/**
 * Of an identity that is rejected after a credential of it was confirmed gone: that destroy left standing what the issuer
 * keeps per identity, and no other may follow. A sweep looks again, and takes it away. Whose destroy is still under way
 * waits for the lock on its credential before it asks whether the identity is final.
 */
function lookOnceMore(tx: Statements, place: Place): Promise<unknown> {
  return tx.$executeRaw`
    INSERT INTO "due_work" ("kind", "subjectId", "dueAt")
    SELECT 'sweep', c."handle", ${place.now} FROM "credential" c JOIN "identity" i ON i."id" = c."identityId"
    WHERE i."id" = ${identityAt(place)} AND i."state" = 'rejected' AND c."probe" IS NOT NULL
    ORDER BY c."version" DESC LIMIT 1
    ON CONFLICT DO NOTHING`;
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

/** Until a channel delivers notices, they are lines in the worker's log: nobody has been told anything. */
export const noticeChannel = { channel: 'log' } as const;

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
  'record-case-file': 'request.case-file',
  'record-decision': 'decision.recorded',
  'withdraw-decision': 'decision.withdrawn',
  'void-decision': 'decision.voided',
  pause: 'request.paused',
  resume: 'request.resumed',
  amend: 'request.amended',
  notify: 'request.notice-queued',
  'complete-review': 'identity.reviewed',
  'deliver-reissue': 'reissue.delivered',
  'waive-reissue': 'reissue.waived',
  'publish-flow': 'flow.published',
  'retire-flow': 'flow.retired',
  'stopped-by-freeze': 'request.frozen',
  grant: 'grant.issued',
};

/** What a change leaves as evidence: its kind and its own fields (promise 9). Proofs have kinds of their own. */
export function evidenceOf(change: Change, personKey: KeyObject): { kind: string; data: JsonObject } {
  const { change: name, ...data } = change;
  if (change.change === 'record-decision') {
    const { decision } = change;
    const kind = decision.verdict === 'confirm' ? 'proof.recorded' : evidenceKinds[name];
    return { kind, data: { ...publishedDecision(decision, personKey), signature: decision.signature } };
  }
  if (change.change === 'withdraw-decision') {
    const { what, decisionId, withdrawal } = change;
    const signed = { ...publishedDecision(withdrawal, personKey), signature: withdrawal.signature };
    return { kind: `${what}.withdrawn`, data: { decisionId, by: withdrawal.approverId, withdrawal: signed } };
  }
  if (change.change === 'void-decision') {
    const { what, decisionId, because } = change;
    return { kind: `${what}.voided`, data: { decisionId, because } };
  }
  if (change.change === 'notify') {
    const { to, about } = change;
    return { kind: evidenceKinds[name], data: { to, about, ...noticeChannel } };
  }
  return { kind: evidenceKinds[name], data: JSON.parse(JSON.stringify(data)) as JsonObject };
}
