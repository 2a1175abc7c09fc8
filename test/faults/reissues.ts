import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { attend, type Setting } from './lives.ts';
import type { RequestKept } from './story.ts';
import { awaitedLater, together } from './together.ts';
import { observer, RequestView } from './views.ts';

/** Who opens the rotation that a review asked for. */
export const reissuer = 'system:review';

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
