import {
  type AgentKeys,
  agentAssertion,
  dpopProof,
  newAgentKeys,
  publicHalf,
} from '../../integrations/agent/agentTokens.ts';
import type { Attempt } from './caller.ts';
import type { Stage } from './stage.ts';
import type { Story, Subject } from './story.ts';

/** What an agent holds: every key that it ever asked to be registered, oldest first. */
export interface Wallet {
  readonly keys: AgentKeys[];
  /** The one that was accepted last. */
  inUse: number;
}

export function newWallet(): Wallet {
  return { keys: [], inUse: 0 };
}

/** Effect: another key, which the agent keeps. @returns what registers it; nothing of what is no agent */
export async function nextRegistration({ wallet }: Subject): Promise<{ registration?: { publicKey: object } }> {
  if (wallet === undefined) return {};
  const made = await newAgentKeys();
  // What its grants are bound to it keeps: a repeated call must be the same call.
  const keys = { ...made, possession: wallet.keys[0]?.possession ?? made.possession };
  wallet.keys.push(keys);
  return { registration: { publicKey: publicHalf(keys.authentication) } };
}

/** An agent as one of its keys shows it. */
export function agentPrincipal({ index }: Pick<Subject, 'index'>, key: number): string {
  return `agent ${index} ${key}`;
}

/** What each attempt of a call carries: a person's or pipeline's token, or what an agent signs for this attempt alone. */
export function callHeaders(
  { apiUrl, token }: Pick<Stage, 'apiUrl' | 'token'>,
  { subjects }: Story,
): (attempt: Attempt) => Promise<Readonly<Record<string, string>>> {
  return async ({ principal, method, path }) => {
    const [, subject, key] = /^agent (\d+) (\d+)$/.exec(principal) ?? [];
    if (subject === undefined) return { authorization: `Bearer ${token(principal)}` };
    const { identityId, wallet } = subjects[Number(subject)] ?? {};
    const keys = wallet?.keys[Number(key)];
    if (identityId === undefined || keys === undefined) throw new Error(`${principal} holds no key.`);
    const assertion = await agentAssertion({ agentId: `agent:${identityId}`, audience: apiUrl, keys });
    const authorization = `Bearer ${assertion}`;
    if (method !== 'POST' || path !== '/v1/step-ups') return { authorization };
    return { authorization, dpop: await dpopProof({ method, url: `${apiUrl}${path}`, keys }) };
  };
}
