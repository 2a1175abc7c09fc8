import type { JWTPayload } from 'jose';
import type { OidcProvider } from '../../configuration/configurationSchema.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import { audiencesOf, foundPerson, unverifiedClaims, verifierFor } from './authenticate.ts';
import { tokenVerifier, unauthenticated } from './oidcProvider.ts';
import { readPersonClaims } from './personClaims.ts';

/** Whom a token showed. */
export interface ShownPerson {
  readonly person: string;
  /** RFC 3339: when they last signed in, where the token says (`auth_time`). */
  readonly authenticatedAt?: string;
}

/** Verifies the token of a person whom somebody else acts for, and says who it is. */
export type SubjectTokenReader = (token: string) => Promise<ShownPerson>;

/**
 * Reads subject tokens (RFC 8693 §2.1): of a provider `for: people`, made out to its `subjectAudience` and to nothing else.
 * An agent holds them, and may hold old ones: so they sign nobody in, and nothing that they claim of the person is recorded.
 * @throws Problem `subject-token-refused`, `sign-in-unavailable`
 */
export function subjectTokens({
  configuration,
  directory,
  now,
}: Pick<ApiDependencies, 'configuration' | 'directory' | 'now'>): SubjectTokenReader {
  const verifiers = configuration.oidc.flatMap(({ subjectAudience, ...provider }) =>
    subjectAudience === undefined ? [] : [tokenVerifier({ ...provider, audience: subjectAudience }, now)],
  );

  async function verified(token: string): Promise<{ claims: JWTPayload; provider: OidcProvider }> {
    const { provider, verify } = verifierFor(unverifiedClaims(token), verifiers);
    const claims = await verify(token);
    if (audiencesOf(claims).length === 1) return { claims, provider };
    throw unauthenticated(
      `It is for "${provider.audience}" and for something else too, so that it could be used there. Get one for "${provider.audience}" only.`,
    );
  }

  return async (token) => {
    if (verifiers.length === 0)
      throw new Problem(
        'subject-token-refused',
        'No provider of tenure.yaml declares a "subjectAudience", so no token shows for whom an agent acts. Declare one at a provider "for: people", or only name the person.',
      );
    try {
      const { claims, provider } = await verified(token);
      const read = readPersonClaims(claims, provider, now());
      const { id: person } = foundPerson(await directory.recognise(read, provider.name), provider);
      const { authenticatedAt } = read;
      return { person, ...(authenticatedAt === undefined ? {} : { authenticatedAt }) };
    } catch (error) {
      // The agent itself is signed in: it is the person's token that is not good.
      if (!(error instanceof Problem) || error.slug === 'sign-in-unavailable' || error.slug === 'person-inactive')
        throw error;
      throw new Problem('subject-token-refused', `The token of the person it acts for: ${error.message}`, {
        cause: error,
      });
    }
  };
}
