import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { diffFlows } from '../../domain/flow/analysis/diff.ts';
import { parseInvariants } from '../../domain/flow/analysis/invariants.ts';
import { pathReport } from '../../domain/flow/analysis/pathReport.ts';
import { pathsOfFlows } from '../../domain/flow/analysis/paths.ts';
import { proveInvariants } from '../../domain/flow/analysis/prove.ts';
import { type Finding, rounded } from '../finding.ts';
import { shippedFlows } from '../installation.ts';
import { median, timed } from '../rounds.ts';
import type { Row } from '../row.ts';

/** What reasons about all shipped flows together: their paths in words, the shipped invariants, a diff with themselves. */
export const flowAnalysis: Row = {
  name: 'flow-analysis',
  group: 'flows',
  dependsOnServer: false,
  async run(ground, size) {
    const times = size === 'full' ? 9 : 1;
    const flows = shippedFlows().map(({ flow }) => flow);
    const invariants = shippedInvariants();
    const paths = pathsOfFlows(flows).length;
    const analyses = [
      [`the ${paths} paths of the ${flows.length} shipped flows, in words`, () => pathsOfFlows(flows).map(pathReport)],
      [`the proof of the ${invariants.length} shipped invariants`, () => proveInvariants(flows, invariants)],
      ['the diff of the shipped flows with themselves', () => diffFlows(flows, flows)],
    ] as const;
    const findings: Finding[] = [];
    for (const [what, analysis] of analyses) {
      ground.say(`flow analysis: ${what}`);
      analysis();
      const samples: number[] = [];
      for (let time = 0; time < times; time += 1) samples.push(await timed(async () => analysis()));
      findings.push({
        what,
        value: median(samples),
        unit: 'ms',
        subject: `${rounded(median(samples))} ms`,
        baseline: 'none',
        spread: { lowest: Math.min(...samples), highest: Math.max(...samples), rounds: samples.length },
      });
    }
    return findings;
  },
};

function shippedInvariants() {
  const path = fileURLToPath(new URL('../../flows/invariants.yaml', import.meta.url));
  const parsed = parseInvariants(readFileSync(path, 'utf8'), path);
  if (!parsed.ok)
    throw new Error(parsed.errors.map(({ line, reason }) => `${path}, line ${line}: ${reason}`).join('\n'));
  return parsed.invariants;
}
