import type { JWTPayload } from 'jose';
import type { OidcProvider } from '../../configuration/configurationSchema.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import { personPrincipal, unverifiedClaims, verifierFor } from './authenticate.ts';
import { tokenVerifier } from './oidcProvider.ts';

/** Verifies the token of a person whom somebody else acts for, and says who it is. */
export type SubjectTokenReader = (token: string) => Promise<string>;

/**
 * Reads subject tokens (RFC 8693 §2.1) of the providers `for: people`, held to what a sign-in of that person is held to.
 * @throws Problem `subject-token-refused`, `person-inactive`, `sign-in-unavailable`
 */
export function subjectTokens({
  configuration,
  directory,
}: Pick<ApiDependencies, 'configuration' | 'directory'>): SubjectTokenReader {
  const verifiers = configuration.oidc
    .filter((provider) => provider.for === 'people')
    .map((provider) => tokenVerifier(provider));

  async function verified(token: string): Promise<{ claims: JWTPayload; provider: OidcProvider }> {
    const { provider, verify } = verifierFor(unverifiedClaims(token), verifiers);
    return { claims: await verify(token), provider };
  }

  return async (token) => {
    try {
      const { claims, provider } = await verified(token);
      return (await personPrincipal(claims, provider, configuration, directory)).id;
    } catch (error) {
      // The agent itself is signed in: it is the person's token that is not good.
      if (!(error instanceof Problem) || error.slug !== 'unauthenticated') throw error;
      throw new Problem('subject-token-refused', `The token of the person it acts for: ${error.message}`, {
        cause: error,
      });
    }
  };
}
