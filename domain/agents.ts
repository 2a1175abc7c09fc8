/**
 * Agents: identities that act by themselves, or for people. What an agent authenticates with is public (a key of its own,
 * or a subject of a provider), so there is no secret of ours to steal; what it may be granted at most is its policy.
 */

/** What an agent authenticates with. */
export type AgentRegistration =
  /** A public key: `private_key_jwt` (RFC 7523) with the private half. */
  | { readonly publicKey: PublicJwk }
  /** Where its public keys are found; it rotates them there by itself. */
  | { readonly jwksUri: string }
  /** A workload's token of a provider of tenure.yaml that is `for: agents`. */
  | { readonly oidc: { readonly provider: string; readonly subject: string } };

/** RFC 7517: members of an asymmetric public key, and no others. */
export type PublicJwk = Readonly<Record<string, string>>;

/** What an agent may be granted at most; flows decide whether it is. */
export interface AgentPolicy {
  readonly rules: readonly AgentRule[];
  /** ISO 8601 duration: the longest life of a grant, whatever the flow allows. */
  readonly grantTtl?: string;
}

export interface AgentRule {
  /** Of `tools` in tenure.yaml. */
  readonly tool: string;
  readonly actions: readonly string[];
  /** Patterns: `*` stands for any characters within one segment (between slashes). */
  readonly resources: readonly string[];
  readonly workspaces: readonly string[];
}

/** An agent as a principal. */
export function agentPrincipal(identityId: string): string {
  return `agent:${identityId}`;
}

export function isAgentPrincipal(principal: string): boolean {
  return principal.startsWith(agentPrincipal(''));
}

/** One action of one tool, as scopes of identities and tokens have it: `search:read`. */
export function scopeOf(tool: string, action: string): string {
  return `${tool}:${action}`;
}

/** The scopes of an agent with this policy, each once, in its order. An agent's identity is born with them. */
export function scopesOfPolicy({ rules }: AgentPolicy): readonly string[] {
  return [...new Set(rules.flatMap(({ tool, actions }) => actions.map((action) => scopeOf(tool, action))))];
}
