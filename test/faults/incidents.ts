import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { nextRegistration } from './agentWallets.ts';
import { askFor } from './asking.ts';
import type { Answer } from './caller.ts';
import { attend, type Setting } from './lives.ts';
import type { Act, Freeze, Integration } from './plan.ts';
import type { FreezeKept, Subject } from './story.ts';
import { awaitedLater, together } from './together.ts';
import { FreezeView } from './views.ts';

const Confirmation = z.object({ matches: z.enum(['nothing', 'everything']) });

/** Freezes an integration, and ends the freeze as its plan says. Returns when it is lifted. */
export async function freeze(setting: Setting, plan: Freeze): Promise<void> {
  await setting.instants.until(plan.at);
  const kept = await openFreeze(setting, plan);
  const defied = awaitedLater(plan.isDefied ? rotateAll(setting, plan) : Promise.resolve());
  await wait(plan.forMs);
  if (plan.ends === 'review') await reviewAll(setting, plan, kept);
  let answer = await lift(setting, kept, { override: plan.ends === 'override' });
  if (answer.slug === 'exit-criteria-open') {
    setting.log.count('lift refused: exit-criteria-open');
    answer = await lift(setting, kept, { override: true });
  }
  if (!kept.isLifted) setting.log.violation(`the lift of ${kept.id} was refused: ${answer.slug}: ${answer.detail}`);
  await defied;
}

/** As a pipeline does that knows of no freeze. */
export async function rotateAll(setting: Setting, { integration }: Pick<Freeze, 'integration'>): Promise<void> {
  await together(
    activeSubjects(setting, integration).map(async (subject) => {
      const path = `/v1/identities/${subject.identityId}/rotations`;
      const order = { justification: 'in spite of the freeze', ...(await nextRegistration(subject)) };
      const refusals = ['request-running', 'revoking', 'not-active'];
      const rotation = await askFor(setting, subject, defiance, { principal: 'requester', path, order, refusals });
      if (rotation !== undefined) await attend(setting, rotation);
    }),
  );
}

const defiance: Act = {
  what: 'rotate',
  by: 'person',
  afterMs: 0,
  overtakes: true,
  acknowledges: true,
  approvers: 'approve',
  commands: [],
};

function activeSubjects({ story }: Setting, integration: Integration): readonly Subject[] {
  return story.subjects.filter(({ life, isOnboarded }) => isOnboarded && life.integration === integration);
}

export async function openFreeze({ calls, story, log }: Setting, plan: FreezeKept['plan']): Promise<FreezeKept> {
  const order = { integrations: [plan.integration], mode: plan.mode, reason: 'the plan says so' };
  let answer = await calls.write('responder', '/v1/freezes', order);
  // It matches nothing yet, or everything; which of the two may change until it is asked again.
  while (answer.slug === 'confirmation-required') {
    const { matches } = Confirmation.parse(answer.body);
    answer = await calls.write('responder', '/v1/freezes', { ...order, confirm: matches });
  }
  const answeredAtMs = Date.now();
  if (answer.status !== 201) log.violation(`the freeze was refused: ${answer.slug}: ${answer.detail}`);
  const { id } = FreezeView.parse(answer.body);
  const kept = { plan, id, answeredAtMs, liftSentAtMs: undefined, isLifted: false, thawSentAtMs: new Map() };
  story.freezes.push(kept);
  log.count(`freeze ${plan.mode}`);
  log.note(`freeze ${id} (${plan.mode}) holds ${plan.integration}`);
  return kept;
}

/** Each subject that is active now; what comes later, or is being revoked, is let go by the lift. */
async function reviewAll(setting: Setting, plan: Freeze, kept: FreezeKept): Promise<void> {
  const { id: freezeId, thawSentAtMs } = kept;
  await together(
    activeSubjects(setting, plan.integration).map(async (subject) => {
      const { identityId } = subject;
      if (identityId === undefined) return;
      // The next key of an agent is the agent's to make.
      const reissue = plan.reissue && subject.wallet === undefined;
      const order = { freezeId, reissue, justification: 'after the incident' };
      if (!thawSentAtMs.has(identityId)) thawSentAtMs.set(identityId, Date.now());
      const path = `/v1/identities/${identityId}/reviews`;
      const refusals = ['not-active', 'revoking', 'not-frozen', 'request-running'];
      const review = await askFor(setting, subject, undefined, { principal: 'responder', path, order, refusals });
      if (review !== undefined) await attend(setting, review);
    }),
  );
}

/** By another responder than who opened it. */
export async function lift(
  { calls, log }: Setting,
  kept: FreezeKept,
  { override }: { override: boolean },
): Promise<Answer> {
  kept.liftSentAtMs ??= Date.now();
  const order = { reason: 'the plan says so', override };
  const answer = await calls.write('responder-2', `/v1/freezes/${kept.id}/lift`, order);
  kept.isLifted = answer.status === 200;
  if (kept.isLifted) log.count('lift');
  log.note(`lift of freeze ${kept.id}: ${kept.isLifted ? 'done' : answer.slug}`);
  return answer;
}
