import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { attend, type Setting } from './lives.ts';
import type { RequestKept } from './story.ts';
import { awaitedLater, together } from './together.ts';
import { type IdentityView, observer, RequestView } from './views.ts';

/** Who opens the rotation that a review asked for. */
export const reissuer = 'system:review';

/**
 * The completed reviews whose rotation is still to come: while another one runs that it cannot join, it is asked for again
 * and again. Of an identity that nothing is issued to any more none comes.
 */
export function owedReissues(
  requests: readonly RequestView[],
  identities: readonly Pick<IdentityView, 'id' | 'state'>[],
): readonly RequestView[] {
  const active = new Set(identities.filter(({ state }) => state === 'active').map(({ id }) => id));
  const isAnswered = (review: RequestView) =>
    requests.some(
      ({ kind, identityId, requester, requesters, justification }) =>
        kind === 'rotation' &&
        identityId === review.identityId &&
        // One that it joined says no more than that.
        (requester === reissuer ? justification.includes(review.id) : requesters.includes(reissuer)),
    );
  return requests.filter(
    (request) =>
      request.kind === 'review' &&
      request.state === 'completed' &&
      request.review.proposal?.reissue === true &&
      active.has(request.identityId) &&
      !isAnswered(request),
  );
}

const betweenLooksMs = 500;
const waitingRotations = '/v1/requests?kind=rotation&state=awaiting-approval&limit=200';
const Page = z.object({ items: z.array(RequestView) });

/**
 * A review that asked for a new credential opens the rotation by itself, and nobody was answered with it: approvers find it
 * among what awaits them. Looks for such ones until `signal` aborts; returns when all that were found are final.
 */
export async function attendReissues(setting: Setting, signal: AbortSignal): Promise<void> {
  const { calls, story, log } = setting;
  const attended: Promise<void>[] = [];
  while (!signal.aborted) {
    const answer = await calls.read(observer, waitingRotations);
    const waiting = answer === undefined ? [] : Page.parse(answer.body).items;
    for (const { id, identityId, requester } of waiting) {
      const subject = story.subjects.find((candidate) => candidate.identityId === identityId);
      if (requester !== reissuer || subject === undefined || story.requests.has(id)) continue;
      log.note(`a review of ${subject.life.name} asked for rotation ${id}`);
      const kept: RequestKept = { id, subject, what: 'rotation', act: undefined, decided: [], isCancelSent: false };
      story.requests.set(id, kept);
      attended.push(awaitedLater(attend(setting, kept)));
    }
    await wait(betweenLooksMs);
  }
  await together(attended);
}
