import { join } from 'node:path';
import type { Configuration } from '../configuration/configurationSchema.ts';
import type { Ledger } from '../ledger/client.ts';
import { fileAnchor } from '../ledger/sealerAnchor.ts';
import type { Sealing } from '../ledger/sealerSteps.ts';

/** Where this installation's heads are: the same for the worker and for every command that looks at what was signed. */
export function sealingOf(
  { direct, evidence }: Pick<Ledger, 'direct' | 'evidence'>,
  configuration: Pick<Configuration, 'keys' | 'evidence'>,
): Sealing {
  const { anchorFile } = configuration.evidence;
  return {
    direct,
    keys: evidence,
    headFile: join(configuration.keys.directory, 'evidence-head'),
    ...(anchorFile === undefined ? {} : { anchor: fileAnchor(anchorFile) }),
  };
}
