import { randomBytes } from 'node:crypto';
import type { Receipt } from '../domain/flow/plan.ts';
import { idFromBytes } from '../domain/ids.ts';
import type { Difference, KnownIdentity } from '../domain/reconciliation.ts';
import type { ReconciliationFinding } from '../prisma/generated/client.ts';
import type { Ledger, Transaction } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence, type EvidenceDraft } from './evidence.ts';
import { knownIdentities } from './knownIdentities.ts';
import type { Part, ReconciliationRun } from './reconciliations.ts';

export type Finding = ReconciliationFinding & Part;

export interface Settled {
  /** Open ones that this look confirmed; accepted ones are left as they are. */
  readonly findings: readonly Finding[];
  readonly identity: KnownIdentity | undefined;
  /** The ledger's clock. */
  readonly now: Date;
}

/**
 * Under the identity's lock: what `compare` finds now, and what was found against the ledger as it was before the look
 * outside too (`first`), is a finding, new or seen again, with its evidence. Counters are raised to what is outside where `raise` says so: a version or an epoch
 * that exists is never given out again.
 */
export async function recordDifferences(
  ledger: Ledger,
  run: ReconciliationRun,
  look: {
    readonly identityId: string;
    readonly first: readonly Difference[];
    compare(identity: KnownIdentity | undefined): readonly Difference[];
    readonly raise?: { readonly version?: number; readonly epoch?: number };
  },
): Promise<Settled> {
  return ledger.prisma.$transaction(async (tx) => {
    const { identityId } = look;
    await tx.$queryRaw`SELECT 1 FROM "identity" WHERE "id" = ${identityId} FOR UPDATE`;
    const identity = (await knownIdentities(tx, [identityId])).get(identityId);
    const now = await databaseClock(tx);
    const isSame = (one: Difference, other: Difference) => one.kind === other.kind && one.version === other.version;
    const confirmed = look.compare(identity).filter((each) => look.first.some((earlier) => isSame(earlier, each)));
    const drafts: EvidenceDraft[] = [];
    const findings: Finding[] = [];
    for (const each of confirmed) {
      const { finding, isNew } = await keep(tx, run, each, now);
      if (finding.state === 'open') findings.push(finding);
      if (isNew) drafts.push(evidenceOf(finding, 'finding.opened', 'system:reconciler', now, { detail: each.detail }));
    }
    if (look.raise !== undefined) drafts.push(...(await raiseCounters(tx, identityId, look.raise, now)));
    await appendEvidence(tx, ledger.evidence, drafts);
    return { findings, identity, now };
  });
}

async function keep(
  tx: Transaction,
  run: ReconciliationRun,
  { kind, identityId, version = 0, detail }: Difference,
  now: Date,
): Promise<{ finding: Finding; isNew: boolean }> {
  const { part, name } = run;
  const place = { part, name, kind, identityId, version };
  const seen = { detail, runId: run.id, lastSeenAt: now };
  const known = await tx.reconciliationFinding.findFirst({ where: { ...place, state: { not: 'repaired' } } });
  const row =
    known === null
      ? await tx.reconciliationFinding.create({
          data: { id: idFromBytes(randomBytes(16)), ...place, ...seen, createdAt: now },
        })
      : await tx.reconciliationFinding.update({ where: { id: known.id }, data: seen });
  return { finding: row as Finding, isNew: known === null };
}

async function raiseCounters(
  tx: Transaction,
  identityId: string,
  { version = 0, epoch = 0 }: { readonly version?: number; readonly epoch?: number },
  now: Date,
): Promise<EvidenceDraft[]> {
  const raised = await tx.$queryRaw<{ highestVersion: number; epoch: number }[]>`
    UPDATE "identity" SET "highestVersion" = greatest("highestVersion", ${version}), "epoch" = greatest("epoch", ${epoch})
    WHERE "id" = ${identityId} AND ("highestVersion" < ${version} OR "epoch" < ${epoch})
    RETURNING "highestVersion", "epoch"`;
  return raised.map((data) => ({
    chain: `identity/${identityId}`,
    kind: 'identity.counters-raised',
    actor: 'system:reconciler',
    identityId,
    at: now,
    data,
  }));
}

/** Effect: a revoked identity's next epoch, above the one that its store carries. Idempotent. */
export async function takeEpochAbove(ledger: Ledger, identityId: string, epoch: number): Promise<number> {
  return ledger.prisma.$transaction(async (tx) => {
    const drafts = await raiseCounters(tx, identityId, { epoch }, await databaseClock(tx));
    await appendEvidence(tx, ledger.evidence, drafts);
    const identity = await tx.identity.findUniqueOrThrow({ where: { id: identityId }, select: { epoch: true } });
    return identity.epoch;
  });
}

/**
 * Effect: the finding is closed, with what was done about it and the receipt of what was destroyed. Idempotent: one that
 * is closed stays as it is.
 * @param served the credential that the store serves again, and under which epoch
 */
export async function recordRepair(
  ledger: Ledger,
  finding: Finding,
  repair: { resolution: string; receipt?: Receipt; served?: { version: number; epoch: number } },
): Promise<void> {
  const { resolution, receipt, served } = repair;
  await ledger.prisma.$transaction(async (tx) => {
    const now = await databaseClock(tx);
    const { count } = await tx.reconciliationFinding.updateMany({
      where: { id: finding.id, state: 'open' },
      data: {
        state: 'repaired',
        resolution,
        resolvedBy: 'system:reconciler',
        resolvedAt: now,
        lastError: null,
        ...(receipt === undefined ? {} : { receipt: { ...receipt } as object }),
      },
    });
    if (count === 0) return;
    if (served !== undefined)
      await tx.credential.updateMany({
        where: { identityId: finding.identityId, version: served.version, state: 'current' },
        data: { promotedEpoch: served.epoch, promotedAt: now },
      });
    const data = { resolution, ...(receipt === undefined ? {} : { receipt: JSON.parse(JSON.stringify(receipt)) }) };
    await appendEvidence(tx, ledger.evidence, [
      evidenceOf(finding, 'finding.repaired', 'system:reconciler', now, data),
    ]);
  });
}

/** Effect: why a repair failed, for operators; the finding stays open. */
export async function recordRepairError(
  { prisma }: Pick<Ledger, 'prisma'>,
  finding: Finding,
  reason: string,
): Promise<void> {
  await prisma.reconciliationFinding.updateMany({
    where: { id: finding.id, state: 'open' },
    data: { lastError: reason.slice(0, 500) },
  });
}

/**
 * Effect: open findings of the compared identities that this run did not see again are closed: somebody put it right.
 * @param until the last identity that was compared; undefined: to the end
 */
export async function closeUnseen(ledger: Ledger, run: ReconciliationRun, until: string | undefined): Promise<void> {
  await ledger.prisma.$transaction(async (tx) => {
    const now = await databaseClock(tx);
    const closed = await tx.$queryRaw<Finding[]>`
      UPDATE "reconciliation_finding" SET "state" = 'repaired', "resolution" = 'seen no more',
        "resolvedBy" = 'system:reconciler', "resolvedAt" = ${now}, "lastError" = NULL
      WHERE "part" = ${run.part} AND "name" = ${run.name} AND "state" = 'open' AND "runId" <> ${run.id}
        AND "identityId" COLLATE "C" > ${run.cursor}
        AND (${until ?? null}::text IS NULL OR "identityId" COLLATE "C" <= ${until ?? null})
      RETURNING *`;
    const drafts = closed.map((finding) =>
      evidenceOf(finding, 'finding.closed', 'system:reconciler', now, { resolution: 'seen no more' }),
    );
    await appendEvidence(tx, ledger.evidence, drafts);
  });
}

export type Acceptance =
  | { readonly accepted: true; readonly finding: Finding }
  | { readonly accepted: false; readonly slug: 'not-found' | 'finding-closed'; readonly detail: string };

/** Effect: a person wants this difference left as it is: it is never repaired. Idempotent for the same person. */
export async function acceptFinding(
  ledger: Ledger,
  { id, by, reason }: { id: string; by: string; reason: string },
): Promise<Acceptance> {
  return ledger.prisma.$transaction(async (tx): Promise<Acceptance> => {
    const [finding] = await tx.$queryRaw<Finding[]>`
      SELECT * FROM "reconciliation_finding" WHERE "id" = ${id} FOR UPDATE`;
    if (finding === undefined) return { accepted: false, slug: 'not-found', detail: `There is no finding ${id}.` };
    if (finding.state === 'accepted' && finding.resolvedBy === by) return { accepted: true, finding };
    if (finding.state !== 'open') {
      const detail = `Finding ${id} is ${finding.state} by ${finding.resolvedBy}: ${finding.resolution}.`;
      return { accepted: false, slug: 'finding-closed', detail };
    }
    const now = await databaseClock(tx);
    const row = await tx.reconciliationFinding.update({
      where: { id },
      data: { state: 'accepted', resolution: reason, resolvedBy: by, resolvedAt: now },
    });
    await appendEvidence(tx, ledger.evidence, [evidenceOf(finding, 'finding.accepted', by, now, { reason })]);
    return { accepted: true, finding: row as Finding };
  });
}

/** Still open just before its repair begins: a person may have accepted it meanwhile. */
export async function isOpen({ prisma }: Pick<Ledger, 'prisma'>, finding: Finding): Promise<boolean> {
  return (await prisma.reconciliationFinding.count({ where: { id: finding.id, state: 'open' } })) === 1;
}

function evidenceOf(
  { id, part, name, kind, identityId, version }: Finding,
  what: string,
  actor: string,
  at: Date,
  data: EvidenceDraft['data'],
): EvidenceDraft {
  return {
    chain: `finding/${id}`,
    kind: what,
    actor,
    identityId,
    at,
    data: { ...data, part, name, finding: kind, ...(version === 0 ? {} : { version }) },
  };
}
