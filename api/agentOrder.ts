import type { Configuration } from '../configuration/configurationSchema.ts';
import type { AgentPolicy, AgentRegistration } from '../domain/agents.ts';
import { isOnLoopback, isPublicAddress, literalAddress } from './auth/publicAddresses.ts';
import { invalidRequest, Problem } from './problem.ts';

type Configured = Pick<Configuration, 'oidc' | 'publicUrl' | 'tools' | 'issuers'>;

/** What of an agent tenure.yaml cannot carry out is refused before anybody is asked to approve it. */

/** @throws Problem `invalid-request`: a kind of identity and a type of issuer that do not go together */
export function requireIssuerFits(kind: string, issuer: string, { issuers }: Configured): void {
  const isForAgents = issuers[issuer]?.type === 'agent-key';
  if ((kind === 'agent') === isForAgents) return;
  const message = isForAgents ? 'is of type agent-key, which is for agents' : 'must be of type agent-key for an agent';
  throw invalidRequest([{ field: 'body.issuer', message }]);
}

/** @throws Problem `unknown-tool` naming the tool or the action */
export function requireKnownTools({ rules }: AgentPolicy, { tools }: Configured): void {
  for (const { tool, actions } of rules) {
    const known = Object.hasOwn(tools, tool) ? tools[tool]?.actions : undefined;
    if (known === undefined)
      throw new Problem('unknown-tool', `There is no tool "${tool}". tenure.yaml has: ${listed(Object.keys(tools))}.`);
    const unknown = actions.find((action) => !known.includes(action));
    if (unknown !== undefined)
      throw new Problem('unknown-tool', `Tool "${tool}" has no action "${unknown}". It has: ${listed(known)}.`);
  }
}

/**
 * @param field where it stands in the body
 * @throws Problem `invalid-request`: an address that is not https, or a provider that is not declared for agents
 */
export function requireUsable(registration: AgentRegistration, { oidc, publicUrl }: Configured, field: string): void {
  if ('jwksUri' in registration && !isFetchable(registration.jwksUri, publicUrl))
    throw invalidRequest([
      { field: `${field}.jwksUri`, message: 'must be https, and no address of a private network' },
    ]);
  if (!('oidc' in registration)) return;
  const declared = oidc.filter((provider) => provider.for === 'agents').map(({ name }) => name);
  if (!declared.includes(registration.oidc.provider))
    throw invalidRequest([
      {
        field: `${field}.oidc.provider`,
        message: `must be a provider of tenure.yaml that is for agents: ${listed(declared)}`,
      },
    ]);
}

/** An installation for trying it out may call its own machine. What a name leads to is looked at when it is called. */
function isFetchable(jwksUri: string, publicUrl: string): boolean {
  const url = new URL(jwksUri);
  if (isOnLoopback(publicUrl)) return url.protocol === 'https:' || (url.protocol === 'http:' && isOnLoopback(jwksUri));
  const literal = literalAddress(url);
  return url.protocol === 'https:' && (literal === undefined || isPublicAddress(literal));
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}
