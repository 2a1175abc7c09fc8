import { countSealedOutside, findSealedUnder, replaceEnvelope, type SealedTable } from '../../ledger/sealedValues.ts';
import { openEnvelope, sealValue } from './sealedEnvelope.ts';
import type { SealedKeys } from './sealedKeys.ts';

const batch = 100;

/**
 * Seals everything anew that is sealed under one of the previous keys, under the writing key. Safe beside a running
 * Tenure: whatever changes meanwhile wins, and is seen again if it was sealed under a previous key. Can be repeated.
 * @returns how many values were sealed anew
 * @throws EnvelopeUnreadable at the first value that does not open; those before it stay sealed anew
 */
export async function rekeySealedValues(prisma: SealedTable, keys: SealedKeys): Promise<number> {
  const previous = [...keys.reading.keys()].filter((id) => id !== keys.writing.id);
  let count = 0;
  for (;;) {
    const rows = await findSealedUnder(prisma, previous, batch);
    if (rows.length === 0) return count;
    for (const row of rows) {
      if (row.sealed === null) continue;
      const value = openEnvelope(keys, row, row.sealed);
      count += await replaceEnvelope(prisma, { ...row, sealed: row.sealed }, sealValue(keys, row, value));
    }
  }
}

/** Values under keys that none of these stores knows: by key id, so that the right file can be found. */
export function valuesUnderUnknownKeys(
  prisma: SealedTable,
  stores: readonly SealedKeys[],
): Promise<{ keyId: string; count: number }[]> {
  return countSealedOutside(
    prisma,
    stores.flatMap((keys) => [...keys.reading.keys()]),
  );
}
