import type { JWTPayload } from 'jose';
import { z } from 'zod';
import type { OidcProvider } from '../../configuration/configurationSchema.ts';
import { claimAt } from './claimPath.ts';
import { unauthenticated } from './oidcProvider.ts';
import { clockToleranceSeconds } from './signatures.ts';

/** What a verified token of a provider `for: people` says of somebody. Nothing here is looked up, and nothing decided. */
export interface PersonClaims {
  /** `sub`: with the provider, the account. */
  readonly subject: string;
  readonly address?: string;
  /** What the provider says of this very address. */
  readonly addressVerified: boolean | 'not-said';
  readonly name?: string;
  /** Absent is not empty: a token that lists no groups says nothing of them. */
  readonly groups: { readonly kind: 'listed'; readonly names: readonly string[] } | { readonly kind: 'absent' };
  readonly issuedAt: Date;
  /** RFC 3339, where the token says when they signed in (`auth_time`). */
  readonly authenticatedAt?: string;
}

const subject = z.string().min(1).max(255);
const address = z.email().max(200).toLowerCase();
/** Seconds since the Unix epoch, up to the year 9999 (RFC 7519 §2: fractions are allowed). */
const numericDate = z.number().min(1).max(253_402_300_799);
const name = z
  .string()
  .trim()
  .regex(/^[^\p{C}]{1,200}$/u);
const groupList = z.union([z.string().transform((one) => [one]), z.array(z.string())]).pipe(
  z
    .array(z.string().max(200))
    .max(1000)
    .transform((names) => names.filter((group) => group.trim() !== '').map((group) => group.normalize())),
);

/**
 * Reads the claims of a person as providers send them in the world.
 * @throws Problem `unauthenticated` naming the claim that failed and the setting of tenure.yaml that chooses another
 */
export function readPersonClaims(claims: JWTPayload, provider: OidcProvider, now: Date): PersonClaims {
  const ofSubject = subject.safeParse(claims.sub);
  if (!ofSubject.success) throw refused(provider, 'sub', 'is missing, or is no text of at most 255 characters');
  const ofAddress = addressIn(claims, provider);
  const ofName = name.safeParse(claimAt(claims, provider.nameClaim ?? 'name'));
  const authenticatedAt = numericDate.safeParse(claims['auth_time']);
  return {
    subject: ofSubject.data,
    ...(ofAddress === undefined ? {} : { address: ofAddress }),
    addressVerified: addressVerified(claims, provider),
    ...(ofName.success ? { name: ofName.data } : {}),
    groups: groupsIn(claims, provider),
    issuedAt: issuedAt(claims, provider, now),
    // One that is malformed is none: it matters for proofs only, and those are then refused.
    ...(authenticatedAt.success ? { authenticatedAt: dateOf(authenticatedAt.data).toISOString() } : {}),
  };
}

/** The setting that says which claim holds the address. */
const addressSetting = 'addressClaim';

function addressIn(claims: JWTPayload, provider: OidcProvider): string | undefined {
  const claimed = claimAt(claims, provider.addressClaim);
  if (claimed === undefined) return undefined;
  const read = address.safeParse(typeof claimed === 'string' ? claimed.trim() : claimed);
  if (read.success) return read.data;
  throw refused(provider, provider.addressClaim, 'is not an e-mail address', addressSetting);
}

/** `email_verified` speaks of `email` (OpenID Connect Core 1.0 §5.1), and of no other claim. Some send it as text. */
function addressVerified(claims: JWTPayload, provider: OidcProvider): boolean | 'not-said' {
  const claimed = provider.addressClaim === 'email' ? (claims['email_verified'] ?? undefined) : undefined;
  if (claimed === undefined) return 'not-said';
  if (claimed === true || claimed === 'true') return true;
  if (claimed === false || claimed === 'false') return false;
  throw refused(provider, 'email_verified', 'is neither true nor false');
}

function groupsIn(claims: JWTPayload, provider: OidcProvider): PersonClaims['groups'] {
  const { groupsClaim, groupNames } = provider;
  if (isElsewhere(claims, groupsClaim))
    throw refused(
      provider,
      groupsClaim,
      'was left out because the person is in too many groups (_claim_names or hasgroups): send only the groups that are assigned to this application',
      'groupsClaim',
    );
  const claimed = claimAt(claims, groupsClaim);
  if (claimed === undefined) return { kind: 'absent' };
  const read = groupList.safeParse(claimed);
  if (!read.success)
    throw refused(
      provider,
      groupsClaim,
      'is not a list of group names (at most 1000, of at most 200 characters)',
      'groupsClaim',
    );
  const names = read.data.map((sent) => (Object.hasOwn(groupNames, sent) ? (groupNames[sent] ?? sent) : sent));
  return { kind: 'listed', names: [...new Set(names)] };
}

/** Overage: the list did not fit, and the token says where it is instead (Microsoft Entra; OpenID Connect Core 1.0 §5.6.2). */
function isElsewhere(claims: JWTPayload, groupsClaim: string): boolean {
  const elsewhere = claims['_claim_names'];
  if (typeof elsewhere === 'object' && elsewhere !== null && Object.hasOwn(elsewhere, groupsClaim)) return true;
  const says = claims['hasgroups'];
  return groupsClaim === 'groups' && claimAt(claims, groupsClaim) === undefined && (says === true || says === 'true');
}

function issuedAt(claims: JWTPayload, provider: OidcProvider, now: Date): Date {
  const seconds = numericDate.safeParse(claims.iat);
  if (!seconds.success) throw refused(provider, 'iat', 'is missing, or is no time in seconds');
  const issued = dateOf(seconds.data);
  if (issued.getTime() > now.getTime() + clockToleranceSeconds * 1000)
    throw refused(provider, 'iat', 'is in the future: compare the clocks of this machine and the provider');
  return issued;
}

const dateOf = (seconds: number): Date => new Date(Math.floor(seconds * 1000));

function refused({ name: provider }: OidcProvider, claim: string, fault: string, setting?: string) {
  const remedy =
    setting === undefined
      ? `Correct it at provider "${provider}".`
      : `Correct it at provider "${provider}", or name another claim as ${setting} of oidc "${provider}" in tenure.yaml.`;
  return unauthenticated(`The token's claim "${claim}" ${fault}. ${remedy}`);
}
