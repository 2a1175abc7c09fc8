import { readFileSync } from 'node:fs';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { parseFlow } from '../../domain/flow/parse.ts';
import type { FlowSource } from '../../ledger/flows.ts';

/** Production asks people, staging nobody; grace windows so short that a run sees their end. */
const ownFlows = [
  ...[undefined, 'agent' as const].flatMap((kind) => [
    flow('onboarding', { kind, environment: 'production', approvals: 2 }),
    flow('onboarding', { kind, environment: 'staging', approvals: 0 }),
    flow('rotation', { kind, environment: 'production', approvals: 1 }),
    flow('rotation', { kind, environment: 'staging', approvals: 0 }),
  ]),
  stepUps(),
];

const shipped = ['revocation-default', 'review-default'];

/** What a seed's ledger is seeded with: the harness's own onboardings and rotations, the shipped revocation and review. */
export function faultFlows(): readonly FlowSource[] {
  const read = (name: string) => readFileSync(new URL(`../../flows/${name}.flow.yaml`, import.meta.url), 'utf8');
  return [...ownFlows, ...shipped.map(read)].map(flowSource);
}

function flow(
  on: 'onboarding' | 'rotation',
  { kind, environment, approvals }: { kind: 'agent' | undefined; environment: string; approvals: number },
): string {
  const approval = `
  - id: security
    approval:
      require: [{from: group:security, count: ${approvals}}]
      separation: [requester, onBehalfOf, owner]
      timeout: {after: P1D, result: deny}`;
  return `
apiVersion: tenure/v1
kind: Flow
metadata: {name: ${on}-${kind ?? 'any'}-${environment}, owner: tests, description: of the fault harness}
on: ${on}
subject: {${kind === undefined ? '' : `kind: ${kind}, `}where: 'subject.environment == "${environment}"'}
limits: {grace: PT3S}
stages:
  - {id: ownership, verify: {that: owner.active, otherwise: owner-not-valid}}${approvals === 0 ? '' : approval}
  - {id: effect, effect: ${on === 'onboarding' ? 'issue' : 'rotate'}}
`;
}

/** What is secret wants the agent's own proof and an approval; everything within the policy is granted. */
function stepUps(): string {
  return `
apiVersion: tenure/v1
kind: Flow
metadata: {name: step-ups, owner: tests, description: of the fault harness}
on: step-up
limits: {grantTtl: PT30M}
stages:
  - {id: action, verify: {that: policy.coversAction, otherwise: outside-policy}}
  - {id: resource, verify: {that: policy.coversResource && policy.coversWorkspace, otherwise: outside-policy}}
  - {id: key, when: 'tool.resource.startsWith("secret/")', stepUp: {method: agent-key, by: agent, maxAge: PT1M}}
  - id: security
    when: 'tool.resource.startsWith("secret/")'
    approval:
      require: [{from: group:security, count: 1}]
      separation: [requester, onBehalfOf, owner]
      timeout: {after: P1D, result: deny}
  - {id: grant, effect: grant}
`;
}

function flowSource(source: string): FlowSource {
  const parsed = parseFlow(source, 'fault.flow.yaml');
  if (!parsed.ok) throw new Error(parsed.errors.map(({ line, reason }) => `line ${line}: ${reason}`).join('\n'));
  return { flow: parsed.flow, digest: parsed.digest, canonical: canonicalJson(parsed.flow), source };
}
