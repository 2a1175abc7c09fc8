import type { RequestHandler } from 'express';
import { decodeJwt, type JWTPayload } from 'jose';
import type { Logger } from 'pino';
import type { Configuration, OidcProvider } from '../../configuration/configurationSchema.ts';
import type { Ledger } from '../../ledger/client.ts';
import type { SignedIn, SignInResult } from '../../ledger/signIn.ts';
import { lane } from '../lane.ts';
import { Problem } from '../problem.ts';
import { type AcceptedToken, type AcceptedTokens, acceptedTokens } from './acceptedTokens.ts';
import { agentSignIn, isAgentIssuer } from './agents.ts';
import { type TokenVerifier, tokenVerifier, unauthenticated } from './oidcProvider.ts';
import { type PersonClaims, readPersonClaims } from './personClaims.ts';
import { pipelinePrincipal } from './pipelines.ts';
import { presentedToken } from './presentedToken.ts';
import { type Principal, setPrincipal } from './principal.ts';
import { rolesOf } from './roles.ts';

/** What sign-in asks of the directory (`ledger/directory.ts`). */
export interface Directory {
  /** Records what the provider says now of the account, and tells whose it is. @param provider its name in tenure.yaml */
  signIn(claims: PersonClaims, provider: string): Promise<SignInResult>;
  /** The same of a token that signs nobody in: nothing is recorded of it. */
  recognise(claims: PersonClaims, provider: string): Promise<SignInResult>;
}

interface SignInParts {
  readonly configuration: Configuration;
  readonly directory: Directory;
  readonly logger: Pick<Logger, 'warn'>;
  readonly now: () => Date;
}

/**
 * Checks at once of tokens that nobody has shown before, by provider: a flood of forged ones holds neither all threads that
 * verify signatures nor, in the name of agents, the ledger's connections. The rest waits its turn: one of them may be genuine.
 */
const unknownTokens = { atOnce: 64, perKey: 8, waitingPerKey: 10_000 };

/** Bearer authentication (RFC 6750): verifies the token, asks the directory, and leaves the principal for `principalOf`. */
export function authenticate({
  configuration,
  directory,
  ledger,
  logger,
  now,
  accepted = acceptedTokens(now),
}: SignInParts & {
  ledger: Pick<Ledger, 'prisma' | 'direct' | 'evidence'>;
  /** Those that another sign-in accepted are accepted here, too. */
  accepted?: AcceptedTokens;
}): RequestHandler {
  const verifiers = configuration.oidc.map((provider) => tokenVerifier(provider, now));
  const checks = lane(unknownTokens);
  const agents = agentSignIn({ configuration, ledger, now });
  const subjectAudiences = new Set(configuration.oidc.flatMap(({ subjectAudience }) => subjectAudience ?? []));

  async function principalBehind(token: string): Promise<Principal> {
    const known = accepted.of(token);
    if (known !== undefined) return principalOfToken(known);
    const unverified = unverifiedClaims(token);
    const { iss } = unverified;
    if (isAgentIssuer(iss)) return inTurn('agents', () => agents.byAssertion(token, iss));
    const { provider, verify } = verifierFor(unverified, verifiers);
    // Those that were accepted before wait behind no flood of others.
    const claims = await (accepted.wasAccepted(token) ? verify(token) : inTurn(provider.name, () => verify(token)));
    // Agents hold those: whatever else they are for, they sign nobody in.
    if (audiencesOf(claims).some((audience) => subjectAudiences.has(audience)))
      throw unauthenticated(
        'The token is for an agent to show for whom it acts, and signs nobody in. Get another one.',
      );
    accepted.keep(token, { provider, claims });
    return principalOfToken({ provider, claims });
  }

  async function inTurn<T>(whose: string, check: () => Promise<T>): Promise<T> {
    const leave = await checks.enter(whose);
    try {
      return await check();
    } finally {
      leave();
    }
  }

  async function principalOfToken({ provider, claims }: AcceptedToken): Promise<Principal> {
    if (provider.for === 'pipelines') return pipelinePrincipal(claims, provider.name, configuration.pipelines);
    if (provider.for === 'agents') return agents.byWorkloadToken(claims, provider.name);
    return personPrincipal({ provider, claims }, { configuration, directory, logger, now });
  }

  return async (req, res, next) => {
    setPrincipal(res, await principalBehind(presentedToken(req)));
    next();
  };
}

/** Read before it is verified, only to choose whose keys to verify with. */
export function unverifiedClaims(token: string): JWTPayload {
  try {
    return decodeJwt(token);
  } catch (cause) {
    throw unauthenticated('The token is not a well-formed signed JWT. Get a new one.', cause);
  }
}

export function verifierFor(unverified: JWTPayload, verifiers: readonly TokenVerifier[]): TokenVerifier {
  const ofIssuer = verifiers.filter(({ provider }) => provider.issuer === unverified.iss);
  const audiences = audiencesOf(unverified);
  const chosen = ofIssuer.find(({ provider }) => audiences.includes(provider.audience)) ?? ofIssuer[0];
  if (chosen === undefined)
    throw unauthenticated("The token's issuer is not a provider of tenure.yaml. Use a token of a configured provider.");
  return chosen;
}

export function audiencesOf({ aud = [] }: JWTPayload): string[] {
  return [aud].flat();
}

/**
 * Who a sign-in found.
 * @throws Problem `unauthenticated`, `account-not-linked`, `person-inactive`
 */
export function foundPerson(result: SignInResult, { name: provider }: OidcProvider): SignedIn {
  if ('known' in result) return result.known;
  const { refused, detail } = result;
  if (refused !== 'no-address') throw new Problem(refused, detail);
  throw unauthenticated(
    `The token names no person: ${detail}. Make provider "${provider}" send a verified e-mail address, name the claim that holds it as addressClaim of oidc "${provider}" in tenure.yaml, or let two administrators link the account: tenure people link.`,
  );
}

/** The person behind verified claims, as the directory knows them. @throws Problem as `foundPerson`, `person-inactive` */
async function personPrincipal(
  { claims, provider }: AcceptedToken,
  { configuration, directory, logger, now }: SignInParts,
): Promise<Principal> {
  const said = readPersonClaims(claims, provider, now());
  const known = foundPerson(await directory.signIn(said, provider.name), provider);
  if (known.finding !== undefined) logger.warn({ provider: provider.name }, known.finding);
  const { id, groups } = known;
  if (!known.active)
    throw new Problem(
      'person-inactive',
      `${id} is not active in the directory. An administrator reactivates people in tenure.yaml.`,
    );
  const { authenticatedAt } = said;
  return {
    id,
    ids: known.ids,
    kind: 'person',
    groups,
    roles: rolesOf(known, configuration.roles).filter((role) => known.isVouched || role === 'responder'),
    ...(known.isVouched ? {} : { isUnvouched: true as const }),
    ...(authenticatedAt === undefined ? {} : { authenticatedAt }),
  };
}
