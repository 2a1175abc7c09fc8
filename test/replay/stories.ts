import { randomUUID } from 'node:crypto';
import { lifecycleWorkflowType, taskQueue, workflowIdOf, workflowTypeOf } from '../../contracts/names.ts';
import type { OpenOrder, RequestOrder } from '../../contracts/open.ts';
import { agentPrincipal } from '../../domain/agents.ts';
import { acknowledge as acknowledgeEpoch } from '../../ledger/acknowledge.ts';
import { giveCommand } from '../../ledger/commands.ts';
import { liftFreeze, openFreeze } from '../../ledger/freezes.ts';
import { revokeNow } from '../../ledger/revoke.ts';
import { approvedFlow, plainFlows } from '../protocols/flows.ts';
import { eventually } from '../setup/eventually.ts';
import type { TestInstallation } from '../setup/installation.ts';
import type { Interruptions } from '../setup/interruptions.ts';
import { decide, onboardingOrder, opened, openOrder } from '../setup/orders.ts';
import { openedPublication, plainFlow, publicationFlows, publicationOrder } from '../setup/publications.ts';
import { reviewFlow } from '../setup/reviews.ts';
import {
  keyedStepUpFlows,
  newAgent,
  openedStepUp,
  prove,
  riskyOrder,
  stepUpFlow,
  stepUpOrder,
} from '../setup/stepUps.ts';

/** What a story is played on. Stories run one at a time. */
export interface Stage {
  readonly installation: TestInstallation;
  readonly faults: Interruptions;
}

/** Never given in time. */
const expiringApproval = `require: [{from: group:security, count: 1}]
      separation: [requester]
      timeout: {after: PT2S, result: expire}`;

/** Production asks for two approvals; `test` for one that is never given to an onboarding, `development` to what comes later. */
export const storyFlows: readonly string[] = [
  ...plainFlows,
  reviewFlow,
  approvedFlow('onboarding'),
  approvedFlow('rotation'),
  approvedFlow('revocation'),
  approvedFlow('onboarding', { environment: 'test', approval: expiringApproval }),
  ...(['rotation', 'revocation'] as const).map((on) =>
    approvedFlow(on, { environment: 'development', approval: expiringApproval }),
  ),
  reviewFlow
    .replace('name: review-default', 'name: review-development')
    .replace('on: review\n', `on: review\nsubject: {where: 'subject.environment == "development"'}\n`)
    .replace('after: P7D', 'after: PT2S'),
  stepUpFlow,
  ...keyedStepUpFlows,
  ...publicationFlows,
  (publicationFlows[0] ?? '')
    .replace('name: publication-default', 'name: publication-of-retired')
    .replace('on: publication\n', "on: publication\nsubject: {where: 'publication.retires > 0'}\n")
    .replace('timeout: {after: P3D, result: deny}', 'timeout: {after: PT2S, result: expire}')
    .replace(/\ntests:[\s\S]*/, '\n'),
];

/** A lease that is long enough for a slow machine, and short enough to wait for. */
export const storyLeaseMs = 6_000;

/**
 * Each workflow with each way it ends, by name: `<workflow>-<outcome>`. A story resolves with the workflow id whose first
 * run is its history; it need not wait for the run's end.
 */
export const stories: Readonly<Record<string, (stage: Stage) => Promise<string>>> = {
  'onboarding-completed': async (stage) => {
    const order = onboardingOrder({ environment: 'production' });
    await approve(stage, (await opened(stage.installation, order)).requestId);
    return runOf(order);
  },
  'onboarding-for-nothing': async ({ installation }) => {
    const workflowId = `onboarding/${randomUUID()}`;
    await installation.client.workflow.start(workflowTypeOf('onboarding'), { workflowId, taskQueue, args: [] });
    return workflowId;
  },
  'onboarding-denied': async (stage) => {
    const order = onboardingOrder({ environment: 'production' });
    const { requestId } = await opened(stage.installation, order);
    await decide(stage.installation, { requestId, by: 'security-1@tenure.example', verdict: 'deny' });
    return runOf(order);
  },
  'onboarding-expired': async ({ installation }) => {
    const order = onboardingOrder({ environment: 'test' });
    await opened(installation, order);
    return runOf(order);
  },
  'onboarding-cancelled': async (stage) => {
    const order = onboardingOrder();
    await cancelWhileCreating(stage, order);
    return runOf(order);
  },
  'onboarding-refused': async ({ installation }) => {
    const order = onboardingOrder({ ownerId: 'nobody@tenure.example' });
    await installation.gateway.open(order);
    return runOf(order);
  },
  'onboarding-retried': async ({ installation, faults }) => {
    const order = onboardingOrder();
    const mend = faults.fail('before create', order.identityId, new Error('the issuer is away'));
    const { requestId } = await opened(installation, order);
    await eventually(async () => {
      const { flowState } = await requestOf(installation, requestId);
      if (!JSON.stringify(flowState).includes('create-v1')) throw new Error('no attempt has failed yet');
    });
    mend();
    return runOf(order);
  },
  'rotation-completed': async (stage) => {
    const order = rotationOrder(await onboarded(stage));
    await opened(stage.installation, order);
    await acknowledge(stage, order, 2);
    return runOf(order);
  },
  'rotation-rolled-back': async (stage) => {
    const order = rotationOrder(await onboarded(stage));
    await opened(stage.installation, order);
    await served(stage, order, 2);
    await command(stage, order, 'rollback');
    await acknowledge(stage, order, 3);
    return runOf(order);
  },
  'rotation-cancelled': async (stage) => {
    const order = rotationOrder(await onboarded(stage));
    await cancelWhileCreating(stage, order);
    return runOf(order);
  },
  'rotation-held-then-thawed': async (stage) => {
    const { ledger } = stage.installation;
    const order = rotationOrder(await onboarded(stage));
    const freeze = { id: randomUUID(), identityIds: [order.identityId], integrations: [], reason: 'a look' };
    await openFreeze(ledger, { ...freeze, by: 'responder@tenure.example' });
    await opened(stage.installation, order);
    await liftFreeze(ledger, { id: freeze.id, by: 'responder-2@tenure.example', reason: 'harmless' });
    await acknowledge(stage, order, 2);
    return runOf(order);
  },
  'rotation-joined': async (stage) => {
    const { installation } = stage;
    const order = rotationOrder(await onboarded(stage, 'production'));
    const { requestId } = await opened(installation, order);
    await opened(installation, { ...rotationOrder(order.identityId), principal: 'owner@tenure.example' });
    await approve(stage, requestId);
    await acknowledge(stage, order, 2);
    return runOf(order);
  },
  'rotation-refused': async ({ installation }) => {
    const order = rotationOrder('a'.repeat(26));
    await installation.gateway.open(order);
    return runOf(order);
  },
  'rotation-beside': async (stage) => {
    // The first request still owes a destroy when the second one opens in the same run, and is driven beside it.
    const { installation, faults } = stage;
    const order = rotationOrder(await onboarded(stage));
    const destroy = faults.hold('before destroy', order.identityId);
    await cancelWhileCreating(stage, order);
    await destroy.reached;
    const second = rotationOrder(order.identityId);
    await opened(installation, second);
    await acknowledge(stage, second, 2);
    destroy.release();
    return runOf(order);
  },
  'revocation-by-responder': async (stage) => {
    const order = {
      ...openOrder('revocation', { identityId: await onboarded(stage, 'production') }),
      kind: 'revocation',
      principal: 'responder@tenure.example',
      trigger: 'incident',
    } as const;
    await revokeNow(stage.installation.ledger, order);
    await stage.installation.gateway.nudge(order, order.requestId);
    return runOf(order);
  },
  'revocation-by-approval': async (stage) => {
    const order = openOrder('revocation', { identityId: await onboarded(stage, 'production') });
    await approve(stage, (await opened(stage.installation, order)).requestId);
    return runOf(order);
  },
  'review-completed': async (stage) => {
    const order = openOrder('review', { identityId: await onboarded(stage) });
    const { requestId } = await opened(stage.installation, order);
    await decide(stage.installation, { requestId, by: 'owner@tenure.example' });
    await decide(stage.installation, { requestId, by: 'security-1@tenure.example' });
    return runOf(order);
  },
  'publication-completed': async (stage) => {
    const order = await publicationOrder(stage.installation, { sources: [plainFlow('published')] });
    const { requestId } = await openedPublication(stage.installation, order);
    await decide(stage.installation, { requestId, by: 'security-1@tenure.example' });
    return workflowIdOf('publication', requestId);
  },
  'publication-denied': async (stage) => {
    const order = await publicationOrder(stage.installation, { sources: [plainFlow('denied')] });
    const { requestId } = await openedPublication(stage.installation, order);
    await decide(stage.installation, { requestId, by: 'security-1@tenure.example', verdict: 'deny' });
    return workflowIdOf('publication', requestId);
  },
  'publication-cancelled': async (stage) => {
    const order = await publicationOrder(stage.installation, { sources: [plainFlow('cancelled')] });
    const { requestId } = await openedPublication(stage.installation, order);
    await command(stage, order, 'cancel');
    return workflowIdOf('publication', requestId);
  },
  'publication-expired': async (stage) => {
    // The flow on what is retired waits two seconds for anybody.
    const sources = [plainFlow('retired'), plainFlow('kept')];
    const first = await publicationOrder(stage.installation, { sources });
    const { requestId } = await openedPublication(stage.installation, first);
    await decide(stage.installation, { requestId, by: 'security-1@tenure.example' });
    const retired = await publicationOrder(stage.installation, { retire: ['retired'] });
    return workflowIdOf('publication', (await openedPublication(stage.installation, retired)).requestId);
  },
  'publication-refused': async (stage) => {
    const order = await publicationOrder(
      stage.installation,
      { sources: [plainFlow('unknown')] },
      { publication: 'f'.repeat(64) },
    );
    await stage.installation.gateway.open(order);
    return workflowIdOf('publication', order.requestId);
  },
  'step-up-granted': async ({ installation }) =>
    stepUpRun(await openedStepUp(installation, stepUpOrder(await newAgent(installation)))),
  'step-up-denied': async ({ installation }) =>
    stepUpRun(await openedStepUp(installation, stepUpOrder(await newAgent(installation), { workspace: 'elsewhere' }))),
  'step-up-stepped-up': async ({ installation }) => {
    const { requestId } = await openedStepUp(installation, riskyOrder(await newAgent(installation)));
    await prove(installation, { requestId, by: 'requester@tenure.example' });
    await decide(installation, { requestId, by: 'security-1@tenure.example' });
    return stepUpRun({ requestId });
  },
  'step-up-proven': async ({ installation }) => {
    const agent = await newAgent(installation);
    const { requestId } = await openedStepUp(installation, stepUpOrder(agent, { workspace: 'keyed' }));
    await prove(installation, { requestId, by: agentPrincipal(agent) });
    return stepUpRun({ requestId });
  },
  'step-up-expired': async ({ installation }) =>
    stepUpRun(await openedStepUp(installation, stepUpOrder(await newAgent(installation), { workspace: 'hurried' }))),
  'step-up-held-then-thawed': async ({ installation }) => {
    const agent = await newAgent(installation);
    const { requestId } = await openedStepUp(installation, stepUpOrder(agent, { workspace: 'keyed' }));
    const freeze = { id: randomUUID(), identityIds: [agent], integrations: [], reason: 'a look' };
    await openFreeze(installation.ledger, { ...freeze, by: 'responder@tenure.example' });
    await prove(installation, { requestId, by: agentPrincipal(agent) });
    await liftFreeze(installation.ledger, { id: freeze.id, by: 'responder-2@tenure.example', reason: 'harmless' });
    return stepUpRun({ requestId });
  },
  'step-up-cancelled': async ({ installation }) => {
    const agent = await newAgent(installation);
    const request = await openedStepUp(installation, stepUpOrder(agent, { workspace: 'keyed' }));
    await revokeNow(installation.ledger, { ...openOrder('revocation', { identityId: agent }), kind: 'revocation' });
    return stepUpRun(request);
  },
  'step-up-refused': async ({ installation }) => {
    const order = stepUpOrder(await newAgent(installation), {}, { principal: 'agent:somebody-else' });
    await installation.gateway.open(order);
    return stepUpRun(order);
  },
  ...endedBeforeItsEffect('rotation'),
  ...endedBeforeItsEffect('revocation'),
  ...endedBeforeItsEffect('review'),
  'lifecycle-idle': lifecycle,
  'lifecycle-busy': async (stage) => {
    const identityId = await onboarded(stage);
    const due = { kind: 'rotation', subjectId: identityId };
    await stage.installation.ledger.prisma.dueWork.updateMany({ where: due, data: { dueAt: new Date(0) } });
    return lifecycle(stage);
  },
};

/** Denied, cancelled and expired while it waits for an approval. */
function endedBeforeItsEffect(
  kind: 'rotation' | 'revocation' | 'review',
): Record<string, (stage: Stage) => Promise<string>> {
  const waiting = async (stage: Stage, environment: string): Promise<OpenOrder> => {
    const order = openOrder(kind, { identityId: await onboarded(stage, environment) });
    await opened(stage.installation, order);
    return order;
  };
  return {
    [`${kind}-denied`]: async (stage) => {
      const order = await waiting(stage, 'production');
      const by = kind === 'review' ? 'owner@tenure.example' : 'security-1@tenure.example';
      await decide(stage.installation, { requestId: order.requestId, by, verdict: 'deny' });
      return runOf(order);
    },
    // A rotation is cancelled in its effect, above: that is the longer way.
    ...(kind === 'rotation'
      ? {}
      : {
          [`${kind}-cancelled`]: async (stage) => {
            const order = await waiting(stage, 'production');
            await command(stage, order, 'cancel');
            return runOf(order);
          },
        }),
    [`${kind}-expired`]: async (stage) => runOf(await waiting(stage, 'development')),
  };
}

/** What workflows of earlier did and present ones do no more. Never recorded again, and replayed for ever. */
export const earlierStories: readonly string[] = [
  // The second request of a run waited for the next one: before requests were driven beside each other.
  'rotation-continued',
];

const stepUpRun = ({ requestId }: { readonly requestId: string }): string => workflowIdOf('step-up', requestId);
const runOf = (order: OpenOrder): string => workflowIdOf(order.kind, order.identityId);
const rotationOrder = (identityId: string): OpenOrder => openOrder('rotation', { identityId });

async function lifecycle({ installation }: Stage): Promise<string> {
  const { workflowId } = await installation.client.workflow.start(lifecycleWorkflowType, {
    workflowId: `lifecycle/${randomUUID()}`,
    taskQueue,
    args: [],
    workflowIdConflictPolicy: 'FAIL',
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
  });
  return workflowId;
}

async function onboarded(stage: Stage, environment = 'staging'): Promise<string> {
  const order = onboardingOrder({ environment });
  const { requestId } = await opened(stage.installation, order);
  if (environment === 'production') await approve(stage, requestId);
  await stage.installation.client.workflow.getHandle(runOf(order)).result();
  return order.identityId;
}

async function approve({ installation }: Stage, requestId: string): Promise<void> {
  for (const by of ['security-1@tenure.example', 'security-2@tenure.example'])
    await decide(installation, { requestId, by });
}

/** The store serves this epoch, and the ledger knows it. */
async function served({ installation }: Stage, { identityId }: OpenOrder, epoch: number): Promise<void> {
  await eventually(async () => {
    const where = { identityId, state: 'current', promotedEpoch: epoch };
    await installation.ledger.prisma.credential.findFirstOrThrow({ where });
  });
}

async function acknowledge(stage: Stage, order: OpenOrder, epoch: number): Promise<void> {
  await served(stage, order, epoch);
  const { identityId } = order;
  await acknowledgeEpoch(stage.installation.ledger, { identityId, epoch, consumer: 'pipeline:deploy' });
}

async function command({ installation }: Stage, order: RequestOrder, name: 'cancel' | 'rollback'): Promise<void> {
  const given = { do: name, by: order.principal, reason: 'the story wants it' } as const;
  const { requestId } = order;
  const { verdict } = await giveCommand(installation.ledger, { requestId, commandId: randomUUID(), command: given });
  if (!verdict.accepted) throw new Error(`${name} was refused: ${verdict.detail}`);
}

async function cancelWhileCreating(stage: Stage, order: OpenOrder): Promise<void> {
  const create = stage.faults.hold('before create', order.identityId);
  await opened(stage.installation, order);
  await create.reached;
  await command(stage, order, 'cancel');
  create.release();
}

function requestOf({ ledger }: TestInstallation, id: string) {
  return ledger.prisma.request.findUniqueOrThrow({ where: { id } });
}

/** The workflow that a history is of. */
export function workflowOf(story: string): string {
  const workflow = (
    ['onboarding', 'publication', 'review', 'rotation', 'revocation', 'step-up', lifecycleWorkflowType] as const
  ).find((name) => story.startsWith(`${name}-`));
  if (workflow === undefined) throw new Error(`${story} is not named <workflow>-<outcome>`);
  return workflow === lifecycleWorkflowType ? workflow : workflowTypeOf(workflow);
}
