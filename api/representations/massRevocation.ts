import { z } from 'zod';
import type { MassRevocationSituation, RevokedCredential, StuckSubject } from '../../ledger/queries/massRevocations.ts';
import { Id, Instant } from './fields.ts';

const count = z.int().nonnegative();

const Progress = z.object({
  waiting: count,
  underWay: count.meta({ description: 'Begun, and neither complete nor stuck.' }),
  revoked: count.meta({ description: 'Complete, with receipts.' }),
  stuck: count.meta({ description: 'Begun, and failed three times in a row: tried on, and somebody must look.' }),
  letGo: count.meta({ description: 'Let go before its turn, by a review or since the freeze was lifted.' }),
});

const Residual = z.object({
  identityId: Id,
  version: z.int(),
  what: z.string(),
  until: Instant.nullable().meta({ description: 'Null: nobody knows an end.' }),
});

export const MassRevocationReport = z
  .object({
    startedBy: z.string(),
    startedAt: Instant,
    closedAt: Instant,
    seconds: count,
    subjects: z.object({ revoked: count, letGo: count }),
    receipts: z.object({
      tried: count.meta({ description: 'Accepted before, refused now, while a control login succeeded.' }),
      absent: count.meta({ description: 'Its issuer lists it no more.' }),
      unverifiable: count.meta({
        description: 'Nobody could ask; a person vouched for it, or the issuer cannot tell.',
      }),
      missing: count.meta({
        description: 'Without a receipt: none since it waits for every destroy; earlier reports may have some.',
      }),
    }),
    resolvedByHand: z.object({
      count,
      first: z.array(z.object({ identityId: Id, version: z.int(), requestId: Id, reason: z.string() })),
    }),
    residual: z
      .object({
        count,
        worst: Residual.nullable().meta({ description: 'What can be used the longest; null when nothing can.' }),
        first: z.array(Residual).meta({ description: 'The 200 that can be used the longest.' }),
      })
      .meta({ description: 'What could still be used when it closed.' }),
  })
  .meta({ id: 'MassRevocationReport' });

export const massRevocationStates = ['running', 'paused', 'closed'] as const;

export const MassRevocationBody = z
  .object({
    id: Id,
    freezeId: Id,
    state: z.enum(massRevocationStates),
    reason: z.string(),
    startedBy: z.string(),
    startedAt: Instant,
    pausedAt: Instant.nullable(),
    pausedBy: z.string().nullable(),
    pauseReason: z.string().nullable(),
    closedAt: Instant.nullable(),
    total: Progress,
    issuers: z.array(Progress.extend({ issuer: z.string() })),
    report: MassRevocationReport.nullable().meta({ description: 'Null until it is closed.' }),
  })
  .meta({ id: 'MassRevocation' });
export type MassRevocationBody = z.input<typeof MassRevocationBody>;

export const MassRevocationDetail = MassRevocationBody.extend({
  stuck: z
    .array(
      z.object({
        identityId: Id,
        identityName: z.string(),
        issuer: z.string(),
        requestId: Id.nullable().meta({ description: 'Null when its revocation could not even be opened.' }),
        begunAt: Instant,
        error: z.string().meta({ description: 'Of the last attempt.' }),
      }),
    )
    .meta({ description: 'The 200 that have been stuck the longest.' }),
}).meta({ id: 'MassRevocationDetail' });

const none = { waiting: 0, underWay: 0, revoked: 0, stuck: 0, letGo: 0 };

export function massRevocationBody(row: MassRevocationSituation): MassRevocationBody {
  const { createdAt, pausedAt, closedAt, issuers, report } = row;
  return {
    id: row.id,
    freezeId: row.freezeId,
    state: closedAt !== null ? 'closed' : pausedAt !== null ? 'paused' : 'running',
    reason: row.reason,
    startedBy: row.startedBy,
    startedAt: createdAt.toISOString(),
    pausedAt: pausedAt?.toISOString() ?? null,
    pausedBy: row.pausedBy,
    pauseReason: row.pauseReason,
    closedAt: closedAt?.toISOString() ?? null,
    total: issuers.reduce(
      (sum, each) => ({
        waiting: sum.waiting + each.waiting,
        underWay: sum.underWay + each.underWay,
        revoked: sum.revoked + each.revoked,
        stuck: sum.stuck + each.stuck,
        letGo: sum.letGo + each.letGo,
      }),
      none,
    ),
    issuers: [...issuers],
    report: report === null ? null : MassRevocationReport.parse(report),
  };
}

export function massRevocationDetail(
  row: MassRevocationSituation,
  stuck: readonly StuckSubject[],
): z.input<typeof MassRevocationDetail> {
  return {
    ...massRevocationBody(row),
    stuck: stuck.map(({ name, begunAt, ...subject }) => ({
      ...subject,
      identityName: name,
      begunAt: begunAt.toISOString(),
    })),
  };
}

const Receipt = z.object({
  method: z.enum(['tried', 'absent', 'unverifiable']),
  because: z.string(),
  at: Instant,
  stillUsable: z.array(z.object({ what: z.string(), until: Instant })),
});

export const RevokedCredentialBody = z
  .object({
    identityId: Id,
    version: z.int(),
    requestId: Id.nullable(),
    state: z.string(),
    receipt: Receipt.nullable().meta({
      description: 'Null until the issuer has confirmed, or a person vouched for it.',
    }),
  })
  .meta({ id: 'RevokedCredential' });

export function revokedCredentialBody(row: RevokedCredential): z.input<typeof RevokedCredentialBody> {
  const { identityId, version, requestId, state, receipt } = row;
  return { identityId, version, requestId, state, receipt: receipt === null ? null : Receipt.parse(receipt) };
}

export const massRevocationExample: MassRevocationBody = {
  id: 'mq3vzm6mftpgj5cy2o4xw7rq5a',
  freezeId: 'l3vzm6mftpgj5cy2o4xw7rq5na',
  state: 'running',
  reason: 'Compromised build host, ticket 4711',
  startedBy: 'responder@example.com',
  startedAt: '2026-11-22T10:05:00.000Z',
  pausedAt: null,
  pausedBy: null,
  pauseReason: null,
  closedAt: null,
  total: { waiting: 31, underWay: 8, revoked: 2, stuck: 1, letGo: 0 },
  issuers: [{ issuer: 'main-db', waiting: 31, underWay: 8, revoked: 2, stuck: 1, letGo: 0 }],
  report: null,
};

export const massRevocationDetailExample: z.input<typeof MassRevocationDetail> = {
  ...massRevocationExample,
  stuck: [
    {
      identityId: 'qsch47vxnzj47kmpqx6qtfacpi',
      identityName: 'billing-api',
      issuer: 'main-db',
      requestId: 'r5ch47vxnzj47kmpqx6qtfacpi',
      begunAt: '2026-11-22T10:05:01.000Z',
      error: 'Issuer main-db cannot be reached: connection refused.',
    },
  ],
};
