import { noteVerifier } from '../domain/evidence/signedNote.ts';
import { openSuccession, type Succession } from '../domain/evidence/succession.ts';
import type { PrismaClient } from '../prisma/generated/client.ts';
import type { EvidenceKeys } from './evidence.ts';

/** Another key signs this log now; what this one signed would be a second history. Nothing was written. */
export class EvidenceSucceeded extends Error {
  override readonly name = 'EvidenceSucceeded';
  constructor(origin: string) {
    super(
      `The evidence key of this process was succeeded by that of ${origin}. Nothing was written. Put the new key into its key ` +
        'directory as evidence-signing.pem (where `tenure evidence succeed` was cut short: move evidence-signing.next there) and start it again.',
    );
  }
}

/** The successions of the ledger, oldest first, each verified. @throws NoteInvalid when one was changed */
export async function loadSuccessions(prisma: Pick<PrismaClient, 'evidenceLog'>): Promise<Succession[]> {
  const rows = await prisma.evidenceLog.findMany({
    where: { succession: { not: null } },
    orderBy: { generation: 'asc' },
    select: { succession: true },
  });
  return rows.flatMap(({ succession }) => (succession === null ? [] : [openSuccession(succession)]));
}

/** @throws EvidenceSucceeded */
export function requireNotSucceeded(
  { origin, signingKey }: Pick<EvidenceKeys, 'origin' | 'signingKey'>,
  newest: Succession | string | null | undefined,
): void {
  if (newest === null || newest === undefined) return;
  const { newKey } = typeof newest === 'string' ? openSuccession(newest) : newest;
  if (!newKey.publicKey.equals(noteVerifier(origin, signingKey).publicKey)) throw new EvidenceSucceeded(newKey.name);
}
