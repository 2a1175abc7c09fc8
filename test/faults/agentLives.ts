import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { agentConfirmation } from '../../integrations/agent/agentTokens.ts';
import { agentPrincipal } from './agentWallets.ts';
import { newKey, opened } from './asking.ts';
import type { Answer } from './caller.ts';
import type { Setting } from './lives.ts';
import type { Act } from './plan.ts';
import type { RequestKept, Subject } from './story.ts';
import { RequestView } from './views.ts';

/** What agents of the harness may be granted at most. */
export const agentPolicy = {
  rules: [{ tool: 'search', actions: ['read'], resources: ['docs/*', 'secret/*'], workspaces: ['main'] }],
};

const resources = { low: 'docs/intro', high: 'secret/plans', outside: 'payroll/all' } as const;

const StepUpView = z.object({
  id: z.string(),
  outcome: z.enum(['granted', 'denied', 'pending']),
  grant: z.object({ accessToken: z.string() }).optional(),
});

/** Asks once, under one key. What was granted at once is kept; the rest is attended as every other request. */
export async function askForTool(setting: Setting, subject: Subject, act: Act): Promise<RequestKept | undefined> {
  const order = {
    tool: 'search',
    action: 'read',
    resource: resources[act.risk ?? 'low'],
    workspace: 'main',
    justification: 'the harness wants it',
  };
  const key = newKey(setting, subject, act);
  const answer = await asAgent(setting, subject, (principal) =>
    setting.calls.write(principal, '/v1/step-ups', order, key),
  );
  if (answer === undefined) return undefined;
  const kept = opened(setting, key, answer, ['frozen', 'revoking', 'not-active']);
  if (kept !== undefined && answer.status === 200) keepGrant(setting, kept, answer);
  return kept;
}

/** Of a step-up that was completed: while the grant stands, the agent gets it. */
export async function fetchGrant(setting: Setting, kept: RequestKept): Promise<void> {
  const answer = await asAgent(setting, kept.subject, (principal) =>
    setting.calls.readSurely(principal, `/v1/step-ups/${kept.id}`),
  );
  if (answer?.status === 200) return keepGrant(setting, kept, answer);
  if (answer !== undefined && answer.slug !== 'frozen')
    setting.log.violation(
      `step-up ${kept.id} is completed, and its agent was answered ${answer.status} ${answer.slug}`,
    );
}

function keepGrant({ story, log }: Setting, kept: RequestKept, answer: Answer): void {
  const { outcome, grant } = StepUpView.parse(answer.body);
  if (grant === undefined || story.grants.has(kept.id)) return;
  log.count('grant');
  if (outcome !== 'granted') log.violation(`step-up ${kept.id} is ${outcome}, and was answered with a grant`);
  if (kept.act?.risk === 'outside') log.violation(`step-up ${kept.id} is outside the policy, and was granted`);
  story.grants.set(kept.id, { stepUpId: kept.id, subject: kept.subject, accessToken: grant.accessToken });
  story.secrets.add(grant.accessToken);
}

/** Refusals that say: somebody was faster, or it is held meanwhile. */
const overtaken = ['request-closed', 'not-awaiting-proof', 'already-decided', 'revision-changed', 'frozen'];

/** Where a flow asks for the proof of the agent's own key. */
export async function confirmByAgent(setting: Setting, kept: RequestKept, { stage }: RequestView): Promise<void> {
  const { calls, log } = setting;
  const { subject } = kept;
  const path = `/v1/requests/${kept.id}`;
  const answer = await asAgent(setting, subject, async (principal) => {
    const answered = await calls.readSurely(principal, path);
    const shown = RequestView.safeParse(answered.body);
    if (!shown.success || shown.data.state !== 'awaiting-proof' || shown.data.stage !== stage) return answered;
    const { revision, digest } = shown.data;
    const keys = subject.wallet?.keys[Number(principal.split(' ').at(-1))];
    if (keys === undefined) throw new Error(`${principal} holds no key.`);
    const agentId = `agent:${subject.identityId}`;
    // Used up by the first attempt, also where nobody answered it.
    const signed = async () => {
      const proof = await agentConfirmation({ agentId, audience: setting.apiUrl, digest, keys });
      return { revision, digest, proof };
    };
    return calls.write(principal, `${path}/proofs`, signed, randomUUID());
  });
  if (answer === undefined) return;
  log.count(answer.status === 200 ? 'proof by the agent' : `proof refused: ${answer.slug}`);
  if (answer.status !== 200 && !overtaken.includes(answer.slug ?? ''))
    log.violation(`the proof of ${kept.id} by its agent was refused: ${answer.slug}: ${answer.detail}`);
}

/**
 * A call by the key that was accepted last, or else by any other that it asked to be registered: which of them is in force,
 * a rotation says that may be under way. Undefined when none is accepted, as it must be of an agent that is being revoked.
 */
async function asAgent(
  { log }: Setting,
  subject: Subject,
  call: (principal: string) => Promise<Answer>,
): Promise<Answer | undefined> {
  const { wallet } = subject;
  if (wallet === undefined) throw new Error(`${subject.life.name} is no agent.`);
  // Twice round: between two attempts one key may be retired and the next not have been tried yet.
  for (let attempt = 0; attempt < 2 * wallet.keys.length; attempt += 1) {
    const key = (wallet.inUse + attempt) % wallet.keys.length;
    const answer = await call(agentPrincipal(subject, key));
    // A proof is refused by a word of its own where its key was retired after the agent was let in.
    if (answer.status === 401 || answer.slug === 'agent-proof-refused') continue;
    wallet.inUse = key;
    return answer;
  }
  log.count('agents that were not let in');
  if (subject.revocation === undefined) log.violation(`${subject.life.name}: none of its keys is accepted`);
  return undefined;
}
