import { fileURLToPath } from 'node:url';
import type { TenureProcess } from '../../embedded/tenureProcesses.ts';

const script = fileURLToPath(new URL('./standIn.ts', import.meta.url));

export const standIns: readonly TenureProcess[] = [
  { name: 'worker', script, readyMessage: 'ready' },
  { name: 'API', script, readyMessage: 'ready' },
];
