import type { Draft } from './draft.ts';
import type { Verdict } from './events.ts';
import type { Trigger } from './facts.ts';
import { mintOf } from './issuance.ts';

/** A rotation whose trigger ranks higher takes the place of one that only waits (DESIGN section 5, Rotation). */
export interface SupersededEvent {
  readonly kind: 'superseded';
  readonly id: `superseded:${string}`;
  /** Who asked for the one that takes its place, under which trigger. */
  readonly by: string;
  readonly requestId: string;
  readonly trigger: Trigger;
}

const rankOf: Readonly<Record<Trigger, number>> = {
  schedule: 0,
  person: 1,
  pipeline: 1,
  'owner-change': 1,
  incident: 2,
};

/** Whether a rotation with this trigger may supersede one with that: strictly higher, never an equal. */
export function outranks(trigger: Trigger, other: Trigger): boolean {
  return rankOf[trigger] > rankOf[other];
}

/**
 * Ends a rotation that has neither minted nor committed, in favour of one that outranks it; whoever asked for it is told.
 * Refused, and nothing changes, of any other request.
 */
export function supersede(draft: Draft, { requestId, by, trigger }: SupersededEvent): Verdict {
  const { request, guardFacts } = draft.facts;
  const hasBegun = draft.state.effect.committedVersion !== undefined || mintOf(draft) !== undefined;
  if (request.kind !== 'rotation' || hasBegun || !outranks(trigger, guardFacts.request.trigger))
    return {
      accepted: false,
      slug: 'request-running',
      detail: `Request ${request.id} (${request.kind}) is running on this identity. Wait for it, or cancel it.`,
    };
  draft.note('request.superseded', { by: requestId, trigger, askedBy: by });
  draft.change({ change: 'notify', to: ['requester'], about: 'superseded' });
  draft.finish('cancelled', 'superseded');
  return { accepted: true };
}
