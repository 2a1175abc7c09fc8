import { policyFactsOf } from '../domain/agentPolicy.ts';
import type { AgentPolicy } from '../domain/agents.ts';
import type { StepUpRequestFacts } from '../domain/flow/facts.ts';
import type { StepUpAsk } from '../domain/stepUp.ts';

/** The part of a request's row that only step-ups fill. */
export interface Asking {
  readonly stepUp?: unknown;
}

/** What a step-up asks for; undefined for the other kinds. */
export function stepUpOf({ stepUp }: Asking): StepUpAsk | undefined {
  return (stepUp ?? undefined) as StepUpAsk | undefined;
}

/** The same as a member that is left out where there is none. */
export function askedFor(request: Asking): { readonly stepUp?: StepUpAsk } {
  const stepUp = stepUpOf(request);
  return stepUp === undefined ? {} : { stepUp };
}

/** The part of an identity's row that only agents fill. */
export interface Agent {
  readonly agentPolicy?: unknown;
}

export function agentPolicyOf({ agentPolicy }: Agent): AgentPolicy | undefined {
  return (agentPolicy ?? undefined) as AgentPolicy | undefined;
}

/** What guards read of a step-up, by the policy and the scopes as they are now; nothing of other requests. */
export function stepUpFactsOf(
  identity: Agent & { readonly scopes: readonly string[] },
  request: Asking,
): Pick<StepUpRequestFacts, 'tool' | 'policy' | 'delegation'> | Record<never, never> {
  const stepUp = stepUpOf(request);
  if (stepUp === undefined) return {};
  const { tool: name, action, resource, workspace, isOnBehalfVerified } = stepUp;
  const tool = { name, action, resource, workspace };
  return {
    tool,
    policy: policyFactsOf(agentPolicyOf(identity), identity.scopes, tool),
    delegation: { isVerified: isOnBehalfVerified },
  };
}
