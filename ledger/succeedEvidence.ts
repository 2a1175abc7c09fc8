import type { KeyObject } from 'node:crypto';
import { openSuccession, type Succession, signSuccession } from '../domain/evidence/succession.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import { openOwnCheckpoint } from './evidenceLogs.ts';
import { keyIdOfSigning } from './installationKeys.ts';
import { becomeSealer, requireSignedHistory, round, type Sealing } from './sealerSteps.ts';

/** Another key cannot succeed now. Nothing was changed. */
export class EvidenceNotSucceeded extends Error {
  override readonly name = 'EvidenceNotSucceeded';
}

/**
 * Effect: from now on `newKey` signs, in a log of its own that goes on with the same tree; its first entry is the note that both
 * keys signed. The key of this process is retired with that, and no process that has it signs or starts any more.
 * @throws what the sealer would stop at; EvidenceNotSucceeded while nothing was signed or another sealer is at work
 */
export async function succeedEvidenceKey(sealing: Sealing, newKey: KeyObject): Promise<Succession> {
  const { direct, keys } = sealing;
  return direct.transaction(round, async (tx) => {
    const standing = await becomeSealer(tx, keys);
    if (standing === undefined)
      throw new EvidenceNotSucceeded('A sealer is at work. Stop the worker that seals, then try again.');
    await requireSignedHistory(tx, standing, sealing);
    const { log, published } = standing;
    if (published === undefined)
      throw new EvidenceNotSucceeded(`${log.origin} has signed nothing yet. Let the worker seal first, then succeed.`);
    const note = signSuccession(openOwnCheckpoint(keys, published.note), keys.signingKey, newKey);
    const succession = openSuccession(note);
    const at = await databaseClock(tx);
    await tx.$executeRaw`
      INSERT INTO "evidence_log" ("generation", "firstSize", "succession", "begunAt")
      VALUES (${log.generation + 1}, ${BigInt(published.size)}, ${note}, ${at.toISOString()}::timestamptz)`;
    const [retired, active] = [keyIdOfSigning(keys.signingKey), keyIdOfSigning(newKey)];
    await tx.$executeRaw`
      INSERT INTO "installation_key" ("name", "keyId", "state", "since")
      VALUES ('evidence-signing', ${active}, 'active', clock_timestamp()), ('evidence-signing', ${retired}, 'retired', clock_timestamp())
      ON CONFLICT ("name", "keyId") DO UPDATE SET "state" = excluded."state", "since" = excluded."since"`;
    const data = { origin: succession.newKey.name, succession: note };
    await appendEvidence(tx, keys, [
      { chain: 'installation', kind: 'installation.log-begun', actor: 'system:operator', at, data },
    ]);
    return succession;
  });
}
