import type { Row } from './row.ts';
import { advanceStep } from './rows/advanceStep.ts';
import { dueWorkScan } from './rows/dueWorkScan.ts';
import { evidenceAppend } from './rows/evidenceAppend.ts';
import { freezeEffect } from './rows/freezeEffect.ts';
import { historyEvents } from './rows/historyEvents.ts';
import { massRevocationRate } from './rows/massRevocationRate.ts';
import { onboardingThroughput } from './rows/onboardingThroughput.ts';
import { startLatency } from './rows/startLatency.ts';
import { workflowMemory } from './rows/workflowMemory.ts';

/** In the order in which they are shown: DESIGN section 9, then what has no budget. */
export const rows: readonly Row[] = [
  historyEvents,
  onboardingThroughput,
  startLatency,
  freezeEffect,
  evidenceAppend,
  dueWorkScan,
  advanceStep,
  workflowMemory,
  massRevocationRate,
];
