import { z } from 'zod';
import { findingKinds } from '../../domain/reconciliation.ts';
import type { Finding } from '../../ledger/findings.ts';
import type { ReconciliationRun } from '../../ledger/reconciliations.ts';
import type { LedgerRestore } from '../../ledger/restore.ts';
import { Id, Instant } from './fields.ts';

const Part = z.enum(['issuer', 'store']);

export const RunBody = z
  .object({
    id: Id,
    part: Part,
    name: z.string(),
    trigger: z.enum(['schedule', 'person', 'resume']),
    requestedBy: z.string(),
    state: z.enum(['waiting', 'running', 'done', 'abandoned']),
    observeOnly: z.boolean().meta({ description: 'The ledger had been restored: nothing was repaired.' }),
    compared: z.int().meta({ description: 'Identities, so far.' }),
    foreign: z.int().meta({ description: 'Credentials named like ours without our tag: counted, never touched.' }),
    found: z.int(),
    repaired: z.int(),
    lastError: z
      .string()
      .nullable()
      .meta({ description: 'Why the next page could not be compared; it is tried again.' }),
    startedAt: Instant,
    finishedAt: Instant.nullable(),
  })
  .meta({ id: 'Reconciliation' });
export type RunBody = z.input<typeof RunBody>;

export function runBody(run: ReconciliationRun): RunBody {
  const { id, part, name, requestedBy, observeOnly, compared, foreign, found, repaired, lastError } = run;
  return {
    ...{ id, part, name, requestedBy, observeOnly, compared, foreign, found, repaired, lastError },
    trigger: RunBody.shape.trigger.parse(run.trigger),
    state: RunBody.shape.state.parse(run.state),
    startedAt: run.createdAt.toISOString(),
    finishedAt: run.finishedAt?.toISOString() ?? null,
  };
}

export const FindingKindField = z.enum(findingKinds).meta({
  description:
    'At an issuer: `unknown` (ours by its tag, not in the ledger), `missing`, `returned` (destroyed, and there again), `foreign` (bears a name of ours without our tag). In a store: `unknown`, `behind`, `ahead`, `tombstone-missing`, `staged-left`.',
});
export const FindingState = z.enum(['open', 'repaired', 'accepted']);

const ReceiptField = z.object({
  method: z.enum(['tried', 'absent', 'unverifiable']),
  because: z.string(),
  at: Instant,
  stillUsable: z.array(z.object({ what: z.string(), until: z.string() })),
});

export const FindingBody = z
  .object({
    id: Id,
    part: Part,
    name: z.string(),
    kind: FindingKindField,
    identityId: z.string(),
    version: z.int().nullable(),
    detail: z.string(),
    remedy: z.string().meta({ description: 'What happens next, or what you can do.' }),
    state: FindingState,
    firstSeenAt: Instant,
    lastSeenAt: Instant,
    resolution: z.string().nullable(),
    resolvedBy: z.string().nullable(),
    resolvedAt: Instant.nullable(),
    receipt: ReceiptField.nullable(),
    lastError: z.string().nullable().meta({ description: 'Why the last repair failed; it is tried again.' }),
  })
  .meta({ id: 'ReconciliationFinding' });
export type FindingBody = z.input<typeof FindingBody>;

export function findingBody(finding: Finding): FindingBody {
  const { id, part, name, identityId, detail, resolution, resolvedBy, lastError } = finding;
  const kind = FindingKindField.parse(finding.kind);
  return {
    ...{ id, part, name, identityId, detail, resolution, resolvedBy, lastError, kind },
    version: finding.version === 0 ? null : finding.version,
    remedy: remedies[`${part} ${kind}`] ?? remedies[kind],
    state: FindingState.parse(finding.state),
    firstSeenAt: finding.createdAt.toISOString(),
    lastSeenAt: finding.lastSeenAt.toISOString(),
    resolvedAt: finding.resolvedAt?.toISOString() ?? null,
    receipt: finding.receipt === null ? null : ReceiptField.parse(finding.receipt),
  };
}

const remedies: Readonly<Record<FindingBody['kind'], string> & Record<string, string>> = {
  unknown: 'Destroyed once it is older than any lease and nothing active depends on it. Accept it to keep it.',
  'store unknown':
    'Left alone: a path carries no tag. If no other installation uses this store, remove it there; else accept it.',
  missing: 'Not repaired: rotate the identity (POST /v1/identities/{id}/rotations), or revoke it.',
  returned: 'Destroyed again. Find out who made it. Accept it to keep it.',
  foreign: 'Never touched. Remove or rename it at the issuer: it stands where a credential of ours would be.',
  behind: 'The store is written again with what the ledger recorded, after the issuer accepted it.',
  ahead: 'Not repaired: find out who wrote it. A rotation or revocation writes the live path anew.',
  'tombstone-missing': 'The identity is quarantined again.',
  'staged-left': 'The staged value is discarded again.',
};

export const RestoreBody = z
  .object({
    detectedAt: Instant,
    signedEntries: z
      .int()
      .meta({ description: 'How many evidence entries were signed; the ledger lacks the last of them.' }),
    state: z.enum(['observing', 'resuming', 'resumed']).meta({
      description:
        '`observing`: nothing is done until an administrator resumes. `resuming`: every issuer and store is compared once more first. `resumed`: the ledger acts.',
    }),
    confirmedAt: Instant.nullable(),
    confirmedBy: z.string().nullable(),
    reason: z.string().nullable(),
    resumedAt: Instant.nullable(),
  })
  .meta({ id: 'LedgerRestore' });
export type RestoreBody = z.input<typeof RestoreBody>;

export function restoreBody(restore: LedgerRestore): RestoreBody {
  const { detectedAt, signedSize, confirmedAt, confirmedBy, reason, resumedAt } = restore;
  const state = resumedAt !== null ? 'resumed' : confirmedAt !== null ? 'resuming' : 'observing';
  return {
    detectedAt: detectedAt.toISOString(),
    signedEntries: Number(signedSize),
    state,
    confirmedAt: confirmedAt?.toISOString() ?? null,
    confirmedBy,
    reason,
    resumedAt: resumedAt?.toISOString() ?? null,
  };
}

export const runExample: RunBody = {
  id: 'k6q5vwr2m7xqkz4e5pj3n2a7ha',
  part: 'issuer',
  name: 'main-db',
  trigger: 'schedule',
  requestedBy: 'system:lifecycle',
  state: 'done',
  observeOnly: false,
  compared: 412,
  foreign: 0,
  found: 1,
  repaired: 0,
  lastError: null,
  startedAt: '2026-11-22T10:00:00.000Z',
  finishedAt: '2026-11-22T10:00:04.000Z',
};

export const findingExample: FindingBody = {
  id: 'ma3rq2xv5tzqpy4o7cwd6b5eji',
  part: 'issuer',
  name: 'main-db',
  kind: 'missing',
  identityId: 'qsch47vxnzj47kmpqx6qtfacpi',
  version: 3,
  detail: 'the ledger has it current, and it is not there',
  remedy: remedies.missing,
  state: 'open',
  firstSeenAt: '2026-11-22T10:00:02.000Z',
  lastSeenAt: '2026-11-22T10:00:02.000Z',
  resolution: null,
  resolvedBy: null,
  resolvedAt: null,
  receipt: null,
  lastError: null,
};

export const restoreExample: RestoreBody = {
  detectedAt: '2026-11-22T10:00:00.000Z',
  signedEntries: 18_233,
  state: 'resuming',
  confirmedAt: '2026-11-22T10:20:00.000Z',
  confirmedBy: 'admin@example.com',
  reason: 'Restored from the backup of 09:00 after the disk failure, ticket 4711',
  resumedAt: null,
};
