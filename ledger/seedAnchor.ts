import type { Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import { openOwnCheckpoint } from './evidenceLogs.ts';
import { readAnchor } from './sealerAnchor.ts';
import { readNoteFile } from './sealerHead.ts';
import { checkSignedHistory, type Sealing } from './sealerSteps.ts';

/**
 * Effect: an anchor that keeps nothing keeps the head on disk, which the ledger must hold, from now on; the evidence says
 * so. Idempotent: one that keeps a checkpoint is left as it is.
 * @throws what the sealer would stop at; NothingToSeed when nothing was ever signed here
 */
export async function seedAnchor(
  ledger: Pick<Ledger, 'prisma' | 'evidence'>,
  { anchor, ...sealing }: Sealing,
): Promise<{ readonly seeded: boolean; readonly size: number; readonly origin: string }> {
  const { prisma, evidence } = ledger;
  if (anchor === undefined) throw new NothingToSeed('tenure.yaml names no evidence.anchorFile.');
  const kept = await readAnchor(anchor, evidence);
  if (kept !== undefined) return { seeded: false, size: kept.size, origin: kept.origin };
  await checkSignedHistory(sealing);
  const note = await readNoteFile(sealing.headFile);
  if (note === undefined)
    throw new NothingToSeed(
      `${sealing.headFile} is not there: nothing was signed here yet, and the first checkpoint seeds it.`,
    );
  const { origin, size, root } = openOwnCheckpoint(evidence, note);
  await prisma.$transaction(async (tx) => {
    const at = await databaseClock(tx);
    const data = { anchor: anchor.name, origin, size, root: root.toString('hex') };
    await appendEvidence(tx, evidence, [
      { chain: 'installation', kind: 'installation.anchor-seeded', actor: 'system:operator', at, data },
    ]);
    // Inside: an anchor that cannot be written leaves no word that it was.
    await anchor.publish(note);
  });
  return { seeded: true, size, origin };
}

/** There is no anchor, or nothing that it could keep. Nothing was changed. */
export class NothingToSeed extends Error {
  override readonly name = 'NothingToSeed';
}
