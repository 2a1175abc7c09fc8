import type { IssuerConfiguration } from './configurationSchema.ts';

/** The scopes that identities of an issuer may be given, in the order of tenure.yaml. */
export function offeredScopes({ scopes }: IssuerConfiguration): readonly string[] {
  return Array.isArray(scopes) ? scopes : Object.keys(scopes);
}
