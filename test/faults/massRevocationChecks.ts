import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { EvidenceEntry } from '../../domain/evidence/entry.ts';
import type { Scene } from './checks.ts';
import type { MassRevocationKept } from './story.ts';
import { listAll, MassRevocationView, observer } from './views.ts';

const Detail = MassRevocationView.extend({ stuck: z.array(z.unknown()) });
const RevokedCredential = z.object({
  identityId: z.string(),
  version: z.int(),
  state: z.string(),
  receipt: z.object({ method: z.string() }).nullable(),
});
const Destroyed = z.object({ version: z.int(), receipt: z.object({ method: z.string() }) });

/** Each is closed, with nothing stuck and nobody let go; its report counts what is listed, and evidence tells all of it once. */
export async function checkMassRevocations(scene: Scene, entries: readonly EvidenceEntry[]): Promise<void> {
  for (const kept of scene.story.massRevocations) await checkOne(scene, kept, entries);
}

async function checkOne(
  { calls, story, log }: Scene,
  kept: MassRevocationKept,
  entries: readonly EvidenceEntry[],
): Promise<void> {
  const path = `/v1/freezes/${kept.freeze.id}/revocations/${kept.id}`;
  const { state, total, stuck, report } = Detail.parse((await calls.readSurely(observer, path)).body);
  if (state !== 'closed' || report === null || total.waiting + total.underWay + total.stuck + stuck.length > 0) {
    log.violation(`mass revocation ${kept.id} is ${state}: ${JSON.stringify({ total, stuck })}`);
    return;
  }
  const { receipts, subjects, resolvedByHand, residual } = report;

  const listed = await listAll(calls, `${path}/credentials`, RevokedCredential);
  const left = [subjects.letGo, receipts.unverifiable, receipts.missing, resolvedByHand.count, residual.count];
  if (left.some((count) => count > 0))
    log.violation(`mass revocation ${kept.id} left something: ${JSON.stringify(report)}`);
  if (listed.length !== receipts.tried + receipts.absent)
    log.violation(`mass revocation ${kept.id} lists ${listed.length} credentials: ${JSON.stringify(receipts)}`);
  const its = new Set(
    story.subjects.filter(({ life }) => life.integration === kept.plan.integration).map(({ identityId }) => identityId),
  );
  for (const credential of listed) {
    const { identityId, version, state: ended, receipt } = credential;
    if (ended !== 'destroyed' || receipt === null || !its.has(identityId))
      log.violation(`mass revocation ${kept.id} lists ${JSON.stringify(credential)}`);
    const told = entries
      .filter((entry) => entry.kind === 'credential.destroyed' && entry.identityId === identityId)
      .map(({ data }) => Destroyed.parse(data))
      .filter((destroyed) => destroyed.version === version);
    if (told.length !== 1 || told[0]?.receipt.method !== receipt?.method)
      log.violation(`${identityId}-v${version} is destroyed (${receipt?.method}); evidence: ${JSON.stringify(told)}`);
  }
  checkChain(log, kept, { report, entries });
}

function checkChain(
  log: Scene['log'],
  { id, freeze, commanded }: MassRevocationKept,
  { report, entries }: { report: MassRevocationView['report']; entries: readonly EvidenceEntry[] },
): void {
  const chain = entries.filter(
    (entry) => entry.chain === `freeze/${freeze.id}` && entry.data['massRevocationId'] === id,
  );
  const kinds = chain.map(({ kind }) => kind);
  const expected = ['started', ...commanded, 'closed'].map((what) => `mass-revocation.${what}`);
  if (!isDeepStrictEqual(kinds, expected))
    log.violation(`mass revocation ${id}: the evidence tells ${kinds.join(', ')}, not ${expected.join(', ')}`);
  const told = MassRevocationView.shape.report.safeParse(chain.at(-1)?.data);
  if (!told.success || !isDeepStrictEqual(told.data, report))
    log.violation(`mass revocation ${id}: the evidence closes it with ${JSON.stringify(chain.at(-1)?.data)}`);
}
