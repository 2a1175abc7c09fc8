import type { Request, RequestHandler } from 'express';
import { decodeJwt, type JWTPayload } from 'jose';
import type { Configuration, OidcProvider } from '../../configuration/configurationSchema.ts';
import type { Ledger } from '../../ledger/client.ts';
import { lane } from '../lane.ts';
import { Problem } from '../problem.ts';
import { type AcceptedToken, type AcceptedTokens, acceptedTokens } from './acceptedTokens.ts';
import { agentSignIn, isAgentIssuer } from './agents.ts';
import { type TokenVerifier, tokenVerifier, unauthenticated } from './oidcProvider.ts';
import { addressSetting, type PersonClaims, readPersonClaims } from './personClaims.ts';
import { pipelinePrincipal } from './pipelines.ts';
import { type Principal, setPrincipal } from './principal.ts';
import { rolesOf } from './roles.ts';

/** What sign-in asks of the directory (`ledger/directory.ts`). */
export interface Directory {
  /** Records the person as the provider describes them now; returns what the directory knows, `active` included. */
  recordSignIn(person: {
    id: string;
    name: string;
    groups: readonly string[];
  }): Promise<{ active: boolean; groups: readonly string[] }>;
}

/** Long tokens cost a parse before they are known to be false. */
const longestToken = 16_384;

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
  now,
  accepted = acceptedTokens(now),
}: {
  configuration: Configuration;
  directory: Directory;
  ledger: Pick<Ledger, 'prisma' | 'direct' | 'evidence'>;
  now: () => Date;
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
    return personPrincipal({ provider, claims }, now(), configuration, directory);
  }

  return async (req, res, next) => {
    setPrincipal(res, await principalBehind(bearerToken(req)));
    next();
  };
}

function bearerToken(req: Request): string {
  const sent = req.headersDistinct['authorization'] ?? [];
  const [header] = sent;
  if (header === undefined)
    throw new Problem(
      'unauthenticated',
      'The header Authorization is missing. Send "Authorization: Bearer <token>" with a token of a configured provider.',
      {
        headers: { 'WWW-Authenticate': 'Bearer realm="tenure"' },
      },
    );
  const token = /^Bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1];
  if (sent.length > 1 || token === undefined || token.length > longestToken)
    throw unauthenticated('The header Authorization must be sent once, as "Bearer <token>".');
  return token;
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

/** Whom verified claims name. @throws Problem `unauthenticated` when they name no person by an address that may count */
export function personNamed(
  claims: JWTPayload,
  provider: OidcProvider,
  now: Date,
): PersonClaims & { readonly address: string } {
  const person = readPersonClaims(claims, provider, now);
  const { address, addressVerified } = person;
  if (address !== undefined && addressVerified !== false) return { ...person, address };
  const fault =
    address === undefined ? `claim "${provider.addressClaim}" is missing` : 'claim "email_verified" says false';
  throw unauthenticated(
    `The token names no person: its ${fault}. Make provider "${provider.name}" send a verified address, or name the claim that holds it as ${addressSetting} of oidc "${provider.name}" in tenure.yaml.`,
  );
}

/** The person behind verified claims, as the directory knows them. @throws Problem `unauthenticated`, `person-inactive` */
async function personPrincipal(
  { claims, provider }: AcceptedToken,
  now: Date,
  configuration: Configuration,
  directory: Directory,
): Promise<Principal> {
  const { address: id, name = id, groups, authenticatedAt } = personNamed(claims, provider, now);
  const known = await directory.recordSignIn({ id, name, groups: groups.kind === 'listed' ? groups.names : [] });
  if (!known.active)
    throw new Problem(
      'person-inactive',
      `${id} is not active in the directory. An administrator reactivates people in tenure.yaml.`,
    );
  return {
    id,
    kind: 'person',
    groups: known.groups,
    roles: rolesOf({ id, groups: known.groups }, configuration.roles),
    ...(authenticatedAt === undefined ? {} : { authenticatedAt }),
  };
}
