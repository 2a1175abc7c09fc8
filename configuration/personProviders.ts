import { durationMs } from '../domain/flow/duration.ts';
import type { Configuration } from './configurationSchema.ts';

/** What tenure.yaml says of the providers `for: people`, as sign-in asks for it (ledger/signIn.ts). */
export function personProviders({ oidc }: Pick<Configuration, 'oidc'>) {
  const forPeople = oidc.filter((provider) => provider.for === 'people');
  // Two audiences of one issuer are one provider.
  const isOnlyOne = new Set(forPeople.map(({ issuer }) => issuer)).size === 1;
  return forPeople.map(({ name, issuer, trustsEmail, domains, groups, groupsMaxAge, absentGroups }) => ({
    ...{ name, issuer, isOnlyOne, trustsEmail, domains, absentGroups },
    allowedGroups: groups?.allow,
    groupsMaxAgeMs: durationMs(groupsMaxAge),
  }));
}

/** What tenure.yaml should say by the next release, and the line to add: for the log at start. */
export function providerFindings({ oidc }: Pick<Configuration, 'oidc'>): readonly string[] {
  const people = personProviders({ oidc });
  return people
    .filter(({ isOnlyOne, domains }) => !isOnlyOne && domains === undefined)
    .map(
      ({ name }) =>
        `Several providers are for people, and tenure.yaml does not say for whose addresses "${name}" speaks. Whoever it signs in for the first time is refused, or may only freeze, revoke, pause and cancel. Add to oidc "${name}": domains: [example.com].`,
    );
}
