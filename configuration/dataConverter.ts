import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { payloadCodec } from './payloadCodec.ts';
import type { PayloadKeys } from './payloadKeys.ts';

/** The bundle needs it too: workflow code encodes its failures itself, and an option of the worker alone does not reach it. */
export const failureConverterPath = fileURLToPath(new URL('../contracts/failureConverter.ts', import.meta.url));

/** How values become what Temporal stores: the one way of every client and worker, or they cannot read each other. */
export function dataConverter(keys: PayloadKeys): DataConverter {
  return { payloadCodecs: [payloadCodec(keys)], failureConverterPath };
}
