import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { isFinalRequestState } from '../../domain/states.ts';
import { agentPolicy, askForTool, confirmByAgent, fetchGrant } from './agentLives.ts';
import { nextRegistration } from './agentWallets.ts';
import { askFor } from './asking.ts';
import type { Caller } from './caller.ts';
import type { EventLog } from './eventLog.ts';
import type { Instants } from './instants.ts';
import type { Act, Command } from './plan.ts';
import type { RequestKept, Story, Subject } from './story.ts';
import { awaitedLater, together } from './together.ts';
import { observer, RequestView, SecretView } from './views.ts';

/** Where the lives of a seed are carried out. */
export interface Setting {
  readonly apiUrl: string;
  readonly calls: Caller;
  readonly story: Story;
  readonly log: EventLog;
  /** Faults and freezes wait for states. */
  readonly instants: Instants;
}

const pipeline = 'deploy';

/** Carries out one identity's acts in their order. Returns when each of its requests is final. */
export async function live(setting: Setting, subject: Subject): Promise<void> {
  const attended: Promise<void>[] = [];
  let before: Promise<void> = Promise.resolve();
  for (const [index, act] of subject.life.acts.entries()) {
    if (!act.overtakes) await before;
    await wait(act.afterMs);
    if ((act.what === 'rotate' || act.what === 'ask') && !subject.isOnboarded) break;
    const opened = await open(setting, subject, act);
    if (opened === undefined) continue;
    before = awaitedLater(attend(setting, opened, index));
    attended.push(before);
  }
  await together(attended);
}

/** Asks for what the act says. @returns undefined when it was refused, as it may be */
export async function open(setting: Setting, subject: Subject, act: Act): Promise<RequestKept | undefined> {
  const path = `/v1/identities/${subject.identityId}`;
  switch (act.what) {
    case 'onboard':
      return await askFor(setting, subject, act, {
        ...{ principal: 'requester', path: '/v1/identities', order: await onboarding(subject) },
        refusals: [],
      });
    case 'ask':
      return await askForTool(setting, subject, act);
    case 'rotate': {
      const principal = act.by === 'pipeline' ? pipeline : 'requester';
      const order = { justification: 'released', ...(await nextRegistration(subject)) };
      // A review may have asked for a new credential, and a revocation may have been faster.
      const refusals = ['request-running', 'revoking', 'not-active'];
      return await askFor(setting, subject, act, { principal, path: `${path}/rotations`, order, refusals });
    }
    case 'revoke': {
      if (subject.identityId === undefined) return undefined;
      subject.revocation ??= { sentAtMs: Date.now(), answeredAtMs: undefined };
      const order = { justification: 'compromised' };
      const sent = { principal: 'responder', path: `${path}/revocation`, order, refusals: ['not-active'] };
      const revocation = await askFor(setting, subject, act, sent);
      if (revocation !== undefined) subject.revocation.answeredAtMs ??= Date.now();
      return revocation;
    }
  }
}

async function onboarding(subject: Subject): Promise<object> {
  const { life } = subject;
  const ofKind =
    life.kind === 'agent'
      ? { agent: { ...(await nextRegistration(subject)), policy: agentPolicy }, issuer: 'agents' }
      : { scopes: ['orders:read'], consumers: [`pipeline:${pipeline}`], issuer: 'main-db' };
  return {
    kind: life.kind,
    name: life.name,
    environment: life.environment,
    owner: 'owner@tenure.example',
    purpose: 'Breaks with the rest',
    integration: life.integration,
    expiresAt: new Date(Date.now() + 60 * 86_400_000).toISOString(),
    store: life.store,
    justification: 'the harness wants it',
    ...ofKind,
  };
}

/** Longer than a request may stand still while everything it needs is there; seeds wait as long for quiet. */
export const standstillMs = 360_000;

/**
 * Does what people and consumers do while a request is open. Returns when it is final.
 * @throws Error when it shows the same state for so long that no fault explains it
 */
export async function attend(setting: Setting, kept: RequestKept, actIndex?: number): Promise<void> {
  const { calls, log, instants } = setting;
  const { act, subject } = kept;
  const awaitsConsumers = Promise.withResolvers<void>();
  const finished = Promise.withResolvers<void>();
  const commands = (act?.commands ?? []).map((command) =>
    awaitedLater(
      give(setting, kept, command, { awaitsConsumers: awaitsConsumers.promise, finished: finished.promise }),
    ),
  );
  let sequence = -1;
  let state = '';
  let sinceMs = Date.now();
  let isFinal = false;
  while (!isFinal) {
    const query = sequence < 0 ? '' : `?waitSeconds=1&afterSequence=${sequence}`;
    const request = RequestView.parse((await calls.readSurely(observer, `/v1/requests/${kept.id}${query}`)).body);
    sequence = request.sequence;
    isFinal = isFinalRequestState(request.state);
    if (request.state !== state) {
      state = request.state;
      sinceMs = Date.now();
      log.note(`${kept.what} ${kept.id} is ${state}${request.reason === null ? '' : ` (${request.reason})`}`);
      if (actIndex !== undefined) instants.tell({ life: subject.index, act: actIndex, state: request.state });
    }
    if (!isFinal && Date.now() - sinceMs > standstillMs)
      throw new Error(`${kept.what} ${kept.id} has been ${state} for ${standstillMs / 1000} s; nothing explains that`);
    if (request.state === 'awaiting-approval') await decide(setting, kept, request);
    if (request.state === 'awaiting-proof') await confirmByAgent(setting, kept, request);
    if (request.state === 'awaiting-consumers') {
      awaitsConsumers.resolve();
      if (act?.acknowledges === true) await acknowledge(setting, kept);
      else await wait(100);
    }
  }
  finished.resolve();
  log.count(`${kept.what} ${state}`);
  if (kept.what === 'onboarding') subject.isOnboarded = state === 'completed';
  if (kept.what === 'step-up' && state === 'completed') await fetchGrant(setting, kept);
  await together(commands);
}

/** Refusals that say: somebody was faster. */
const decidedOtherwise = ['request-closed', 'not-awaiting-approval', 'already-decided', 'revision-changed'];

async function decide({ calls, log }: Setting, kept: RequestKept, { stage }: RequestView): Promise<void> {
  if (stage === null) return;
  const verdict = kept.act?.approvers ?? 'approve';
  const approvers =
    stage === 'attest' ? ['owner'] : kept.what === 'onboarding' ? ['security-1', 'security-2'] : ['security-1'];
  for (const approver of approvers) {
    if (kept.decided.some((earlier) => earlier.stage === stage && earlier.approver === approver)) continue;
    // What this approver is shown is what this approver signs.
    const shown = RequestView.parse((await calls.readSurely(approver, `/v1/requests/${kept.id}`)).body);
    if (shown.state !== 'awaiting-approval' || shown.stage !== stage) return;
    const { revision, digest } = shown;
    const answer = await calls.write(approver, `/v1/requests/${kept.id}/decisions`, { verdict, revision, digest });
    log.count(answer.status === 200 ? `decision: ${verdict}` : `decision refused: ${answer.slug}`);
    if (answer.status === 200) kept.decided.push({ stage, approver, verdict });
    else if (!decidedOtherwise.includes(answer.slug ?? ''))
      log.violation(`${approver} could not decide on ${kept.id}: ${answer.slug}: ${answer.detail}`);
  }
}

/** As a consumer that reads its new credential and says so. */
async function acknowledge({ calls, log, story }: Setting, { subject }: RequestKept): Promise<void> {
  const path = `/v1/identities/${subject.identityId}`;
  const secret = await calls.read(pipeline, `${path}/secret`);
  if (secret?.status !== 200) return;
  const { epoch, value } = SecretView.parse(secret.body);
  story.secrets.add(value);
  const answer = await calls.write(pipeline, `${path}/acknowledgements`, { epoch });
  log.count(answer.status === 201 ? 'acknowledgement' : `acknowledgement refused: ${answer.slug}`);
  if (answer.status !== 201 && !['wrong-epoch', 'revoking'].includes(answer.slug ?? ''))
    log.violation(`the acknowledgement of epoch ${epoch} was refused: ${answer.slug}: ${answer.detail}`);
}

/** What the state of a request may make of a command. */
const commandRefusals = {
  pause: ['request-closed', 'not-pausable'],
  resume: ['request-closed', 'not-paused'],
  cancel: ['request-closed', 'committed', 'not-cancellable'],
  rollback: ['request-closed', 'not-rollbackable'],
} as const;

async function give(
  { calls, log }: Setting,
  kept: RequestKept,
  { verb, afterMs, forMs }: Command,
  { awaitsConsumers, finished }: { awaitsConsumers: Promise<void>; finished: Promise<void> },
): Promise<void> {
  const command = async (what: keyof typeof commandRefusals) => {
    if (what === 'cancel') kept.isCancelSent = true;
    const answer = await calls.write('responder', `/v1/requests/${kept.id}/${what}`, { reason: 'the plan says so' });
    log.count(answer.status === 200 ? what : `${what} refused: ${answer.slug}`);
    log.note(`${what} of ${kept.id}: ${answer.status === 200 ? 'done' : answer.slug}`);
    if (
      answer.status !== 200 &&
      !z
        .array(z.string())
        .parse(commandRefusals[what])
        .includes(answer.slug ?? '')
    )
      log.violation(`${what} of ${kept.id} was refused: ${answer.slug}: ${answer.detail}`);
    return answer.status === 200;
  };
  if (verb === 'rollback') await Promise.race([awaitsConsumers, finished]);
  await wait(afterMs);
  const isDone = await command(verb);
  if (verb !== 'pause' || !isDone) return;
  await wait(forMs);
  await command('resume');
}
