import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ledger } from '../../ledger/client.ts';
import { sealOnce } from '../../ledger/sealer.ts';

/** A sealer of this ledger, by hand, with its head file in a directory of its own. */
export function sealerOf({ direct, evidence: keys }: Pick<Ledger, 'direct' | 'evidence'>) {
  const directory = mkdtempSync(join(tmpdir(), 'tenure-sealed-'));
  return {
    directory,
    async seal(): Promise<void> {
      while ((await sealOnce({ direct, keys, headFile: join(directory, 'head') })).sealed > 0);
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
