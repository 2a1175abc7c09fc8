import type { Flow } from '../../domain/flow/language.ts';
import type { RecordedEvent, RecordedRequest } from '../../domain/flow/recordedRequest.ts';
import { simulate } from '../../domain/flow/simulate.ts';
import { exampleFacts } from '../../test/domain/flow/exampleFacts.ts';
import { rounded } from '../finding.ts';
import { flowSource, shippedFlows } from '../installation.ts';
import { median, timed } from '../rounds.ts';
import type { Row } from '../row.ts';

/**
 * Recorded onboardings to production, played through the shipped flow and through one that asks for an approver fewer, with
 * the decisions that people really take: most are approved by two, some by one, some denied, some nobody looked at.
 */
export const flowSimulation: Row = {
  name: 'flow-simulation',
  group: 'flows',
  dependsOnServer: false,
  async run(ground, size) {
    const { requests, times } = size === 'full' ? { requests: 10_000, times: 5 } : { requests: 20, times: 1 };
    const [before, after] = twoVersions();
    const records = Array.from({ length: requests }, (_, index) => recorded(index));
    const play = async () => {
      const { played, changed } = simulate(before, after, records);
      if (played !== requests || changed.length === 0)
        throw new Error(`Only ${played} were played, ${changed.length} changed.`);
    };
    ground.say('flow simulation: warming up');
    await play();
    const samples: number[] = [];
    for (let time = 1; time <= times; time += 1) {
      ground.say(`flow simulation: round ${time} of ${times}`);
      samples.push((await timed(play)) / 1_000);
    }
    const seconds = median(samples);
    return [
      {
        what: `${requests} recorded requests through two versions of a flow`,
        value: seconds,
        unit: 's',
        budget: { is: 'at most', value: 10 },
        subject: `${rounded(requests / seconds)}/s`,
        baseline: 'none',
        spread: { lowest: Math.min(...samples), highest: Math.max(...samples), rounds: samples.length },
      },
    ];
  },
};

function twoVersions(): readonly [Flow, Flow] {
  const shipped = shippedFlows().find(({ flow }) => flow.metadata.name === 'onboarding-production-service-account');
  if (shipped === undefined) throw new Error('The flow for production service accounts is not shipped any more.');
  const withoutTests = shipped.source.replace(/^tests:[\s\S]*/m, '');
  return [shipped.flow, flowSource(withoutTests.replace('count: 2', 'count: 1')).flow];
}

const openedMs = Date.parse(exampleFacts.now);
const atHour = (hour: number): string => new Date(openedMs + hour * 3_600_000).toISOString();

function recorded(index: number): RecordedRequest {
  const decided = (decision: 'approve' | 'deny', name: string, hour: number): RecordedEvent => ({
    at: atHour(hour),
    decision,
    by: { id: `${name}@example.com`, active: true, groups: ['security'] },
  });
  const one = decided('approve', 'sam', 1);
  const courses = [
    [one, decided('approve', 'sue', 2)],
    [one, decided('approve', 'sue', 20)],
    [one, decided('deny', 'sue', 3)],
    [one],
    [],
  ] as const;
  const { subject } = exampleFacts;
  return {
    version: 1,
    id: `request-${index}`,
    // Each its own, as in a ledger: nothing is found again that was computed for another.
    facts: { ...exampleFacts, subject: { ...subject, name: `${subject.name}-${index}` } },
    flowAuthor: 'security',
    events: courses[index % courses.length] ?? [],
    until: atHour(96),
  };
}
