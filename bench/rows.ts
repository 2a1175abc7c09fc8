import type { Row } from './row.ts';
import { advanceStep } from './rows/advanceStep.ts';
import { dueWorkScan } from './rows/dueWorkScan.ts';
import { evidenceAppend } from './rows/evidenceAppend.ts';
import { flowAnalysis } from './rows/flowAnalysis.ts';
import { flowSimulation } from './rows/flowSimulation.ts';
import { flowTests } from './rows/flowTests.ts';
import { freezeEffect } from './rows/freezeEffect.ts';
import { historyEvents } from './rows/historyEvents.ts';
import { introspection } from './rows/introspection.ts';
import { massRevocationGrowth } from './rows/massRevocationGrowth.ts';
import { massRevocationRate } from './rows/massRevocationRate.ts';
import { onboardingThroughput } from './rows/onboardingThroughput.ts';
import { startLatency } from './rows/startLatency.ts';
import { stepUpGrants } from './rows/stepUpGrants.ts';
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
  introspection,
  stepUpGrants,
  flowSimulation,
  flowTests,
  flowAnalysis,
  workflowMemory,
  massRevocationRate,
  massRevocationGrowth,
];

/** The rows that somebody named, by themselves or by their group, in the order of `rows`; when nobody did, all that take no request. */
export function rowsNamed(
  names: readonly string[],
): { readonly chosen: readonly Row[] } | { readonly unknown: string } {
  const unknown = names.filter((name) => !rows.some((row) => row.name === name || row.group === name));
  if (unknown.length > 0) return { unknown: unknown.join(', ') };
  const isNamed = ({ name, group }: Row) => names.includes(name) || (group !== undefined && names.includes(group));
  return { chosen: rows.filter(names.length === 0 ? ({ isOnRequest = false }) => !isOnRequest : isNamed) };
}
