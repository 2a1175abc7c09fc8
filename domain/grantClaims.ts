import { agentPrincipal, scopeOf } from './agents.ts';

/** The principal under which the API reads the key that signs grants: its one registered consumer. */
export const signerPrincipal = 'system:grants';

/** `acr` of grants for a person who showed by a token of their own that the agent acts for them. */
export const verifiedPerson = 'urn:tenure:acr:person' as const;

/** A grant as the ledger has it: what a token is made from, each time anew. */
export interface Grant {
  readonly id: string;
  readonly identityId: string;
  readonly audience: string;
  readonly tool: string;
  readonly action: string;
  readonly resource: string;
  readonly workspace: string;
  /** RFC 7638 thumbprint of the key that the token is bound to. */
  readonly jkt: string;
  readonly onBehalfOf: string | null;
  readonly isOnBehalfVerified: boolean;
  /** When that person last signed in, as their token said; null where it did not say. */
  readonly authenticatedAt: Date | null;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/** The claims of an access token (RFC 9068 §2.2) that is bound to a key (RFC 9449 §6) and names who acts (RFC 8693 §4.1). */
export interface GrantClaims {
  /** The installation's public address. */
  readonly iss: string;
  /** The tool's. */
  readonly aud: string;
  /** The person that the agent acts for, once that person's own token showed it; else the agent. */
  readonly sub: string;
  readonly client_id: string;
  /** Seconds since the Unix epoch, as `exp`. */
  readonly iat: number;
  readonly exp: number;
  /** The grant's id. */
  readonly jti: string;
  readonly scope: string;
  readonly cnf: { readonly jkt: string };
  /** Who acts in the place of `sub`. */
  readonly act?: { readonly sub: string };
  /** RFC 9470 §5: of a person who showed it. */
  readonly acr?: typeof verifiedPerson;
  readonly auth_time?: number;
  /** The person that the agent says it acts for; nobody verified it. */
  readonly asserted_sub?: string;
  readonly tenure_resource: string;
  readonly tenure_workspace: string;
}

/**
 * The claims of a grant's token; the same for the same grant, whenever they are made.
 * @param issuer the installation's public address
 */
export function grantClaims(grant: Grant, issuer: string): GrantClaims {
  const agent = agentPrincipal(grant.identityId);
  return {
    iss: issuer,
    aud: grant.audience,
    ...partiesOf(grant, agent),
    client_id: agent,
    iat: wholeSeconds(grant.issuedAt),
    // Rounded down: the token never lives longer than the grant.
    exp: wholeSeconds(grant.expiresAt),
    jti: grant.id,
    scope: scopeOf(grant.tool, grant.action),
    cnf: { jkt: grant.jkt },
    tenure_resource: grant.resource,
    tenure_workspace: grant.workspace,
  };
}

/** What is only asserted never becomes the subject: a resource server would take it for verified. */
function partiesOf(
  { onBehalfOf, isOnBehalfVerified, authenticatedAt }: Grant,
  agent: string,
): Pick<GrantClaims, 'sub' | 'act' | 'acr' | 'auth_time' | 'asserted_sub'> {
  if (onBehalfOf === null) return { sub: agent };
  if (!isOnBehalfVerified) return { sub: agent, asserted_sub: onBehalfOf };
  return {
    ...{ sub: onBehalfOf, act: { sub: agent }, acr: verifiedPerson },
    ...(authenticatedAt === null ? {} : { auth_time: wholeSeconds(authenticatedAt) }),
  };
}

function wholeSeconds(instant: Date): number {
  return Math.floor(instant.getTime() / 1000);
}
