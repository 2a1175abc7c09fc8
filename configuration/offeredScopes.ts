import { scopeOf } from '../domain/agents.ts';
import type { Configuration, IssuerConfiguration } from './configurationSchema.ts';

/** The scopes that identities of an issuer may be given, in the order of tenure.yaml. */
export function offeredScopes(issuer: IssuerConfiguration, tools: Configuration['tools']): readonly string[] {
  switch (issuer.type) {
    case 'postgres-role':
      return Object.keys(issuer.scopes);
    case 'tenure-key':
      return issuer.scopes;
    case 'signing-key':
      return ['sign'];
    case 'agent-key':
      return Object.entries(tools).flatMap(([tool, { actions }]) => actions.map((action) => scopeOf(tool, action)));
  }
}
