import type { JWTPayload } from 'jose';
import type { OidcProvider } from '../../configuration/configurationSchema.ts';
import { type Remembered, remembered } from '../remembered.ts';

/** A token that was verified: whose it is, and what it says. */
export interface AcceptedToken {
  readonly provider: OidcProvider;
  readonly claims: JWTPayload;
}

export interface AcceptedTokens extends Remembered<AcceptedToken> {
  /** Whether it was verified before, if not lately. */
  wasAccepted(token: string): boolean;
}

/**
 * How long a token that was verified is not verified again, unless it expires before: much shorter than keys are cached.
 * Who calls with it is looked up each time all the same.
 */
const rememberedMs = 30_000;
const mostRemembered = 10_000;

/** Bearer tokens that were verified a moment ago; each is forgotten at its `exp`, whatever tolerance clocks are given. */
export function acceptedTokens(now: () => Date): AcceptedTokens {
  const kept = remembered<AcceptedToken & { readonly untilMs: number }>(mostRemembered);
  return {
    of(token) {
      const known = kept.of(token);
      return known !== undefined && now().getTime() < known.untilMs ? known : undefined;
    },
    wasAccepted: (token) => kept.of(token) !== undefined,
    keep(token, { provider, claims }) {
      const untilMs = Math.min(now().getTime() + rememberedMs, Number(claims.exp) * 1000);
      kept.keep(token, { provider, claims, untilMs });
    },
  };
}
