import type { Approver } from '../../../domain/decisions.ts';
import type { RecordedEvent, RecordedRequest } from '../../../domain/flow/recordedRequest.ts';
import { exampleFacts } from './exampleFacts.ts';

/** People of recorded requests: all in security, so that only the flow tells whether they may decide. */
export const recordedPerson = (id: string, groups: readonly string[] = ['security']): Approver => ({
  id,
  active: true,
  groups,
});

export const approvedBy = (id: string, hour: number): RecordedEvent => ({
  at: atHour(hour),
  decision: 'approve',
  by: recordedPerson(id),
});

/** So many hours after the opening. */
export function atHour(hour: number): string {
  return new Date(Date.parse(exampleFacts.now) + hour * 3_600_000).toISOString();
}

/** A production service account with some risk, watched for two days, which the sound flow of `flowSource.ts` covers. */
export function recordOf(
  id: string,
  events: readonly RecordedEvent[],
  { ended, risk = 50 }: { ended?: RecordedRequest['ended']; risk?: 0 | 50 } = {},
): RecordedRequest {
  return {
    version: 1,
    id,
    facts: {
      ...exampleFacts,
      risk: { score: risk },
      // What the weights of the sound flow make of it.
      subject: { ...exampleFacts.subject, scopes: risk === 50 ? ['payments:read', 'ledger:read'] : ['payments:read'] },
    },
    flowAuthor: 'ann',
    events,
    until: atHour(48),
    ...(ended === undefined ? {} : { ended }),
  };
}
