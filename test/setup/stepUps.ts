import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AdvanceResult } from '../../contracts/events.ts';
import type { OpenResult, StepUpOrder } from '../../contracts/open.ts';
import { agentPrincipal } from '../../domain/agents.ts';
import { ownKey } from '../../domain/ownKey.ts';
import type { StepUpAsk } from '../../domain/stepUp.ts';
import { examplePolicy, insertAgent, newAgentKey } from './agents.ts';
import type { TestInstallation } from './installation.ts';
import { decide } from './orders.ts';
import { repeated } from './repeated.ts';

/** The flow that is shipped for step-ups. */
export const stepUpFlow = readFileSync(new URL('../../flows/step-up-default.flow.yaml', import.meta.url), 'utf8');

/** In workspaces that begin with `keyed`, the agent proves with its key first; in `hurried` ones, within two seconds. */
export const keyedStepUpFlows: readonly string[] = ['keyed', 'hurried'].map(
  (name) => `apiVersion: tenure/v1
kind: Flow
metadata: {name: step-up-${name}, owner: tests, description: "the agent proves with its key"}
on: step-up
subject: {where: 'tool.workspace.startsWith("${name}")'}
limits: {requestTtl: ${name === 'hurried' ? 'PT2S' : 'PT1H'}}
stages:
  - {id: key, stepUp: {method: agent-key, by: agent, maxAge: PT1M}}
  - {id: grant, effect: grant}
`,
);

/** What these tests' agents may be granted. */
export const stepUpPolicy = {
  rules: [
    ...examplePolicy.rules,
    {
      tool: 'search',
      actions: ['read', 'write'],
      resources: ['orders/*'],
      workspaces: ['production/*', 'keyed', 'hurried'],
    },
  ],
};

/** An active agent, put into the ledger. */
export async function newAgent({ ledger }: Pick<TestInstallation, 'ledger'>): Promise<string> {
  const { publicKey } = await newAgentKey();
  return insertAgent(ledger, { registration: { publicKey }, policy: stepUpPolicy, owner: 'owner@tenure.example' });
}

/** Reading an order in `payments`: of low risk, and within the policy. Of a key of its own. */
export function stepUpOrder(
  identityId: string,
  ask: Partial<StepUpAsk> = {},
  change: Partial<StepUpOrder> = {},
): StepUpOrder {
  const principal = agentPrincipal(identityId);
  return {
    ...ownKey(principal, randomUUID()),
    kind: 'step-up',
    identityId,
    principalKind: 'agent',
    trigger: 'person',
    justification: 'the tests want it',
    stepUp: {
      tool: 'search',
      action: 'read',
      resource: 'orders/1',
      workspace: 'payments',
      audience: 'https://search.tenure.example',
      jkt: 'thumbprint',
      isOnBehalfVerified: false,
      ...ask,
    },
    ...change,
  };
}

/** Writing in production for a person: of high risk. */
export function riskyOrder(identityId: string, onBehalfOf = 'requester@tenure.example'): StepUpOrder {
  return stepUpOrder(
    identityId,
    { action: 'write', workspace: 'production/eu', isOnBehalfVerified: true },
    { onBehalfOf },
  );
}

/** Opens through the workflow, as often as its outcome is unknown, and insists on success. */
export async function openedStepUp(
  { gateway }: Pick<TestInstallation, 'gateway'>,
  order: StepUpOrder,
): Promise<Extract<OpenResult, { opened: true }>> {
  const result = await repeated(() => gateway.open(order), 3);
  if (!result.opened) throw new Error(`${result.slug}: ${result.detail}`);
  return result;
}

/** A proof of this person or agent, signed in or signed just now. */
export function prove(
  installation: TestInstallation,
  { requestId, by }: { requestId: string; by: string },
): Promise<AdvanceResult> {
  return decide(installation, {
    requestId,
    by,
    verdict: 'confirm',
    change: { authenticatedAt: new Date().toISOString() },
  });
}
