import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { exportEvidence } from '../../cli/evidenceExport.ts';
import { verifyExport } from '../../cli/evidenceVerify.ts';
import { checkpointResponseSchema } from '../../contracts/evidence.ts';
import { type EvidenceEntry, evidenceEntrySchema } from '../../domain/evidence/entry.ts';
import { formsFound } from '../attacks/forms.ts';
import type { Caller } from './caller.ts';
import type { Scene } from './checks.ts';
import { observer, type RequestView } from './views.ts';

/** Exported, verified offline, a continuation of what was held, and each request's opening and end in it. @returns what was exported */
export async function checkEvidence(
  scene: Scene,
  requests: readonly RequestView[],
  heldCheckpoint: string | undefined,
): Promise<{ readonly lines: Buffer; readonly entries: readonly EvidenceEntry[] }> {
  const { stage, calls, log } = scene;
  await untilSealed(calls);
  const directory = join(stage.directory, 'evidence');
  const token = stage.token(observer);
  const exported = await exportEvidence({ url: stage.apiUrl, token, directory });
  if (!exported.ok) log.violation(`the export does not verify: ${JSON.stringify(exported.problems)}`);
  mkdirSync(join(stage.directory, 'held'), { recursive: true });
  const heldCheckpointFile = join(stage.directory, 'held', 'checkpoint');
  if (heldCheckpoint !== undefined) writeFileSync(heldCheckpointFile, heldCheckpoint);
  const verified = await verifyExport({ directory, ...(heldCheckpoint === undefined ? {} : { heldCheckpointFile }) });
  if (!verified.ok) log.violation(`the export does not verify offline: ${JSON.stringify(verified.problems)}`);
  const lines = readFileSync(join(directory, 'entries.jsonl'));
  const entries = lines
    .toString('utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => evidenceEntrySchema.parse(JSON.parse(line)));
  for (const { id, kind, state } of requests) {
    const openings = entries.filter((entry) => entry.kind === 'request.opened' && entry.requestId === id);
    if (openings.length !== 1) log.violation(`${kind} ${id} was opened ${openings.length} times in the evidence`);
    const ends = entries.filter((entry) => entry.kind === 'request.finished' && entry.requestId === id);
    if (ends.length !== 1 || ends[0]?.data['state'] !== state)
      log.violation(
        `${kind} ${id} is ${state}; its ends in the evidence: ${JSON.stringify(ends.map(({ data }) => data))}`,
      );
  }
  return { lines, entries };
}

/** Sealed within a second: nothing more is written now, so the newest checkpoint comes to stand still. */
async function untilSealed(calls: Caller): Promise<void> {
  for (let before = -1; ; ) {
    const { size } = checkpointResponseSchema.parse(
      (await calls.readSurely(observer, '/v1/evidence/checkpoints')).body,
    );
    if (size === before) return;
    before = size;
    await wait(1_500);
  }
}

/** Nothing that was served stands in a log, in Temporal's database or in the evidence. */
export function checkSecrets({ stage, story, log }: Scene, evidence: Buffer): void {
  const places = { ...stage.written(), evidence };
  for (const [place, bytes] of Object.entries(places))
    for (const secret of story.secrets)
      for (const form of formsFound(bytes, secret)) log.violation(`a served secret stands in ${place} (${form})`);
}
