import { z } from 'zod';
import type { Scene } from './checks.ts';
import { reissuer } from './reissues.ts';
import type { RequestKept, Story, Subject } from './story.ts';
import { FreezeView, listAll, RequestView } from './views.ts';

/** Each request is known to who asked for it (`keepUnsure`), and ended as what was done to it explains. */
export function checkRequests({ story, log, signer }: Scene, requests: readonly RequestView[]): void {
  for (const request of requests) {
    if (request.id === signer.requestId) continue;
    const kept = story.requests.get(request.id);
    // A review that asked for a new credential opens the rotation itself.
    const isReissue = request.kind === 'rotation' && request.requester === reissuer;
    const isOfMany = story.massRevocations.some(
      ({ id }) => request.kind === 'revocation' && request.justification.includes(id),
    );
    if (kept === undefined && !isReissue && !isOfMany)
      log.violation(`${request.kind} ${request.id} of ${request.requester} exists, and nobody was answered with it`);
    const subject = kept?.subject ?? story.subjects.find(({ identityId }) => identityId === request.identityId);
    if (!isLegitimate(request, { kept, subject, story }))
      log.violation(`${request.kind} ${request.id} ended ${request.state} (${request.reason}), which nothing explains`);
  }
}

function isLegitimate(
  { state, reason }: RequestView,
  { kept, subject, story }: { kept: RequestKept | undefined; subject: Subject | undefined; story: Story },
): boolean {
  if (state === 'completed') return true;
  if (state === 'denied')
    return kept?.act?.risk === 'outside'
      ? reason === 'outside-policy'
      : kept?.act?.approvers === 'deny' && reason === 'denied-by-approver';
  if (state !== 'cancelled') return false;
  if (reason === 'revoking') return subject?.revocation !== undefined;
  if (reason === 'frozen')
    return story.freezes.some(({ plan }) => plan.mode === 'cancel' && plan.integration === subject?.life.integration);
  return kept?.isCancelSent === true;
}

const Named = z.object({ id: z.string() });

/** Promises that were given in answers: what was accepted is there, and the same key still means the same. */
export async function checkAnswers({ calls, story, log }: Scene, requests: readonly RequestView[]): Promise<void> {
  const byId = new Map(requests.map((request) => [request.id, request]));
  for (const { id, what, decided } of story.requests.values()) {
    const request = byId.get(id);
    if (request === undefined) {
      log.violation(`${what} ${id} was in an answer and does not exist`);
      continue;
    }
    for (const { stage, approver, verdict } of decided) {
      const isCounted = request.decisions.some(
        (decision) =>
          decision.stage === stage && decision.approver.startsWith(`${approver}@`) && decision.verdict === verdict,
      );
      if (!isCounted)
        log.violation(`${approver}'s decision on ${id} (${stage}) was answered with 200 and is not there`);
    }
  }
  const freezes = await listAll(calls, '/v1/freezes', FreezeView);
  for (const { id, isLifted } of story.freezes) {
    const found = freezes.find((freeze) => freeze.id === id);
    if (found === undefined || (isLifted && found.liftedAt === null))
      log.violation(`freeze ${id} was opened and lifted by what was answered, and is: ${JSON.stringify(found)}`);
  }
  if (freezes.length !== story.freezes.length)
    log.violation(`${story.freezes.length} freezes were opened by what was answered, ${freezes.length} exist`);
  for (const { principal, path, key, body, answer } of [...calls.written]) {
    // Whether an agent is still let in, its keys decide; its step-ups are repeated elsewhere (agentChecks.ts).
    if (answer.status !== 202) continue;
    const again = await calls.write(principal, path, body, key);
    const [first, second] = [answer, again].map((each) => Named.safeParse(each.body).data?.id);
    if (again.status !== 202 || first !== second)
      log.violation(`POST ${path} was answered with ${first}; its repeat with ${again.status}, ${second}`);
  }
  const after = await listAll(calls, '/v1/requests', RequestView);
  if (after.length !== requests.length)
    log.violation(`${requests.length} requests became ${after.length} by repeating calls under their keys`);
}
