import type { IssuerConfiguration } from './configurationSchema.ts';

/** The scopes that identities of an issuer may be given, in the order of tenure.yaml. */
export function offeredScopes(issuer: IssuerConfiguration): readonly string[] {
  switch (issuer.type) {
    case 'postgres-role':
      return Object.keys(issuer.scopes);
    case 'tenure-key':
      return issuer.scopes;
    case 'signing-key':
      return ['sign'];
  }
}
